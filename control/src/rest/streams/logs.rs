//! The log of a pipeline's processes, as it is written.
//!
//! Never reads more of it than was asked for. Always: what goes out is whole lines, each of them a JSON object; a line
//! of the log that is none goes out as `{"message": …}`.

use std::io::{self, SeekFrom};
use std::path::Path;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::header::{self, HeaderName};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::fs::File;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::watching::Watch;
use crate::fleet::PipelineLog;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::rest::asked::{Asked, PipelinePath, invalid};
use crate::rest::pipelines::found;
use crate::rest::router::Rest;
use crate::rest::sign_in::Caller;

/// Lines, if nobody says how many.
const USUAL_LINES: u32 = 100;
/// Lines at most.
const MOST_LINES: u32 = 10_000;
/// Bytes that are read back from the end, at most.
const MOST_BACK: u64 = 8 << 20;
/// Bytes of a line, above which it is cut.
const LINE_BYTES: usize = 1 << 20;
/// Bytes that are read at once.
const BLOCK: u64 = 64 << 10;
/// From one look at the file to the next.
const LOOK: Duration = Duration::from_millis(200);

/// What of the log.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(in crate::rest) struct Lines {
    /// How many of the lines that are there: 10000 at most, 100 if it is not given.
    #[param(maximum = 10000)]
    last: Option<u32>,
    /// Whether the lines that come from then on are sent too, as they come.
    #[serde(default)]
    follow: bool,
}

/// The routes of logs.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// The log of a pipeline's processes, one JSON object a line.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/logs", tag = "pipelines",
    operation_id = "pipeline-logs",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."), Lines),
    responses((status = 200, description = "The lines.", body = String, content_type = "application/x-ndjson")))]
