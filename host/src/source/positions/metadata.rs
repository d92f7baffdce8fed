//! The text that rides with every offset that we commit: the pointer. Stored bytes: golden tests below hold its form.
//!
//! `sb1:-:<task>:0:-`, and for a bounded run `:<stop>@<setting>` behind it, so that a restart ends where the first
//! start said.

use sha2::{Digest, Sha256};

use crate::config::Stop;

const PREFIX: &str = "sb1:";

/// Kafka's default limit is 4096 bytes a partition; ours leaves room for every other user of the group's offsets.
pub(in crate::source) const LIMIT: usize = 160;

/// Where a bounded run ends, and the setting that said so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) struct KeptStop {
    pub(in crate::source) at: i64,
    pub(in crate::source) setting: u32,
}

/// The pointer of an offset that belongs to no checkpoint.
pub(in crate::source) fn pointer(task: &str, stop: Option<KeptStop>) -> String {
    with_stop(&format!("{PREFIX}-:{task}:0:-"), stop)
}

/// What rides with an offset: its pointer, and where the run ends.
pub(in crate::source) fn with_stop(pointer: &str, stop: Option<KeptStop>) -> String {
    match stop {
        Some(stop) => format!("{pointer}:{}", text(stop)),
        None => pointer.to_owned(),
    }
}

/// A stop as it is kept.
pub(in crate::source) fn text(KeptStop { at, setting }: KeptStop) -> String {
    format!("{at}@{setting:08x}")
}

/// Whether an offset was committed by Sandbar; any other counts for `group-offsets` only.
pub(in crate::source) fn is_ours(metadata: &str) -> bool {
    metadata.starts_with(PREFIX)
}

/// The stop that an earlier start of ours resolved.
pub(in crate::source) fn kept_stop(metadata: &str) -> Option<KeptStop> {
    let field = metadata.strip_prefix(PREFIX)?.split(':').nth(4)?;
    let (at, setting) = field.split_once('@')?;
    Some(KeptStop {
        at: at.parse().ok().filter(|at| *at >= 0)?,
        setting: u32::from_str_radix(setting, 16).ok().filter(|_| setting.len() == 8)?,
    })
}

/// Identifies a stop setting: a kept stop counts only under the setting that it was resolved from.
pub(in crate::source) fn setting(stop: &Stop) -> u32 {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_pointer_never_changes() {
        assert_eq!(pointer("views/3", None), "sb1:-:views/3:0:-");
        let stop = KeptStop {
            at: 4711,
            setting: setting(&Stop::Latest),
        };
        assert_eq!(pointer("views/3", Some(stop)), "sb1:-:views/3:0:-:4711@5e1e2bca");
    }

    #[test]
    fn a_kept_stop_is_read_back() {
        let stop = KeptStop {
            at: i64::MAX,
            setting: 0xfe,
        };
        let longest = pointer(&"n".repeat(100), Some(stop));
        assert_eq!(kept_stop(&longest), Some(stop));
        assert!(longest.len() <= LIMIT);
    }

    #[test]
    fn a_stop_rides_behind_any_pointer() {
        let stop = KeptStop {
            at: 4711,
            setting: 0x5e1e_2bca,
        };
        let text = with_stop("sb1:w0-17:views/3:12:0123456789abcdef", Some(stop));
        assert_eq!(text, "sb1:w0-17:views/3:12:0123456789abcdef:4711@5e1e2bca");
        assert_eq!(kept_stop(&text), Some(stop));
        assert_eq!(with_stop("sb1:x", None), "sb1:x");
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
            assert_eq!(kept_stop(text), None, "{text}");
        }
        assert!(is_ours("sb1:anything") && !is_ours("") && !is_ours("xsb1:"));
    }

    #[test]
    fn another_setting_has_another_identity() {
        let offsets = |at| Stop::Offsets([("a".to_owned(), [(0, at)].into())].into());
        let all = [
            setting(&Stop::Latest),
            setting(&Stop::GroupOffsets),
            setting(&Stop::Timestamp(5)),
            setting(&Stop::Timestamp(6)),
            setting(&offsets(5)),
            setting(&offsets(6)),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
