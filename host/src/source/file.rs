//! A source that reads a file or standard input, for development.
//!
//! A thread of its own reads ahead by a batch or two, so that a worker that waits for a silent pipe still answers when
//! it is told to stop. Always: the offset of a record is the number of its line, from 0; blank lines count, and are
//! skipped if lines are JSON.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use crate::clock;
use crate::config::{FileFormat, FileSource};
use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::record::Records;

/// Bytes of a line, at most.
const LINE_BYTES: usize = 64 << 20;
/// Bytes read at once; a batch ends when the next line is not read yet, so this bounds it as well.
const BUFFER_BYTES: usize = 256 << 10;
/// Batches read ahead.
const AHEAD: usize = 2;
/// How long a poll waits for a silent pipe.
const WAIT: Duration = Duration::from_millis(100);

/// Reads the records of one file, in order.
#[derive(Debug)]
pub struct FileReader {
    batches: Receiver<Result<Records>>,
}

impl FileReader {
    /// Opens the file and begins to read.
    ///
    /// # Errors
    /// `Invalid`: there is no such file, or it cannot be read: the pipeline names something that it has not.
    pub fn open(source: &FileSource) -> Result<Self> {
        let (name, input) = open(source.path.as_deref()).map_err(|(path, why)| {
            let what = format!("failed to open source `{}`: {path}", source.name);
            Error::new(Kind::Invalid, what, why).hint("a path is relative to the pipeline file")
        })?;
        let mut lines = Lines {
            name,
            input: BufReader::with_capacity(BUFFER_BYTES, input),
            format: source.format,
            max_batch: source.max_batch.max(1),
            line: Vec::new(),
            next: 0,
        };
        let (sender, batches) = sync_channel(AHEAD);
        thread::Builder::new()
            .name(format!("file-{}", source.name))
            .spawn(move || lines.send_all(&sender))
            .map_err(|why| {
                Error::new(
                    Kind::Failed,
                    format!("failed to start reading source `{}`", source.name),
                    why,
                )
            })?;
        Ok(Self { batches })
    }

    /// Puts the next records in place of those in `into`, which stays empty if a pipe has nothing yet. `false`: the
    /// file has ended.
    ///
    /// # Errors
    /// `Invalid`: a line is wrong or longer than 64 MiB, with its number; the records before it came first. `Failed`:
    /// the file cannot be read on.
    pub fn poll(&mut self, into: &mut Records) -> Result<bool> {
        into.clear();
        match self.batches.recv_timeout(WAIT) {
            Ok(batch) => *into = batch?,
            Err(RecvTimeoutError::Timeout) => (),
            Err(RecvTimeoutError::Disconnected) => return Ok(false),
        }
        Ok(true)
    }
}

type FileInput = Box<dyn Read + Send>;

fn open(path: Option<&Path>) -> Result<(String, FileInput), (String, io::Error)> {
    let Some(path) = path else {
        return Ok(("standard input".to_owned(), Box::new(io::stdin())));
    };
    let name = path.display().to_string();
    let file = File::open(path).and_then(|file| match file.metadata()?.is_dir() {
        true => Err(io::ErrorKind::IsADirectory.into()),
        false => Ok(file),
    });
    match file {
        Ok(file) => Ok((name, Box::new(file))),
        Err(why) => Err((name, why)),
    }
}

/// The reading thread's side.
struct Lines {
    name: String,
    input: BufReader<FileInput>,
    format: FileFormat,
    max_batch: usize,
    line: Vec<u8>,
    /// Number of the next line, from 0.
    next: i64,
}

impl Lines {
    /// Reads until the end, the first error, or until nobody listens.
    fn send_all(&mut self, to: &SyncSender<Result<Records>>) {
        loop {
            let mut batch = Records::default();
            let more = self.fill(&mut batch);
            if !batch.is_empty() && to.send(Ok(batch)).is_err() {
                return;
            }
            match more {
                Ok(true) => (),
                Ok(false) => return,
                Err(error) => {
                    // If nobody listens any more, nobody misses it.
                    _ = to.send(Err(error));
                    return;
                }
            }
        }
    }

    /// Reads records until the batch is full or the next line would have to be waited for. `false`: there are no more
    /// lines.
    fn fill(&mut self, batch: &mut Records) -> Result<bool> {
        while batch.len() < self.max_batch && (batch.is_empty() || self.input.buffer().contains(&b'\n')) {
            if !self.read_line()? {
                return Ok(false);
            }
            self.push_line(batch)?;
            self.next += 1;
        }
        Ok(true)
    }

    /// Reads a line without its end. `false`: there is none.
    fn read_line(&mut self) -> Result<bool> {
        self.line.clear();
        let mut bounded = (&mut self.input).take(LINE_BYTES as u64 + 1);
        let read = bounded.read_until(b'\n', &mut self.line);
        read.map_err(|why| Error::new(Kind::Failed, format!("failed to read {}", self.name), why))?;
        if self.line.is_empty() {
            return Ok(false);
        }
        if self.line.last() == Some(&b'\n') {
            self.line.pop();
            self.line.pop_if(|last| *last == b'\r');
        } else if self.line.len() > LINE_BYTES {
            return Err(self.wrong(&format!("it is longer than {} MiB", LINE_BYTES >> 20)));
        }
        Ok(true)
    }

    fn push_line(&self, batch: &mut Records) -> Result<()> {
        match self.format {
            FileFormat::Json if self.line.trim_ascii().is_empty() => return Ok(()),
            FileFormat::Json => {
                json_lines::read(&self.line, clock::wall_ms(), batch).map_err(|why| self.wrong(&why))?
            }
            FileFormat::Lines => {
                batch.keys.push(None);
                batch.values.push(Some(&self.line));
                batch.timestamps.push(clock::wall_ms());
                batch.offsets.push(0);
            }
        }
        if let Some(offset) = batch.offsets.last_mut() {
            *offset = self.next;
        }
        Ok(())
    }

