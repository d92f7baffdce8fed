//! The string that Kafka stores with a committed offset, whole: the pointer, which names the state that belongs to the
//! offset, and the stop of a bounded run. Stored text: golden tests hold its form.
//!
//! ```text
//! sb1:<bundle>:<task>:<seq>:<hash>[:<stop>@<setting>][:w<watermark>]
//! ```
//!
//! Without a checkpoint the pointer is `sb1:-:<task>:0:-`. The hash is that of the bundle's manifest, which holds the
//! hashes of everything else: a pointer vouches for every byte of the state. The stop stands behind it so that a
//! restart ends at the offset that the first start resolved. The partition's watermark, with `i` instead of `w` if it
//! is idle, is for the members of the group whose own partitions are idle.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest, Sha256};

use crate::clock::LATEST_EVENT_TIME;
use crate::config::Stop;
use crate::error::{Error, Kind, Result};
use crate::task_id;

/// Bytes of metadata that we read and write, at most. Kafka's own default limit is 4096 a partition; ours leaves room
/// for every other user of the group's offsets.
pub const LIMIT: usize = 160;
/// Characters of the name of a bundle or a base that we write.
pub const NAME_LENGTH: usize = 26;

const FAMILY: &str = "sb";
const PREFIX: &str = "sb1:";
/// Hex digits of a hash: 64 bits tell two attempts apart and find damage; nobody forges what only we may write.
const HASH_DIGITS: usize = 16;
/// Characters of a bundle's name that is read, at most.
const NAME_LIMIT: usize = 40;
/// Hex digits of a stop's setting.
const SETTING_DIGITS: usize = 8;
/// The longest stop behind a pointer: `:<offset>@<8 hex digits>`.
const STOP: usize = 1 + 19 + 1 + SETTING_DIGITS;

/// Names the state of one task as of one commit.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Pointer {
    /// The bundle that holds the task's last change; `None`: there was no checkpoint yet, its state is empty.
    pub bundle: Option<String>,
    /// The task's name, as `task_id` makes it.
    pub task: String,
    /// Counts the task's checkpoints, from 1; 0 if there is no bundle.
    pub seq: u64,
    /// First 16 hex digits of the SHA-256 of the bundle's manifest; `None` if there is no bundle.
    pub hash: Option<String>,
}

/// Where a bounded run ends in a partition, and the setting that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeptStop {
    /// The offset, exclusive.
    pub at: i64,
    /// See [`stop_setting`].
    pub setting: u32,
}

/// Where the event time of a partition stood when its offset was committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PartitionTime {
    /// Its watermark, in milliseconds since 1970.
    pub watermark: i64,
    /// It brought nothing for a while, and holds nobody's time back.
    pub is_idle: bool,
}

impl PartitionTime {
    /// Puts it behind a pointer and its stop, unless there is no room for it: nobody needs it but idle partitions.
    pub fn behind(self, metadata: String) -> String {
        let sign = if self.is_idle { 'i' } else { 'w' };
        let with_time = format!("{metadata}:{sign}{}", self.watermark);
        if with_time.len() <= LIMIT { with_time } else { metadata }
    }

    /// What a metadata of ours says of it.
    pub fn read(metadata: &str) -> Option<Self> {
        let (_, last) = metadata.strip_prefix(PREFIX)?.rsplit_once(':')?;
        let is_idle = match last.chars().next()? {
            'w' => false,
            'i' => true,
            _ => return None,
        };
        let watermark = last[1..]
            .parse()
            .ok()
            .filter(|watermark| *watermark <= LATEST_EVENT_TIME)?;
        metadata.parse::<Pointer>().ok()?;
        Some(Self { watermark, is_idle })
    }
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

    /// What is stored with an offset: the pointer, and the stop of a bounded run.
    pub fn with_stop(&self, stop: Option<KeptStop>) -> String {
        match stop {
            Some(stop) => format!("{self}:{stop}"),
            None => self.to_string(),
        }
    }

    /// Bytes of the longest metadata that a task of this name may ever need, its source's stop included; [`LIMIT`] is
    /// what there is.
    pub fn longest(task: &str) -> usize {
        PREFIX.len() + NAME_LENGTH + 1 + task.len() + 1 + 20 + 1 + HASH_DIGITS + STOP
    }
}

impl KeptStop {
    /// The stop that an earlier start of ours resolved, if the metadata has one.
    pub fn read(metadata: &str) -> Option<Self> {
        let field = metadata.strip_prefix(PREFIX)?.split(':').nth(4)?;
        let (at, setting) = field.split_once('@')?;
        Some(KeptStop {
            at: at.parse().ok().filter(|at| *at >= 0)?,
            setting: u32::from_str_radix(setting, 16)
                .ok()
                .filter(|_| setting.len() == SETTING_DIGITS)?,
        })
    }
}

impl fmt::Display for KeptStop {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}@{:0SETTING_DIGITS$x}", self.at, self.setting)
    }
}

/// Identifies a stop setting: a kept stop counts only under the setting that it was resolved from.
pub fn stop_setting(stop: &Stop) -> u32 {
    let text = match stop {
        Stop::GroupOffsets => "group-offsets".to_owned(),
        Stop::Latest => "latest".to_owned(),
        Stop::Timestamp(at) => format!("timestamp {at}"),
        Stop::Offsets(offsets) => offsets
            .iter()
            .flat_map(|(topic, of)| of.iter().map(move |(number, at)| format!("{topic}/{number}={at}\n")))
            .collect(),
    };
    let hash = Sha256::digest(text.as_bytes());
    u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])
}