async fn logs(
    State(rest): State<Rest>,
    caller: Caller,
    path: PipelinePath,
    Asked(lines): Asked<Lines>,
) -> Result<([(HeaderName, &'static str); 1], Body)> {
    let PipelinePath { tenant, name } = path;
    found(&rest, &tenant, &name).await?;
    let last = lines.last.unwrap_or(USUAL_LINES);
    if last > MOST_LINES {
        let why = format!("last = {last} is more than {MOST_LINES}");
        return Err(invalid("failed to read the log", why));
    }
    let log = rest.fleet.log(&tenant, &name);
    let watch = Watch::new(rest, caller, tenant, name)?;
    let reader = LogReader::open(log, last).await.map_err(failed)?;
    let following = (reader, lines.follow, watch);
    let stream = futures_util::stream::unfold(following, |(mut reader, is_followed, mut watch)| async move {
        loop {
            match reader.more(!is_followed).await {
                Err(error) => {
                    let problem = failed(error);
                    tracing::warn!(%problem, "a log was not sent to its end");
                    return None;
                }
                Ok(bytes) if !bytes.is_empty() => {
                    return Some((Ok::<_, Problem>(Bytes::from(bytes)), (reader, is_followed, watch)));
                }
                Ok(_) if reader.is_at_end() && !is_followed => return None,
                Ok(_) if !reader.is_at_end() => continue,
                Ok(_) => tokio::time::sleep(LOOK).await,
            }
            if !watch.may_go_on().await {
                return None;
            }
        }
    });
    Ok((
        [(header::CONTENT_TYPE, "application/x-ndjson")],
        Body::from_stream(stream),
    ))
}

/// The last lines of a log that are there, each as it goes out.
///
/// # Errors
/// It cannot be read.
pub(in crate::rest) async fn last_lines(log: PipelineLog, last: u32) -> io::Result<Vec<Value>> {
    let mut reader = LogReader::open(log, last).await?;
    let mut lines = Vec::new();
    loop {
        let more = reader.more(true).await?;
        let values = more.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines.extend(values.filter_map(|line| serde_json::from_slice(line).ok()));
        if reader.is_at_end() {
            let too_many = lines.len().saturating_sub(last as usize);
            lines.drain(..too_many);
            return Ok(lines);
        }
    }
}

fn failed(error: io::Error) -> Problem {
    Problem::new(ProblemKind::Failed, "failed to read the log", error)
}

/// Reads lines from a place on, in a file that grows, is cut, or is not there yet.
struct LogReader {
    log: PipelineLog,
    file: Option<File>,
    /// Bytes of the file that were read.
    position: u64,
    /// The beginning of a line whose end is not there yet.
    begun: Vec<u8>,
    is_at_end: bool,
}

impl LogReader {
    /// At the last lines that are there.
    async fn open(log: PipelineLog, last: u32) -> io::Result<Self> {
        let mut file = opened(&log.path).await?;
        let position = match &mut file {
            Some(file) => begin_of_last(file, last).await?,
            None => 0,
        };
        Ok(Self {
            log,
            file,
            position,
            begun: Vec::new(),
            is_at_end: false,
        })
    }

    /// Whether there was no more when it was read last.
    fn is_at_end(&self) -> bool {
        self.is_at_end
    }

    /// Whole lines that follow, if there are any; `is_last`: what begins without an end is a line too.
    async fn more(&mut self, is_last: bool) -> io::Result<Vec<u8>> {
        if self.file.is_none() {
            self.file = opened(&self.log.path).await?;
        }
        let mut lines = Vec::new();
        let Some(file) = &mut self.file else {
            self.is_at_end = true;
            return Ok(lines);
        };
        if file.metadata().await?.len() < self.position {
            // It was cut, so what was begun has no end any more.
            send(&self.log, &mut lines, &std::mem::take(&mut self.begun));
            self.position = 0;
        }
        file.seek(SeekFrom::Start(self.position)).await?;
        let mut block = Vec::new();
        let count = file.take(BLOCK).read_to_end(&mut block).await?;
        self.position += count as u64;
        self.is_at_end = count == 0;
        for piece in block.split_inclusive(|byte| *byte == b'\n') {
            self.begun.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.begun.len() > LINE_BYTES {
                send(&self.log, &mut lines, &std::mem::take(&mut self.begun));
            }
        }
        if self.is_at_end && is_last {
            send(&self.log, &mut lines, &std::mem::take(&mut self.begun));
        }
        Ok(lines)
    }
}

async fn opened(path: &Path) -> io::Result<Option<File>> {
    match File::open(path).await {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Adds a line as it goes out.
pub(super) fn send(log: &PipelineLog, lines: &mut Vec<u8>, line: &[u8]) {
    let line = line.trim_ascii();
    if line.is_empty() {
        return;
    }
    // Read in full: a text that is no UTF-8, or a number that is none, is passed over by one who ignores it.
    let is_object = serde_json::from_slice::<Map<String, Value>>(line).is_ok();
    let told = log.told(String::from_utf8_lossy(line).into_owned());
    match is_object && !told.contains('\n') {
        true => lines.extend_from_slice(told.as_bytes()),
        false => lines.extend_from_slice(serde_json::json!({ "message": told }).to_string().as_bytes()),
    }
    lines.push(b'\n');
}

/// Where the last lines of a file begin, of which the last one may have no end.
async fn begin_of_last(file: &mut File, last: u32) -> io::Result<u64> {
    let len = file.metadata().await?.len();
    let (mut begin, mut left) = (len, u64::from(last));
    if last == 0 {
        return Ok(len);
    }
    while begin > 0 && len - begin < MOST_BACK {
        let from = begin.saturating_sub(BLOCK);
        file.seek(SeekFrom::Start(from)).await?;
        let mut block = Vec::new();
        (&mut *file).take(begin - from).read_to_end(&mut block).await?;
        let ends = (from..).zip(&block).filter(|(_, byte)| **byte == b'\n');
        let ends: Vec<u64> = ends.map(|(at, _)| at + 1).filter(|end| *end != len).collect();
        if let Some(at) = u64::try_from(ends.len()).ok().and_then(|count| count.checked_sub(left)) {
            let at = usize::try_from(at).unwrap_or_default();
            return Ok(ends.get(at).copied().unwrap_or(from));
        }
        left -= ends.len() as u64;
        begin = from;
    }
    Ok(begin)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// Of a tenant whose folder is that of the log.
    fn log_at(path: &Path) -> PipelineLog {
        PipelineLog {
            path: path.to_owned(),
            tenant: path.parent().unwrap().to_owned(),
        }
    }

    async fn all(reader: &mut LogReader, is_last: bool) -> String {
        let mut text = Vec::new();
        loop {
            let more = reader.more(is_last).await.unwrap();
            let is_over = more.is_empty() && reader.is_at_end();
            text.extend(more);
            if is_over {
                return String::from_utf8(text).unwrap();
            }
        }
    }

    #[tokio::test]
    async fn the_last_lines_are_as_many_as_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        for (count, wide) in [(0, 10), (5, 10), (200, 5000)] {
            let line = |n: usize| format!("{{\"n\":{n},\"x\":\"{}\"}}\n", "x".repeat(wide));
            std::fs::write(&path, (0..count).map(line).collect::<String>()).unwrap();
            for last in [0_usize, 1, 2, 4, 5, 6, 150, 1000] {
                let mut reader = LogReader::open(log_at(&path), u32::try_from(last).unwrap())
                    .await
                    .unwrap();
                let expected: String = (count - last.min(count)..count).map(line).collect();
                assert_eq!(all(&mut reader, true).await, expected, "{count} {last}");
            }
        }
    }

    #[tokio::test]
    async fn every_line_that_goes_out_is_json() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, b"{\"a\":1}\nplain \xff \"text\"\n\n[1]\n{\"b\":\nrest").unwrap();
        let mut reader = LogReader::open(log_at(&path), 100).await.unwrap();
        let text = all(&mut reader, true).await;
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let said = |n: usize| lines[n]["message"].as_str().unwrap();
        assert_eq!(lines[0]["a"], 1);
        assert_eq!(
            (said(1), said(2), said(3), said(4)),
            ("plain \u{fffd} \"text\"", "[1]", "{\"b\":", "rest")
        );
        assert_eq!(lines.len(), 5);
    }

    #[test]
    fn what_only_looks_like_json_goes_out_as_a_message() {
        for line in [&b"{\"a\":\"\x9c\"}"[..], b"{\"a\":1e999}", b"{\"a\":\"\\ud800\"}"] {
            let mut sent = Vec::new();
            send(&log_at(Path::new("/d/tenants/t/log")), &mut sent, line);
            let value: Value = serde_json::from_slice(&sent).unwrap();
            assert!(value["message"].is_string(), "{value}");
        }
    }

    #[tokio::test]
    async fn where_the_daemon_has_what_is_the_tenants_goes_out_in_no_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let plugin = folder
            .path()
            .join("plugins")
            .join("0d".repeat(32))
            .with_extension("wasm");
        let error = serde_json::json!({ "error": { "what": format!("failed to load `{}`", plugin.display()) } });
        std::fs::write(
            &path,
            format!("{error}\nno {}\n", folder.path().join("code/a").display()),
        )
        .unwrap();
        let lines = last_lines(log_at(&path), 9).await.unwrap();
        let digest = format!("failed to load `sha256:{}`", "0d".repeat(32));
        assert_eq!(
            (&lines[0]["error"]["what"], &lines[1]["message"]),
            (&digest.into(), &"no code/a".into())
        );
    }

    #[tokio::test]
    async fn it_follows_a_file_that_comes_grows_and_is_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut reader = LogReader::open(log_at(&path), 100).await.unwrap();
        assert_eq!(all(&mut reader, false).await, "");
        let mut file = std::fs::File::options().create(true).append(true).open(&path).unwrap();
        file.write_all(b"{\"a\":1}\n{\"b\"").unwrap();
        assert_eq!(all(&mut reader, false).await, "{\"a\":1}\n");
        file.write_all(b":2}\n").unwrap();
        assert_eq!(all(&mut reader, false).await, "{\"b\":2}\n");
        file.set_len(0).unwrap();
        file.write_all(b"{\"c\":3}\n").unwrap();
        assert_eq!(all(&mut reader, false).await, "{\"c\":3}\n");
    }

    #[tokio::test]
    async fn a_line_without_an_end_does_not_grow_without_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        std::fs::write(&path, vec![b'x'; 3 * LINE_BYTES]).unwrap();
        let mut reader = LogReader::open(log_at(&path), 1).await.unwrap();
        let text = all(&mut reader, false).await;
        assert!(text.lines().count() >= 2);
        assert!(text.lines().all(|line| line.len() < LINE_BYTES + 2 * 65536));
    }
}
