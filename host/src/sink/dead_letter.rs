//! What a dead letter looks like: the record as it was, and in headers who refused it, why, and where it came from.
//!
//! The names of the headers are a promise to programs that read dead letters:
//!
//! | header | its text |
//! |---|---|
//! | `sandbar-pipeline` | name of the pipeline |
//! | `sandbar-operator` | name of the operator in it |
//! | `sandbar-kind` | `dead-letter`: the plugin refused the record; `fault`: it trapped or broke a limit on it |
//! | `sandbar-reason` | why, 4096 bytes at most; a longer one ends with `…` |
//! | `sandbar-topic` | topic of the record's source, or the file's name |
//! | `sandbar-partition` | partition there |
//! | `sandbar-offset` | offset there |
//! | `sandbar-timestamp` | the record's event time, milliseconds since 1970 |
//!
//! Key, value and event time are the record's own; its headers come first, untouched. Where a dead letter that was sent through again dies again, the last
//! header of a name is the newest.

use crate::record::{Records, TopicPartition};

/// Bytes of a reason, at most: the record around it must stay deliverable.
const REASON_BYTES: usize = 4096;

/// Why a record died.
#[derive(Debug, Clone, Copy)]
pub struct Why<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// Name of the operator.
    pub operator: &'a str,
    /// What kind of refusal it was.
    pub kind: Kind,
    /// Why, for a person.
    pub reason: &'a str,
    /// Where the record came from.
    pub partition: &'a TopicPartition,
}

/// Kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The plugin refused the record.
    DeadLetter,
    /// The plugin trapped or broke a limit on the record.
    Fault,
}

impl Kind {
    /// The kind's name in the header.
    pub fn name(self) -> &'static str {
        match self {
            Kind::DeadLetter => "dead-letter",
            Kind::Fault => "fault",
        }
    }
}

/// Adds record `index` of `from` to the dead letters in `into`.
pub fn append(into: &mut Records, from: &Records, index: usize, why: &Why<'_>) {
    let at = into.len() as u32;
    into.push_from(from, index);
    let mut header = |name: &str, value: &str| into.headers.push(at, name.as_bytes(), Some(value.as_bytes()));
    header("sandbar-pipeline", why.pipeline);
    header("sandbar-operator", why.operator);
    header("sandbar-kind", why.kind.name());
    header("sandbar-reason", &bounded(why.reason));
    header("sandbar-topic", &why.partition.topic);
    header("sandbar-partition", &why.partition.partition.to_string());
    header("sandbar-offset", &from.offsets[index].to_string());
    header("sandbar-timestamp", &from.timestamps[index].to_string());
}

/// The reason, cut between two characters where it is too long.
fn bounded(reason: &str) -> std::borrow::Cow<'_, str> {
    if reason.len() <= REASON_BYTES {
        return reason.into();
    }
    let end = reason.floor_char_boundary(REASON_BYTES - '…'.len_utf8());
    format!("{}…", &reason[..end]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letter(reason: &str) -> Records {
        let mut from = Records::default();
        from.keys.push(None);
        from.values.push(Some(b"\xff raw"));
        from.timestamps.push(1_700_000_000_000);
        from.headers.push(0, b"trace", Some(b"\x00\x01"));
        from.offsets.push(4711);
        let mut into = Records::default();
        let why = Why {
            pipeline: "views",
            operator: "parse",
            kind: Kind::Fault,
            reason,
            partition: &TopicPartition::new("raw-views", 3),
        };
        append(&mut into, &from, 0, &why);
        into
    }

    #[test]
    fn a_dead_letter_is_the_record_as_it_was_and_headers_that_say_why() {
        let letter = letter("not JSON");
        assert_eq!(
            (letter.keys.get(0), letter.values.get(0)),
            (None, Some(&b"\xff raw"[..]))
        );
        assert_eq!((letter.timestamps[0], letter.offsets[0]), (1_700_000_000_000, 4711));
        let headers: Vec<_> = letter.headers.of(0).collect();
        let golden: [(&[u8], Option<&[u8]>); 9] = [
            (b"trace", Some(b"\x00\x01")),
            (b"sandbar-pipeline", Some(b"views")),
            (b"sandbar-operator", Some(b"parse")),
            (b"sandbar-kind", Some(b"fault")),
            (b"sandbar-reason", Some(b"not JSON")),
            (b"sandbar-topic", Some(b"raw-views")),
            (b"sandbar-partition", Some(b"3")),
            (b"sandbar-offset", Some(b"4711")),
            (b"sandbar-timestamp", Some(b"1700000000000")),
        ];
        assert_eq!(headers, golden);
        assert_eq!((Kind::DeadLetter.name(), Kind::Fault.name()), ("dead-letter", "fault"));
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        for shift in 0..4 {
            let letter = letter(&format!("{}{}", "x".repeat(shift), "🦀".repeat(5000)));
            let (_, reason) = letter.headers.of(0).nth(4).unwrap();
            let reason = std::str::from_utf8(reason.unwrap()).unwrap();
            assert!(
                reason.len() <= REASON_BYTES && reason.len() > REASON_BYTES - 8,
                "{}",
                reason.len()
            );
            assert!(reason.ends_with('…'));
        }
        assert_eq!(bounded(&"x".repeat(REASON_BYTES)).len(), REASON_BYTES);
    }
}