/// Whether an offset was committed by Sandbar; any other counts for `group-offsets` only.
pub fn is_ours(metadata: &str) -> bool {
    metadata.starts_with(PREFIX)
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
    let mut behind = fields.next();
    if behind.is_some_and(|stop| stop.contains('@')) {
        behind = fields.next();
    }
    let seq = seq.parse().ok().filter(|_| task_id::is_number(seq))?;
    let is_whole = fields.next().is_none() && behind.is_none_or(is_time) && task_id::is_one(task);
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

fn is_time(text: &str) -> bool {
    let digits = text.strip_prefix(['w', 'i']);
    digits.is_some_and(|digits| digits.parse::<i64>().is_ok_and(|at| at.to_string() == digits))
}

/// The version of a pointer of any version: `sb<digits>:`. `None`: no pointer.
fn version(text: &str) -> Option<&str> {
    let (digits, _) = text.strip_prefix(FAMILY)?.split_once(':')?;
    (!digits.is_empty() && digits.len() <= 3 && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(digits)
}

/// Whether it is the name of an object that we wrote. Names become paths: nothing else may get through.
pub fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (2..=NAME_LIMIT).contains(&text.len()) && text.bytes().all(allowed)
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && is_hex(text)
}

/// Whether it is lower-case hex, as we write it.
pub fn is_hex(text: &str) -> bool {
    text.bytes()
        .all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

/// The hash that a pointer carries, from a manifest's SHA-256 in hex.
pub fn short(sha256: &str) -> String {
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
            "sb1:ab:views/3:1:9f86d081884c7d65:w",
            "sb1:ab:views/3:1:9f86d081884c7d65:w+5",
            "sb1:ab:views/3:1:9f86d081884c7d65:w5:5@1",
            "sb1:ab:views/3:1:9f86d081884c7d65:5@1:w5:w5",
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
            bundle: Some("n".repeat(NAME_LENGTH)),
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

    #[test]
    fn the_text_of_a_first_pointer_never_changes() {
        assert_eq!(Pointer::first("views/3").with_stop(None), "sb1:-:views/3:0:-");
        let stop = KeptStop {
            at: 4711,
            setting: stop_setting(&Stop::Latest),
        };
        assert_eq!(
            Pointer::first("views/3").with_stop(Some(stop)),
            "sb1:-:views/3:0:-:4711@5e1e2bca"
        );
    }

    #[test]
    fn a_kept_stop_is_read_back() {
        let stop = KeptStop {
            at: i64::MAX,
            setting: 0xfe,
        };
        let longest = Pointer::first("n".repeat(100)).with_stop(Some(stop));
        assert_eq!(KeptStop::read(&longest), Some(stop));
        assert!(longest.len() <= LIMIT);
    }

    #[test]
    fn a_stop_rides_behind_any_pointer() {
        let stop = KeptStop {
            at: 4711,
            setting: 0x5e1e_2bca,
        };
        let text = golden().with_stop(Some(stop));
        assert_eq!(text, format!("{GOLDEN}:4711@5e1e2bca"));
        assert_eq!(KeptStop::read(&text), Some(stop));
        assert_eq!(golden().with_stop(None), GOLDEN);
    }

    #[test]
    fn the_time_of_a_partition_rides_last_and_hides_nothing() {
        let stop = KeptStop {
            at: 4711,
            setting: 0x5e1e_2bca,
        };
        let time = |watermark, is_idle| PartitionTime { watermark, is_idle };
        for (metadata, kept) in [
            (golden().with_stop(None), None),
            (golden().with_stop(Some(stop)), Some(stop)),
        ] {
            assert_eq!(PartitionTime::read(&metadata), None);
            for (at, text) in [
                (time(-1, true), "i-1"),
                (time(1_700_000_000_000, false), "w1700000000000"),
            ] {
                let ridden = at.behind(metadata.clone());
                assert_eq!(ridden, format!("{metadata}:{text}"));
                assert_eq!(PartitionTime::read(&ridden), Some(at));
                assert_eq!(ridden.parse(), Ok(golden()));
                assert_eq!(KeptStop::read(&ridden), kept);
            }
        }
        let long = "x".repeat(LIMIT - 2);
        assert_eq!(time(5, false).behind(long.clone()), long, "there is no room for it");
        assert_eq!(PartitionTime::read("w5"), None);
        assert_eq!(
            PartitionTime::read(&time(i64::MAX, false).behind(GOLDEN.to_owned())),
            None,
            "nobody's time is that"
        );
        assert_eq!(PartitionTime::read("sb1:nonsense:w5"), None);
    }

    #[test]
    fn what_is_not_ours_or_has_no_stop_keeps_none() {
        for text in [
            "",
            "sb1:",
            "sb1:-:a/0:0:-",
            "sb2:-:a/0:0:-:5@00000000",
            "sb1:-:a/0:0:-:x@00000000",
            "sb1:-:a/0:0:-:-1@00000000",
            "sb1:-:a/0:0:-:5@1",
        ] {
            assert_eq!(KeptStop::read(text), None, "{text}");
        }
        assert!(is_ours("sb1:anything") && !is_ours("") && !is_ours("xsb1:"));
    }

    #[test]
    fn another_setting_has_another_identity() {
        let offsets = |at| Stop::Offsets([("a".to_owned(), [(0, at)].into())].into());
        let all = [
            stop_setting(&Stop::Latest),
            stop_setting(&Stop::GroupOffsets),
            stop_setting(&Stop::Timestamp(5)),
            stop_setting(&Stop::Timestamp(6)),
            stop_setting(&offsets(5)),
            stop_setting(&offsets(6)),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
