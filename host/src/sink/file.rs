//! Files and standard output as sinks: JSON lines, for development.
//!
//! A file is emptied when the first sink of a process opens it, as a shell's `>` does. Workers share it: a batch is
//! written whole lines at a time under a lock. What was staged is with the operating system when `stage` returns, so
//! nothing is ever in flight; a crash of the machine may lose it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::record::Records;

/// Lines are written when they have this many bytes, and at the end of a batch.
const CHUNK: usize = 256 << 10;

type SharedFiles = Arc<Mutex<Box<dyn Write + Send>>>;

/// The files that the sinks of a process have open; standard output is the one without a path. Clones share them.
#[derive(Clone, Default)]
pub struct Files(Arc<Mutex<BTreeMap<Option<PathBuf>, SharedFiles>>>);

impl fmt::Debug for Files {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Files")
    }
}

impl Files {
    /// A sink to a file, `None`: to standard output. The first one empties the file.
    pub(super) fn open(&self, path: Option<&Path>) -> Result<FileSink> {
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = path.map(Path::to_owned);
        if let Some(file) = open.get(&key) {
            return Ok(FileSink::new(path, file.clone()));
        }
        let file: Box<dyn Write + Send> = match path {
            None => Box::new(io::stdout()),
            Some(path) => Box::new(File::create(path).map_err(|why| failed(&display(Some(path)), &why))?),
        };
        let file = Arc::new(Mutex::new(file));
        open.insert(key, file.clone());
        Ok(FileSink::new(path, file))
    }
}

/// One worker's sink to a file.
pub(super) struct FileSink {
    name: String,
    file: SharedFiles,
    lines: Vec<u8>,
}

impl fmt::Debug for FileSink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "FileSink({})", self.name)
    }
}

impl FileSink {
    fn new(path: Option<&Path>, file: SharedFiles) -> Self {
        Self {
            name: display(path),
            file,
            lines: Vec::new(),
        }
    }

    /// Writes the records from index `from` on; gives their number in all.
    pub(super) fn stage(&mut self, records: &Records, from: usize) -> Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        for index in from..records.len() {
            json_lines::write(records, index, None, &mut self.lines);
            if self.lines.len() >= CHUNK || index + 1 == records.len() {
                let written = file.write_all(&self.lines).and_then(|()| file.flush());
                self.lines.clear();
                written.map_err(|why| failed(&self.name, &why))?;
            }
        }
        Ok(records.len())
    }
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

    #[test]
    fn workers_share_a_file_and_write_whole_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        std::fs::write(&path, "what was there before\n").unwrap();
        let files = Files::default();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let mut sink = files.clone().open(Some(&path)).unwrap();
                scope.spawn(move || assert_eq!(sink.stage(&records(worker), 1000).unwrap(), 5000));
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
