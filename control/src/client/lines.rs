//! Streams of a daemon: lines as they come, and the events that stand in them.

use std::collections::VecDeque;

use reqwest::Response;

use super::connection::Connection;
use crate::model::Status;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a line, at most.
const MOST_BYTES: usize = 4 << 20;

/// Lines of a stream, without their ends; `next` waits for one.
#[derive(Debug)]
pub struct Lines<'a> {
    connection: &'a Connection,
    /// `None`: it came to its end.
    answer: Option<Response>,
    ready: VecDeque<String>,
    /// The begin of a line whose end has not come.
    begun: Vec<u8>,
}

impl<'a> Lines<'a> {
    pub(super) fn new(connection: &'a Connection, answer: Response) -> Self {
        Self {
            connection,
            answer: Some(answer),
            ready: VecDeque::new(),
            begun: Vec::new(),
        }
    }

    /// Takes what came; `None` is the end.
    fn take(&mut self, piece: Option<&[u8]>) -> Result<()> {
        let Some(piece) = piece else {
            self.answer = None;
            if !self.begun.is_empty() {
                self.end_line();
            }
            return Ok(());
        };
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            let (line, is_whole) = part.strip_suffix(b"\n").map_or((part, false), |line| (line, true));
            if self.begun.len() + line.len() > MOST_BYTES {
                let what = format!("failed to read a stream of the daemon at {}", self.connection.address());
                let why = format!("a line has more than {MOST_BYTES} bytes");
                return Err(Problem::new(ProblemKind::Failed, what, why));
            }
            self.begun.extend_from_slice(line);
            if is_whole {
                self.end_line();
            }
        }
        Ok(())
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.begun);
        let text = String::from_utf8_lossy(&line);
        self.ready
            .push_back(text.strip_suffix('\r').unwrap_or(&text).to_owned());
    }
}

impl Iterator for Lines<'_> {
    type Item = Result<String>;

    fn next(&mut self) -> Option<Result<String>> {
        loop {
            if let Some(line) = self.ready.pop_front() {
                return Some(Ok(line));
            }
            let piece = self.connection.piece(self.answer.as_mut()?);
            if let Err(problem) = piece.and_then(|piece| self.take(piece.as_deref())) {
                self.answer = None;
                return Some(Err(problem));
            }
        }
    }
}

/// The status of a pipeline at each of its changes (server-sent events); `next` waits for one.
#[derive(Debug)]
pub struct Changes<'a>(Lines<'a>);

impl<'a> Changes<'a> {
    pub(super) fn new(lines: Lines<'a>) -> Self {
        Self(lines)
    }
}

impl Iterator for Changes<'_> {
    type Item = Result<Status>;

    fn next(&mut self) -> Option<Result<Status>> {
        let (mut event, mut data) = (String::new(), String::new());
        loop {
            let line = match self.0.next()? {
                Ok(line) => line,
                Err(problem) => return Some(Err(problem)),
            };
            let (field, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => value.clone_into(&mut event),
                "data" => data += value,
                "" if line.is_empty() && event == "status" => return Some(self.read(&data)),
                "" if line.is_empty() => (event, data) = Default::default(),
                // A comment, or a field that says nothing here.
                _ => {}
            }
        }
    }
}

impl Changes<'_> {
    fn read(&self, data: &str) -> Result<Status> {
        serde_json::from_str(data).map_err(|error| {
            let what = format!(
                "failed to read an event of the daemon at {}",
                self.0.connection.address()
            );
            Problem::new(ProblemKind::Failed, what, error)
        })
    }
}
