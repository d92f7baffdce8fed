//! Files and standard output as sinks: JSON lines, for development.
//!
//! A file is emptied when the first sink of a process opens it, as a shell's `>` does. Workers share it: a batch is
//! written whole lines at a time under a lock. What was staged is with the operating system when `stage` returns, so
//! nothing is ever in flight; a crash of the machine may lose it.
//!
//! Outputs that are kept back to be compared are such files, too, of at most so many bytes; each line is then
//! `{"from":3,"record":{…}}`, with the number of the partition that the output stems from.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::record::{Records, TopicPartition};

/// Lines are written when they have this many bytes, and at the end of a batch.
const CHUNK: usize = 256 << 10;

type SharedFile = Arc<Mutex<SinkFile>>;

/// The files that the sinks of a process have open; standard output is the one without a path. Clones share them.
#[derive(Clone, Default)]
pub struct Files {
    open: Arc<Mutex<BTreeMap<Option<PathBuf>, SharedFile>>>,
    /// If outputs are kept back: how many bytes all of them may still have.
    kept_back: Option<Arc<RoomLeft>>,
}

struct SinkFile {
    out: Box<dyn Write + Send>,
}

/// Bytes that may still be written, by all sinks of a process together.
struct RoomLeft {
    most: u64,
    left: AtomicU64,
}

impl RoomLeft {
    fn take(&self, bytes: u64) -> io::Result<()> {
        let taken = self
            .left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes));
        taken.map(drop).map_err(|_left| {
            let most = self.most;
            let why = format!("outputs that are kept back have more than {most} bytes; compare fewer records");
            io::Error::new(io::ErrorKind::FileTooLarge, why)
        })
    }
}

impl fmt::Debug for Files {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Files")
    }
}

impl Files {
    /// Files in which outputs are kept back, of at most so many bytes together.
    pub fn kept_back(most: u64) -> Self {
        let left = AtomicU64::new(most);
        Self {
            kept_back: Some(Arc::new(RoomLeft { most, left })),
            ..Self::default()
        }
    }

    /// A sink to a file, `None`: to standard output. The first one empties the file.
    pub(super) fn open(&self, path: Option<&Path>) -> Result<FileSink> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let key = path.map(Path::to_owned);
        if let Some(file) = open.get(&key) {
            return Ok(self.sink(path, file.clone()));
        }
        let out: Box<dyn Write + Send> = match path {
            None => Box::new(io::stdout()),
            Some(path) => Box::new(File::create(path).map_err(|why| failed(&display(Some(path)), &why))?),
        };
        let file = Arc::new(Mutex::new(SinkFile { out }));
        open.insert(key, file.clone());
        Ok(self.sink(path, file))
    }

    fn sink(&self, path: Option<&Path>, file: SharedFile) -> FileSink {
        FileSink {
            name: display(path),
            file,
            kept_back: self.kept_back.clone(),
            lines: Vec::new(),
        }
    }
}

/// One worker's sink to a file.
pub(super) struct FileSink {
    name: String,
    file: SharedFile,
    kept_back: Option<Arc<RoomLeft>>,
    lines: Vec<u8>,
}

impl fmt::Debug for FileSink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FileSink({})", self.name)
    }
}

impl FileSink {
    /// Writes the records from index `staged` on, which stem from a partition; gives their number in all.
    pub(super) fn stage(&mut self, from: &TopicPartition, records: &Records, staged: usize) -> Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for index in staged..records.len() {
            match &self.kept_back {
                None => json_lines::write(records, index, None, &mut self.lines),
                Some(_) => keep_back(from.partition, records, index, &mut self.lines),
            }
            if self.lines.len() >= CHUNK || index + 1 == records.len() {
                let written = file.write(&self.lines, self.kept_back.as_deref());
                self.lines.clear();
                written.map_err(|why| failed(&self.name, &why))?;
            }
        }
        Ok(records.len())
    }
}

impl SinkFile {
    fn write(&mut self, lines: &[u8], room: Option<&RoomLeft>) -> io::Result<()> {
        if let Some(room) = room {
            room.take(lines.len() as u64)?;
        }
        self.out.write_all(lines)?;
        self.out.flush()
    }
}

/// The line of an output that is kept back.
fn keep_back(from: i32, records: &Records, index: usize, into: &mut Vec<u8>) {
    into.extend_from_slice(format!("{{\"from\":{from},\"record\":").as_bytes());
    json_lines::write(records, index, None, into);
    // Its end of line comes behind the whole.
    into.pop();
    into.extend_from_slice(b"}\n");
}

fn display(path: Option<&Path>) -> String {
    path.map_or_else(|| "standard output".to_owned(), |path| path.display().to_string())
}

fn failed(name: &str, why: &io::Error) -> Error {
    Error::new(Kind::Failed, format!("failed to write to {name}"), why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(worker: usize) -> Records {
        let mut records = Records::default();
        for offset in 0..5000 {
            records.keys.push(Some(worker.to_string().as_bytes()));
            records.values.push(Some("value ".repeat(20).as_bytes()));
            records.timestamps.push(7);
            records.offsets.push(offset);
        }
        records
    }

    fn at(partition: i32) -> TopicPartition {
        TopicPartition::new("in", partition)
    }

    #[test]
    fn what_is_kept_back_stands_with_its_partition_up_to_a_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut sink = Files::kept_back(512 << 10).open(Some(&path)).unwrap();
        sink.stage(&at(3), &records(7), 4998).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        let line: serde_json::Value = serde_json::from_str(lines[1]).unwrap();
        assert_eq!((&line["from"], &line["record"]["key"]), (&3.into(), &"7".into()));
        let error = sink.stage(&at(3), &records(7), 0).unwrap_err();
        assert!(error.why.contains("more than 524288 bytes"), "{error}");
        assert!(std::fs::metadata(&path).unwrap().len() <= 512 << 10);
    }

    #[test]
    fn workers_share_a_file_and_write_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        std::fs::write(&path, "what was there before\n").unwrap();
        let files = Files::default();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let mut sink = files.clone().open(Some(&path)).unwrap();
                scope.spawn(move || assert_eq!(sink.stage(&at(3), &records(worker), 1000).unwrap(), 5000));
            }
        });
        let text = std::fs::read(&path).unwrap();
        let mut read = Records::default();
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            json_lines::read(line, 0, &mut read).unwrap();
        }
        assert_eq!(read.len(), 4 * 4000);
    }

    #[test]
    fn a_file_that_cannot_be_written_is_named() {
        let error = Files::default()
            .open(Some(Path::new("/no/such/folder/out")))
            .unwrap_err();
        assert_eq!(
            (error.kind, error.what.as_str()),
            (Kind::Failed, "failed to write to /no/such/folder/out")
        );
    }
}
