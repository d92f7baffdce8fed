//! The journal: everything that the broker must still know after its end and that no log says.
//!
//! One file of lines, each a checksum and an event. An event is in the file before it is answered. When the file has
//! grown to a multiple of what it says, it is replaced by a shorter one that says the same.

use super::position::JournalPosition;
use crate::broker::configs::topic::TopicConfig;
use crate::broker::transactions::transaction::Transaction;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

/// Below this size the journal is left as it is.
const SHORT: u64 = 4 << 20;

/// Something that happened. The fold over all of them is the state.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::broker) enum JournalEvent {
    /// The cluster got its name.
    Named { cluster: String },
    /// A topic was created.
    Created {
        topic: String,
        id: u128,
        partitions: usize,
        #[serde(default, skip_serializing_if = "TopicConfig::is_empty")]
        config: TopicConfig,
    },
    /// A topic got other settings; all that it has from now on.
    Configured { topic: String, config: TopicConfig },
    /// A topic got more partitions; their number in all.
    Grown { topic: String, partitions: usize },
    /// A topic was deleted, and what groups had committed for it.
    Deleted { topic: String },
    /// The records before an offset were deleted.
    Begins {
        topic: String,
        partition: usize,
        offset: i64,
    },
    /// A group committed a position.
    Committed {
        group: String,
        topic: String,
        partition: i32,
        position: JournalPosition,
    },
    /// A group was deleted, and what it had committed.
    Forgotten { group: String },
    /// Producer ids below this one may have been given out.
    ProducerIds { below: i64 },
    /// Everything about a transactional id, in the place of what was said of it before.
    Transaction { id: String, transaction: Transaction },
}

/// The journal's file; none for a broker without a folder.
#[derive(Debug)]
pub(in crate::broker) struct Journal {
    file: Option<(PathBuf, File)>,
    size: u64,
    short: u64,
}

impl Journal {
    /// A journal that forgets.
    pub(in crate::broker) fn none() -> Self {
        Self {
            file: None,
            size: 0,
            short: SHORT,
        }
    }

    /// Opens the journal and reads its events up to the torn rest of a write that was never answered, which is cut off.
    pub(in crate::broker) fn open(path: &Path) -> io::Result<(Self, Vec<JournalEvent>)> {
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let mut events = Vec::new();
        let mut size = 0;
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            let Some(event) = read(line) else { break };
            events.push(event);
            size += line.len() as u64;
        }
        file.set_len(size)?;
        let journal = Self {
            file: Some((path.to_owned(), file)),
            size,
            short: SHORT,
        };
        Ok((journal, events))
    }

    /// Writes events; when it returns they survive the process.
    pub(in crate::broker) fn append(&mut self, events: &[JournalEvent]) -> io::Result<()> {
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let lines = write(events)?;
        if let Err(error) = file.write_all(&lines) {
            file.set_len(self.size)?;
            return Err(error);
        }
        self.size += lines.len() as u64;
        Ok(())
    }

    /// Whether it is time to replace it by what it says.
    pub(in crate::broker) fn is_long(&self) -> bool {
        self.size > self.short
    }

    /// Replaces everything in it by these events.
    pub(in crate::broker) fn replace(&mut self, events: &[JournalEvent]) -> io::Result<()> {
        let Some((path, file)) = &mut self.file else {
            return Ok(());
        };
        let lines = write(events)?;
        let next = path.with_extension("new");
        fs::write(&next, &lines)?;
        fs::rename(&next, &*path)?;
        *file = OpenOptions::new().append(true).open(&*path)?;
        self.size = lines.len() as u64;
        self.short = SHORT.max(4 * self.size);
        Ok(())
    }
}

fn write(events: &[JournalEvent]) -> io::Result<Vec<u8>> {
    let mut lines = Vec::new();
    for event in events {
        let event = serde_json::to_vec(event)?;
        writeln!(
            lines,
            "{:08x} {}",
            crc32c::crc32c(&event),
            String::from_utf8_lossy(&event)
        )?;
    }
    Ok(lines)
}

fn read(line: &[u8]) -> Option<JournalEvent> {
    let (checksum, event) = line.strip_suffix(b"\n")?.split_at_checked(9)?;
    let checksum = u32::from_str_radix(std::str::from_utf8(checksum).ok()?.trim_end(), 16).ok()?;
    (crc32c::crc32c(event) == checksum).then(|| serde_json::from_slice(event).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn committed(offset: i64) -> JournalEvent {
        JournalEvent::Committed {
            group: "g".into(),
            topic: "t".into(),
            partition: 0,
            position: JournalPosition {
                offset,
                leader_epoch: -1,
                metadata: "\u{0}\n\"ü".into(),
                order: 3,
            },
        }
    }

    #[test]
    fn a_torn_last_line_is_cut_off_and_the_journal_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, events) = Journal::open(&path).unwrap();
        assert!(events.is_empty());
        journal.append(&[committed(1), committed(2)]).unwrap();
        let whole = fs::read(&path).unwrap();
        fs::write(&path, &whole[..whole.len() - 3]).unwrap();

        let (mut journal, events) = Journal::open(&path).unwrap();
        assert_eq!(events, [committed(1)]);
        journal.append(&[committed(3)]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [committed(1), committed(3)]);
    }

    #[test]
    fn a_position_of_before_there_were_transactions_is_read() {
        let position = r#"{"offset":9,"leader_epoch":-1,"metadata":"m"}"#;
        let line = format!(r#"{{"committed":{{"group":"g","topic":"t","partition":0,"position":{position}}}}}"#);
        let line = format!("{:08x} {line}\n", crc32c::crc32c(line.as_bytes()));
        let Some(JournalEvent::Committed { position, .. }) = read(line.as_bytes()) else {
            panic!("it is not read")
        };
        assert_eq!((position.offset, position.order), (9, 0));
    }

    #[test]
    fn a_replaced_journal_says_what_it_was_given_and_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let (mut journal, _) = Journal::open(&path).unwrap();
        journal.append(&[committed(1), committed(2)]).unwrap();
        journal.replace(&[committed(2)]).unwrap();
        journal.append(&[committed(4)]).unwrap();
        assert_eq!(Journal::open(&path).unwrap().1, [committed(2), committed(4)]);
    }
}
