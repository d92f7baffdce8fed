//! Requests to the process of a pipeline, over the socket that it answers on.
//!
//! Never reads more of an answer than was asked for. Always: the process is one of a tenant's, so what it answers is
//! input as any other.

use std::io;
use std::path::Path;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Bytes of the metrics of a process, at most.
const METRICS_BYTES: u64 = 4 << 20;
/// How long the metrics may take.
const METRICS: Duration = Duration::from_secs(5);
/// Bytes of what a process says of its end, at most.
const END_BYTES: u64 = 64 << 10;
/// How long a process may drain until nobody waits for it any more; it goes on.
const DRAIN: Duration = Duration::from_secs(6 * 3600);

/// How a run ended, as it tells whoever asked it to.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum RunTold {
    /// In order, and what it came to.
    Stopped(Value),
    /// With an error.
    Failed { what: String, why: String },
}

/// What a process measures, in the text format of Prometheus.
pub(in crate::fleet) async fn metrics(socket: &Path) -> io::Result<String> {
    let request = "GET /metrics HTTP/1.0\r\n\r\n";
    let asked = exchange(socket, request, METRICS_BYTES);
    let (status, body) = within(METRICS, asked).await?;
    match status {
        200 => Ok(body),
        _ => Err(io::Error::other(format!("it answered with status {status}"))),
    }
}

/// Asks the process that runs this pipeline to drain, and waits until its run has ended.
pub(in crate::fleet) async fn drain(socket: &Path, whole_name: &str) -> io::Result<()> {
    let order = json!({ "pipeline": whole_name, "drain": true }).to_string();
    let request = format!(
        "POST /stop HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{order}",
        order.len()
    );
    let (status, body) = within(DRAIN, exchange(socket, &request, END_BYTES)).await?;
    if status != 200 {
        return Err(io::Error::other(body.trim().to_owned()));
    }
    match serde_json::from_str(&body).map_err(io::Error::other)? {
        RunTold::Stopped(_) => Ok(()),
        RunTold::Failed { what, why } => Err(io::Error::other(format!("it {what}: {why}"))),
    }
}

async fn within<T>(limit: Duration, asked: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("it did not answer within {limit:?}"));
    tokio::time::timeout(limit, asked).await.map_err(|_| late())?
}

/// Status and body of an answer.
async fn exchange(socket: &Path, request: &str, most: u64) -> io::Result<(u16, String)> {
    let mut stream = UnixStream::connect(socket).await?;
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(most + 1).read_to_end(&mut answer).await?;
    if answer.len() as u64 > most {
        return Err(io::Error::other(format!("its answer has more than {most} bytes")));
    }
    let answer = String::from_utf8(answer).map_err(io::Error::other)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    match (status, answer.split_once("\r\n\r\n")) {
        (Some(status), Some((_, body))) => Ok((status, body.to_owned())),
        _ => Err(io::Error::other("what it answered is no HTTP")),
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::UnixListener;

    use super::*;

    /// A process that answers each request so.
    fn process(answer: &'static [u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("s");
        let listener = UnixListener::bind(&socket).unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut asked = [0; 4096];
                let _any_request = stream.read(&mut asked).await;
                let _it_may_be_gone = stream.write_all(answer).await;
            }
        });
        (folder, socket)
    }

    #[tokio::test]
    async fn what_a_process_measures_is_read_and_what_is_no_answer_is_told() {
        let (_folder, socket) = process(b"HTTP/1.0 200 OK\r\nx: y\r\n\r\na 1\n");
        assert_eq!(metrics(&socket).await.unwrap(), "a 1\n");
        for answer in [
            &b"HTTP/1.0 500 Oh\r\n\r\na 1\n"[..],
            b"",
            b"junk",
            b"HTTP/1.0 200 OK\r\n\r\n\xff",
        ] {
            let (_folder, socket) = process(answer);
            assert!(metrics(&socket).await.is_err(), "{answer:?}");
        }
        assert!(metrics(Path::new("/nowhere/s")).await.is_err());
        static LONG: [u8; METRICS_BYTES as usize + 64] = [b' '; METRICS_BYTES as usize + 64];
        let (_folder, socket) = process(&LONG);
        assert!(metrics(&socket).await.unwrap_err().to_string().contains("more than"));
    }

    #[tokio::test]
    async fn whoever_drains_says_how_it_ended() {
        let (_folder, socket) = process(b"HTTP/1.0 200 OK\r\n\r\n{\"stopped\":{\"reason\":\"drained\"}}");
        drain(&socket, "t--p").await.unwrap();
        for (answer, why) in [
            (
                &b"HTTP/1.0 200 OK\r\n\r\n{\"failed\":{\"what\":\"failed to commit\",\"why\":\"fenced\"}}"[..],
                "it failed to commit: fenced",
            ),
            (
                b"HTTP/1.0 409 Conflict\r\n\r\nthis process runs pipeline `x`\n",
                "this process runs pipeline `x`",
            ),
        ] {
            let (_folder, socket) = process(answer);
            assert_eq!(drain(&socket, "t--p").await.unwrap_err().to_string(), why);
        }
    }
}
