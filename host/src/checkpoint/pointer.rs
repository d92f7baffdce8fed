//! The pointer: what rides in a committed offset's metadata and names the state that belongs to it. Stored text: golden
//! tests hold its form.
//!
//! `sb1:<bundle>:<task>:<seq>:<hash>`; before the first checkpoint `sb1:-:<task>:0:-`. A bounded run's source puts its
//! stop behind it. The hash is that of the bundle's manifest, which holds the hashes of everything else: a pointer
//! vouches for every byte of the state.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// Bytes of metadata that we read and write, at most; Kafka's own default limit is 4096 a partition.
pub const LIMIT: usize = 160;

const FAMILY: &str = "sb";
const PREFIX: &str = "sb1:";
/// Hex digits of a hash: 64 bits tell two attempts apart and find damage; nobody forges what only we may write.
const HASH_DIGITS: usize = 16;
/// Hex digits of a topic's hash in the name of a task.
const TOPIC_DIGITS: usize = 8;
/// Characters of a bundle's name, at most; ours have 26.
const NAME_LIMIT: usize = 40;
/// The longest stop that a source puts behind a pointer: `:<offset>@<8 hex digits>`.
const STOP: usize = 1 + 19 + 1 + 8;

/// Names the state of one task as of one commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer {
    /// The bundle that holds the task's last change; `None`: there was no checkpoint yet, its state is empty.
    pub bundle: Option<String>,
    /// The task: `<source>/<number>`, or `<source>/<number>.<hash of the topic>` if each partition stands for
    /// itself.
    pub task: String,
    /// Counts the task's checkpoints, from 1; 0 if there is no bundle.
    pub seq: u64,
    /// First 16 hex digits of the SHA-256 of the bundle's manifest; `None` if there is no bundle.
    pub hash: Option<String>,
}

/// What a committed offset's metadata turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Metadata {
    /// There is none.
    Absent,
    /// Somebody else wrote it.
    Foreign,
    /// A pointer of ours.
    Ours(Pointer),
}

impl Metadata {
    /// Reads what rode with an offset. Ours and unreadable, or of a version that this build does not know, is an error.
    pub fn read(metadata: Option<&[u8]>) -> Result<Self> {
        let Some(bytes) = metadata.filter(|bytes| !bytes.is_empty()) else {
            return Ok(Metadata::Absent);
        };
        let Ok(text) = std::str::from_utf8(bytes) else {
            return Ok(Metadata::Foreign);
        };
        if version(text).is_none() {
            return Ok(Metadata::Foreign);
        }
        text.parse().map(Metadata::Ours)
    }
}

impl Pointer {
    /// A task before its first checkpoint.
    pub fn first(task: impl Into<String>) -> Self {
        Self {
            bundle: None,
            task: task.into(),
            seq: 0,
            hash: None,
        }
    }

    /// Bytes of the longest metadata that a task of this name may ever need, its source's stop included; [`LIMIT`] is
    /// what there is.
    pub fn longest(task: &str) -> usize {
        PREFIX.len() + super::store::NAME_LENGTH + 1 + task.len() + 1 + 20 + 1 + HASH_DIGITS + STOP
    }
}

impl fmt::Display for Pointer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (bundle, hash) = (self.bundle.as_deref(), self.hash.as_deref());
        write!(
            out,
            "{PREFIX}{}:{}:{}:{}",
            bundle.unwrap_or("-"),
            self.task,
            self.seq,
            hash.unwrap_or("-")
        )
    }
}

impl FromStr for Pointer {
    type Err = Error;

    /// The pointer of a metadata text; what a source put behind it is left out.
    fn from_str(text: &str) -> Result<Self> {
        let broken = |why: &str| {
            let shown: String = text.chars().take(LIMIT).collect();
            Error::new(Kind::Corrupt, format!("failed to read the pointer `{shown}`"), why)
        };
        if text.len() > LIMIT {
            return Err(broken("it is longer than any that Sandbar writes"));
        }
        match version(text) {
            None => return Err(broken("it is none of Sandbar's")),
            Some("1") => {}
            Some(_) => {
                let hint = "run the version of Sandbar that wrote it, or a later one";
                return Err(broken("its version is not one that this build knows").hint(hint));
            }
        }
        parse(text).ok_or_else(|| broken("it begins as a pointer and does not go on as one"))
    }
}

fn parse(text: &str) -> Option<Pointer> {
    let mut fields = text.strip_prefix(PREFIX)?.split(':');
    let (bundle, task, seq, hash) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
    let stop = fields.next();
    let seq = seq.parse().ok().filter(|_| is_number(seq))?;
    let is_whole = fields.next().is_none() && stop.is_none_or(|stop| stop.contains('@')) && is_task(task);
    let pointer = match (bundle, hash) {
        ("-", "-") if seq == 0 => Pointer::first(task),
        ("-", _) | (_, "-") => return None,
        _ if seq > 0 && is_name(bundle) && is_hash(hash) => Pointer {
            bundle: Some(bundle.to_owned()),
            task: task.to_owned(),
            seq,
            hash: Some(hash.to_owned()),
        },
        _ => return None,
    };
    is_whole.then_some(pointer)
}