    fn wrong(&self, why: &str) -> Error {
        let what = format!("{}:{} is not a record", self.name, self.next + 1);
        let error = Error::new(Kind::Invalid, what, why);
        match self.format {
            FileFormat::Json => {
                error.hint("a line is {\"key\":…,\"value\":…}; with format = \"lines\" it is a value as it is")
            }
            FileFormat::Lines => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{EventTime, TimeSettings};
    use std::path::PathBuf;

    fn source(path: PathBuf, format: FileFormat) -> FileSource {
        FileSource {
            name: "events".to_owned(),
            path: Some(path),
            format,
            max_batch: 3,
            event_time: EventTime::Record,
            time: TimeSettings::default(),
        }
    }

    /// All batches, and the error if one came.
    fn read(content: &[u8], format: FileFormat) -> (Vec<Records>, Option<Error>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in");
        std::fs::write(&path, content).unwrap();
        let mut reader = FileReader::open(&source(path, format)).unwrap();
        let (mut batches, mut batch) = (Vec::new(), Records::default());
        loop {
            match reader.poll(&mut batch) {
                Ok(true) if batch.is_empty() => (),
                Ok(true) => batches.push(batch.clone()),
                Ok(false) => return (batches, None),
                Err(error) => return (batches, Some(error)),
            }
        }
    }

    #[test]
    fn offsets_are_line_numbers_and_batches_are_bounded() {
        let text = "{\"value\":\"a\"}\n\n{\"value\":\"b\"}\r\n  \n{\"value\":\"c\",\"timestamp\":5}\n{\"value\":\"d\"}";
        let (batches, error) = read(text.as_bytes(), FileFormat::Json);
        assert_eq!(error, None);
        assert!(batches.iter().all(|batch| batch.len() <= 3));
        let offsets: Vec<i64> = batches.iter().flat_map(|batch| batch.offsets.clone()).collect();
        assert_eq!(offsets, [0, 2, 4, 5]);
        let values: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.values.iter().map(|value| value.unwrap().to_vec()))
            .collect();
        assert_eq!(values, [b"a", b"b", b"c", b"d"]);
        assert_eq!(
            batches.iter().flat_map(|batch| batch.timestamps.clone()).nth(2),
            Some(5)
        );
    }

    #[test]
    fn a_line_is_a_value_as_it_is() {
        let (batches, error) = read(b"a\n\n\xff \r\nlast", FileFormat::Lines);
        let values: Vec<_> = batches
            .iter()
            .flat_map(|batch| batch.values.iter().map(|value| value.unwrap().to_vec()))
            .collect();
        assert_eq!(
            (values, error),
            (
                vec![b"a".to_vec(), b"".to_vec(), b"\xff ".to_vec(), b"last".to_vec()],
                None
            )
        );
    }

    #[test]
    fn a_wrong_line_is_named_and_those_before_it_come_first() {
        let (batches, error) = read(
            b"{\"value\":1}\n{\"value\":2}\n{\"valeu\":3}\n{\"value\":4}\n",
            FileFormat::Json,
        );
        assert_eq!(batches.iter().map(Records::len).sum::<usize>(), 2);
        let error = error.unwrap();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(
            error.what.ends_with("in:3 is not a record") && error.why.contains("valeu"),
            "{error}"
        );
    }

    #[test]
    fn a_line_without_end_is_refused_and_not_kept() {
        let (batches, error) = read(&vec![b'x'; LINE_BYTES + 1], FileFormat::Lines);
        assert_eq!(
            (batches.len(), error.unwrap().why.as_str()),
            (0, "it is longer than 64 MiB")
        );
        let (batches, error) = read(&vec![b'x'; LINE_BYTES], FileFormat::Lines);
        assert_eq!((batches[0].values.bytes.len(), error), (LINE_BYTES, None));
    }

    #[test]
    fn a_missing_file_and_a_folder_are_refused_and_an_empty_file_ends() {
        let folder = tempfile::tempdir().unwrap();
        for path in [folder.path().join("none"), folder.path().to_owned()] {
            let error = FileReader::open(&source(path, FileFormat::Json)).unwrap_err();
            assert_eq!(error.kind, Kind::Invalid);
        }
        assert_eq!(read(b"", FileFormat::Json), (Vec::new(), None));
    }

    #[test]
    fn a_silent_pipe_does_not_hold_a_poll() {
        let (mut near, far) = std::os::unix::net::UnixStream::pair().unwrap();
        let (sender, batches) = sync_channel(AHEAD);
        let mut lines = Lines {
            name: "pipe".to_owned(),
            input: BufReader::new(Box::new(far)),
            format: FileFormat::Lines,
            max_batch: 10,
            line: Vec::new(),
            next: 0,
        };
        let thread = thread::Builder::new().spawn(move || lines.send_all(&sender)).unwrap();
        let (mut reader, mut batch) = (FileReader { batches }, Records::default());
        assert_eq!((reader.poll(&mut batch), batch.len()), (Ok(true), 0));
        io::Write::write_all(&mut near, b"a\nb\n").unwrap();
        let mut read = 0;
        while read < 2 {
            assert_eq!(reader.poll(&mut batch), Ok(true));
            read += batch.len();
        }
        drop(near);
        thread.join().unwrap();
        assert_eq!(reader.poll(&mut batch), Ok(false));
    }
}
