//! Outputs that were kept back, read line by line from files that a process of a tenant wrote.
//!
//! Never follows a link, takes a file for another's, or holds more of it than a line. Always: what is no output is an
//! error, with its place.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The dead letters among the files of the sinks.
const DEAD_LETTERS: &str = "dead-letters";
/// How the file of a sink is called.
const ENDING: &str = "jsonl";
/// Sinks that are looked at, at most.
const MOST_SINKS: usize = 1024;
/// Bytes of a line, at most.
const LINE_BYTES: u64 = 256 << 20;

/// The outputs of a run, a file a sink.
#[derive(Debug, Clone)]
pub(super) struct KeptOutputs(PathBuf);

/// An output, as JSON.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct KeptOutput<'a> {
    /// The number of the partition of the input that it stems from.
    pub(super) from: i32,
    /// Its key; `null`: it has none. Bytes that are no text are in base64, which is told apart by `is_binary`.
    pub(super) key: &'a str,
    /// Whether the key is in base64.
    pub(super) is_binary: bool,
    /// All of it.
    pub(super) record: &'a str,
}

#[derive(Deserialize)]
struct OutputLine<'a> {
    from: i32,
    #[serde(borrow)]
    record: &'a RawValue,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct OutputKey<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key_base64: Option<&'a RawValue>,
}

impl KeptOutputs {
    /// In a folder.
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    /// The sinks that have a file.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub(super) fn sinks(&self) -> io::Result<Vec<String>> {
        let mut sinks = Vec::new();
        for entry in std::fs::read_dir(&self.0)?.take(MOST_SINKS) {
            let path = PathBuf::from(entry?.file_name());
            let is_of_sink = path.extension().is_some_and(|ending| ending == ENDING);
            let name = path.file_stem().and_then(|name| name.to_str()).filter(|_| is_of_sink);
            sinks.extend(name.filter(|name| *name != DEAD_LETTERS).map(str::to_owned));
        }
        sinks.sort_unstable();
        Ok(sinks)
    }

    /// Each output of a sink, in order; none, if it has no file.
    ///
    /// # Errors
    /// As `each` says; the file cannot be read, or is none of outputs.
    pub(super) fn each(&self, sink: &str, mut each: impl FnMut(KeptOutput<'_>) -> io::Result<()>) -> io::Result<()> {
        let path = self.0.join(sink).with_extension(ENDING);
        let mut number = 0u64;
        lines(&path, |line| {
            number += 1;
            let wrong = |why: serde_json::Error| {
                let why = format!("line {number} of {}: {why}", path.display());
                io::Error::new(io::ErrorKind::InvalidData, why)
            };
            let OutputLine { from, record } = serde_json::from_slice(line).map_err(wrong)?;
            let keyed: OutputKey<'_> = serde_json::from_str(record.get()).map_err(wrong)?;
            each(KeptOutput {
                from,
                key: keyed.key_base64.or(keyed.key).map_or("null", RawValue::get),
                is_binary: keyed.key_base64.is_some(),
                record: record.get(),
            })
        })
    }

    /// How many dead letters there are.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn dead_letters(&self) -> io::Result<u64> {
        let mut count = 0;
        lines(&self.0.join(DEAD_LETTERS).with_extension(ENDING), |_| {
            count += 1;
            Ok(())
        })?;
        Ok(count)
    }
}

fn lines(path: &Path, mut each: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let Some(file) = open(path)? else { return Ok(()) };
    let (mut from, mut line) = (BufReader::with_capacity(1 << 18, file), Vec::new());
    loop {
        line.clear();
        if from.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line)? == 0 {
            return Ok(());
        }
        if line.len() as u64 == LINE_BYTES {
            let why = format!("{} has a line of more than {LINE_BYTES} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
        }
        each(&line)?;
    }
}

/// A plain file, and never one that a link or a device stands for.
fn open(path: &Path) -> io::Result<Option<File>> {
    let flags = (OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC).bits();
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(flags.cast_signed())
        .open(path);
    let file = match opened {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    match file.metadata()?.is_file() {
        true => Ok(Some(file)),
        false => Err(io::Error::other(format!("{} is no file", path.display()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(lines: &[u8]) -> (tempfile::TempDir, KeptOutputs) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("out.jsonl"), lines).unwrap();
        let kept = KeptOutputs::new(folder.path().to_owned());
        (folder, kept)
    }

    #[test]
    fn an_output_is_read_with_its_partition_and_its_key_as_they_stand() {
        let lines = concat!(
            r#"{"from":3,"record":{"key":"a","value":{"n":1},"timestamp":7}}"#,
            "\n",
            r#"{"from":0,"record":{"key-base64":"/w==","value":null,"timestamp":7}}"#,
            "\n",
            r#"{"from":0,"record":{"key":null,"value":"x","timestamp":7,"headers":{"h":"1"}}}"#,
            "\n"
        );
        let (_folder, kept) = written(lines.as_bytes());
        assert_eq!(kept.sinks().unwrap(), ["out"]);
        let mut seen = Vec::new();
        let each = |output: KeptOutput<'_>| {
            seen.push((output.from, output.key.to_owned(), output.is_binary));
            assert!(output.record.ends_with('}'));
            Ok(())
        };
        kept.each("out", each).unwrap();
        let owned = |from, key: &str, is_binary| (from, key.to_owned(), is_binary);
        assert_eq!(
            seen,
            [
                owned(3, "\"a\"", false),
                owned(0, "\"/w==\"", true),
                owned(0, "null", false)
            ]
        );
        kept.each("another", |_| panic!("it has no file")).unwrap();
    }

    #[test]
    fn what_is_no_output_is_told_with_its_place_and_nothing_is_followed() {
        for junk in [
            &b"{}\n"[..],
            b"\xff\xfe\n",
            b"[1,2]\n",
            b"{\"from\":1,\"record\":3}\n",
            b"no JSON",
        ] {
            let (_folder, kept) = written(junk);
            let error = kept.each("out", |_| Ok(())).unwrap_err().to_string();
            assert!(error.contains("line 1 of "), "{junk:?}: {error}");
        }
        let (folder, kept) = written(b"");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.jsonl")).unwrap();
        kept.each("link", |_| panic!("it was followed")).unwrap_err();
        std::fs::create_dir(folder.path().join("folder.jsonl")).unwrap();
        kept.each("folder", |_| Ok(())).unwrap_err();
        std::fs::write(folder.path().join("dead-letters.jsonl"), "a\nb\n").unwrap();
        assert_eq!(
            (
                kept.dead_letters().unwrap(),
                kept.sinks().unwrap().contains(&"dead-letters".into())
            ),
            (2, false)
        );
    }
}
