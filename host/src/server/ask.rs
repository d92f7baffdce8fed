//! The other side of `POST /stop`: asks a running process over HTTP, and waits for its end.

use super::http::STOP_PATH;
use super::order::{RunEnd, StopOrder};
use crate::error::{Error, Kind, Result};
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const MOST_BYTES: u64 = 1 << 20;

/// Asks the process that listens at `address` to end, and waits for that, for `limit` at most.
///
/// # Errors
/// `Failed`: nothing listens there, it refuses, or it ends without an answer; `TimedOut`: it goes on after `limit`.
pub fn ask(address: SocketAddr, order: &StopOrder, limit: Duration) -> Result<RunEnd> {
    let what = || format!("failed to stop what listens at {address}");
    let body = serde_json::json!(order).to_string();
    let answer = exchange(address, &body, limit).map_err(|error| match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::new(
            Kind::TimedOut,
            what(),
            format!("it has not ended within {limit:?}; it goes on stopping"),
        ),
        _ => Error::new(Kind::Failed, what(), error).hint("give the address of `sandbar run --http`"),
    })?;
    let (status, body) = read(&answer).ok_or_else(|| {
        Error::new(
            Kind::Failed,
            what(),
            "it ended without an answer: it was killed, or is no `sandbar run`",
        )
    })?;
    match (status, serde_json::from_str(body)) {
        (200, Ok(end)) => Ok(end),
        _ => Err(Error::new(
            Kind::Failed,
            what(),
            format!("it answered with {status}: {}", body.trim()),
        )),
    }
}

fn exchange(address: SocketAddr, body: &str, limit: Duration) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, CONNECT)?;
    // Nothing comes before the end; no wait at all is none that a socket knows.
    stream.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
    write!(
        stream,
        "POST {STOP_PATH} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = Vec::new();
    match stream.take(MOST_BYTES).read_to_end(&mut answer) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => Err(error),
        _ => Ok(String::from_utf8_lossy(&answer).into_owned()),
    }
}

/// Status and body; `None`: it is no answer, or was cut off.
fn read(answer: &str) -> Option<(u16, &str)> {
    let status = answer.strip_prefix("HTTP/1.1 ")?.split(' ').next()?.parse().ok()?;
    Some((status, answer.split_once("\r\n\r\n")?.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_was_cut_off_is_none() {
        assert_eq!(read("HTTP/1.1 200 OK\r\nA: b\r\n\r\n{}"), Some((200, "{}")));
        for cut in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nA: b\r\n", "SSH-2.0-x\r\n\r\n"] {
            assert_eq!(read(cut), None, "{cut}");
        }
    }

    #[test]
    fn where_nothing_listens_nothing_is_stopped() {
        let free = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let order = StopOrder {
            pipeline: "views".into(),
            drain: false,
        };
        let error = ask(free, &order, CONNECT).unwrap_err();
        assert!(
            error.kind == Kind::Failed && error.what.contains(&free.to_string()),
            "{error}"
        );
    }
}