/// The version of a pointer of any version: `sb<digits>:`. `None`: no pointer.
fn version(text: &str) -> Option<&str> {
    let (digits, _) = text.strip_prefix(FAMILY)?.split_once(':')?;
    (!digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Whether it is the name of an object that we wrote. Names become paths: nothing else may get through.
pub(super) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (2..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(allowed)
}

/// `<source>/<number>`; if each partition stands for itself, a hash of its topic follows: `<source>/<number>.<8 hex
/// digits>`.
fn is_task(text: &str) -> bool {
    let Some((_, number)) = text.rsplit_once('/') else {
        return false;
    };
    let (number, topic) = match number.split_once('.') {
        Some((number, topic)) => (number, Some(topic)),
        None => (number, None),
    };
    let is_topic = |topic: &str| topic.len() == TOPIC_DIGITS && is_hex(topic);
    is_number(number) && number.parse::<i32>().is_ok() && topic.is_none_or(is_topic)
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && is_hex(text)
}

/// Whether it is lower-case hex, as we write it.
pub(super) fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The hash that a pointer carries, from a manifest's SHA-256 in hex.
pub(super) fn short(sha256: &str) -> String {
    sha256.chars().take(HASH_DIGITS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOLDEN: &str = "sb1:0mhzqk3va-0-1y2p0ij32e8e7:views/3:52:9f86d081884c7d65";

    fn golden() -> Pointer {
        Pointer {
            bundle: Some("0mhzqk3va-0-1y2p0ij32e8e7".into()),
            task: "views/3".into(),
            seq: 52,
            hash: Some("9f86d081884c7d65".into()),
        }
    }

    #[test]
    fn the_text_of_a_pointer_never_changes() {
        assert_eq!(golden().to_string(), GOLDEN);
        assert_eq!(Pointer::first("views/3").to_string(), "sb1:-:views/3:0:-");
    }

    #[test]
    fn a_pointer_is_read_back_with_and_without_a_stop() {
        for pointer in [golden(), Pointer::first("views/3"), Pointer::first("views/3.1a2b3c4d")] {
            assert_eq!(pointer.to_string().parse(), Ok(pointer.clone()));
            assert_eq!(format!("{pointer}:4711@5e1e2bca").parse(), Ok(pointer));
        }
    }

    #[test]
    fn absent_and_foreign_metadata_is_told_apart_without_a_panic() {
        assert_eq!(Metadata::read(None), Ok(Metadata::Absent));
        assert_eq!(Metadata::read(Some(b"")), Ok(Metadata::Absent));
        let long = "x".repeat(4096);
        let foreign: [&[u8]; 7] = [
            b"\xff\xfe",
            b"flink",
            b"sb",
            b"sb:",
            b"sbx1:",
            b"SB1:-:a/0:0:-",
            long.as_bytes(),
        ];
        for foreign in foreign {
            assert_eq!(Metadata::read(Some(foreign)), Ok(Metadata::Foreign), "{foreign:?}");
        }
        assert_eq!(Metadata::read(Some(GOLDEN.as_bytes())), Ok(Metadata::Ours(golden())));
    }

    #[test]
    fn what_is_ours_and_cannot_be_read_is_an_error() {
        let long = format!("sb1:-:{}/0:0:-", "x".repeat(LIMIT));
        let broken = [
            "sb1:",
            "sb1:-:views/3:0",
            "sb1:-:views/3:1:-",
            "sb1:-:views:0:-",
            "sb1:-:views/x:0:-",
            "sb1:-:views/99999999999:0:-",
            "sb1:-:views/3.:0:-",
            "sb1:-:views/3.1a2b3c4:0:-",
            "sb1:-:views/3.1A2B3C4D:0:-",
            "sb1:-:views/3.1a2b3c4d.1:0:-",
            "sb1:-:views/.1a2b3c4d:0:-",
            "sb1:-:views/3:+0:-",
            "sb1:ab:views/3:0:9f86d081884c7d65",
            "sb1:ab:views/3:1:-",
            "sb1:ab:views/3:1:9f86d081884c7d6",
            "sb1:ab:views/3:1:9F86D081884C7D65",
            "sb1:../../x:views/3:1:9f86d081884c7d65",
            "sb1:ab:views/3:1:9f86d081884c7d65:x",
            "sb1:ab:views/3:1:9f86d081884c7d65:5@1:y",
            "sb1:ab:views/3:99999999999999999999:9f86d081884c7d65",
            long.as_str(),
        ];
        for text in broken {
            let error = Metadata::read(Some(text.as_bytes())).unwrap_err();
            assert_eq!(error.kind, Kind::Corrupt, "{text}");
        }
        let later = Metadata::read(Some(b"sb2:whatever")).unwrap_err();
        assert!(later.why.contains("version") && later.hint.is_some(), "{later}");
    }

    #[test]
    fn the_longest_pointer_of_an_ordinary_name_fits() {
        let task = format!("{}/{}", "n".repeat(50), i32::MAX);
        assert!(Pointer::longest(&task) <= LIMIT);
        let longest = Pointer {
            bundle: Some(super::super::store::new_name(511)),
            task: task.clone(),
            seq: u64::MAX,
            hash: Some("0".repeat(HASH_DIGITS)),
        };
        let text = format!("{longest}:{}@00000000", i64::MAX);
        assert!(text.len() <= Pointer::longest(&task));
        assert_eq!(text.parse(), Ok(longest));
    }

    #[test]
    fn a_task_of_one_of_several_topics_that_do_not_meet_is_read_back() {
        let pointer = Pointer {
            bundle: Some("0mhzqk3va-0-1y2p0ij32e8e7".into()),
            task: "views/3.83af444b".into(),
            seq: 7,
            hash: Some("9f86d081884c7d65".into()),
        };
        assert_eq!(pointer.to_string().parse(), Ok(pointer.clone()));
        for wrong in [
            "views/3.83af",
            "views/3.83AF444B",
            "views/.83af444b",
            "views/3.83af444b.",
            "views/3.",
        ] {
            let text = pointer.to_string().replace("views/3.83af444b", wrong);
            assert!(text.parse::<Pointer>().is_err(), "{text}");
        }
    }
}
