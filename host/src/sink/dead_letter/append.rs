//! What a dead letter looks like: the record as it was, as far as it fits, and in headers who refused it, why, and
//! where it came from.
//!
//! The names of the headers are a promise to programs that read dead letters:
//!
//! | header | its text |
//! |---|---|
//! | `sandbar-pipeline` | name of the pipeline |
//! | `sandbar-operator` | name of the operator in it that the record died in |
//! | `sandbar-sink` | instead: name of the sink whose topic refused it |
//! | `sandbar-source` | instead: name of the source, if the record's event time cannot be |
//! | `sandbar-kind` | `dead-letter`: the plugin refused the record; `fault`: it trapped or broke a limit on it; `refused`: Kafka refused the output; `bad-time`: its event time cannot be |
//! | `sandbar-reason` | why, 4096 bytes at most; a longer one ends with `…` |
//! | `sandbar-backtrace` | of a fault: the plugin's stack, the innermost function first, with source lines if it has them |
//! | `sandbar-timer` | name of the timer that was at fault: there is no record, the key and the time are the timer's |
//! | `sandbar-topic` | topic of the record's source, or the file's name |
//! | `sandbar-partition` | partition there |
//! | `sandbar-offset` | offset there |
//! | `sandbar-timestamp` | the record's event time, milliseconds since 1970 |
//! | `sandbar-null-key` | `true`: the record has no key, and the dead letter's is where it came from |
//! | `sandbar-headers-bytes` | the record's headers had so many bytes, and were left out |
//! | `sandbar-key-bytes`, `sandbar-value-bytes` | key or value had so many bytes, and is cut |
//!
//! `sandbar dead-letters replay` gives the record that it sends again `sandbar-replayed`: `topic/partition/offset` of
//! the letter. Behind the letter it leaves one of kind `replayed` with the same header and no value, so that the letter
//! is not replayed twice.
//!
//! A dead letter must not share the fault of its record, so it always fits: its own time is the present, it has a key,
//! and what its topic does not take is cut. Else key, value and headers are the record's own; its headers come first.
//! If a dead letter that was sent through again dies again, the last header of a name is the newest.

use crate::clock;
use crate::record::{Records, TopicPartition};

/// Bytes of a reason, at most: the record around it must stay deliverable.
const REASON_BYTES: usize = 4096;
/// What a record costs in a batch beside its bytes, and a batch beside its records; rather too much.
const FRAME_BYTES: usize = 256;
/// What a header costs beside its bytes.
const HEADER_BYTES: usize = 10;
/// What a topic takes if nobody says otherwise: Kafka's own default.
pub const USUAL_BYTES: usize = 1_048_588;
/// A dead letter fits into so many bytes whatever it is of; a topic that takes less is none for dead letters.
pub const LEAST_BYTES: usize = 16 << 10;

/// Why a record died.
#[derive(Debug, Clone, Copy)]
pub struct DeathReason<'a> {
    /// Name of the pipeline.
    pub pipeline: &'a str,
    /// What refused it.
    pub by: By<'a>,
    /// What kind of refusal it was.
    pub kind: RefusalKind,
    /// Why, for a person.
    pub reason: &'a str,
    /// Where the plugin was, if it was at fault; empty if that is not known.
    pub backtrace: &'a str,
    /// The timer that was at fault, if it was one.
    pub timer: Option<&'a str>,
    /// Where the record came from.
    pub partition: &'a TopicPartition,
}

/// What refused a record, by its name in the pipeline.
#[derive(Debug, Clone, Copy)]
pub enum By<'a> {
    /// A source, for the record's event time.
    Source(&'a str),
    /// The plugin of an operator.
    Operator(&'a str),
    /// The topic of a sink.
    Sink(&'a str),
}

/// Kind of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalKind {
    /// The plugin refused the record.
    DeadLetter,
    /// The plugin trapped or broke a limit on the record.
    Fault,
    /// Kafka refused what was put out.
    Refused,
    /// The record's event time cannot be.
    BadTime,
}

impl RefusalKind {
    /// The kind's name in the header.
    pub fn name(self) -> &'static str {
        match self {
            RefusalKind::DeadLetter => "dead-letter",
            RefusalKind::Fault => "fault",
            RefusalKind::Refused => "refused",
            RefusalKind::BadTime => "bad-time",
        }
    }
}

/// Adds record `index` of `from` to the dead letters in `into`, cut to `most` bytes if it has more.
pub fn append(into: &mut Records, from: &Records, index: usize, why: &DeathReason<'_>, most: usize) {
    let at = into.len() as u32;
    let mut said = said(from, index, why);
    let place = format!("{}/{}", why.partition, from.offsets[index]);
    let (key, value) = (from.keys.get(index), from.values.get(index).map(<[u8]>::to_vec));
    if key.is_none() {
        said.push(("sandbar-null-key", "true".to_owned()));
    }
    let mut letter = Letter {
        key: key.map_or_else(|| place.into_bytes(), <[u8]>::to_vec),
        value,
        headers: from.headers.of(index as u32).collect(),
        said,
    };
    letter.fit(most.max(LEAST_BYTES));
    into.keys.push(Some(&letter.key));
    into.values.push(letter.value.as_deref());
    into.timestamps.push(clock::wall_ms());
    into.offsets.push(from.offsets[index]);
    for (name, value) in letter.headers {
        into.headers.push(at, name, value);
    }
    for (name, value) in &letter.said {
        into.headers.push(at, name.as_bytes(), Some(value.as_bytes()));
    }
}

/// The headers that every dead letter has.
fn said(from: &Records, index: usize, why: &DeathReason<'_>) -> Vec<(&'static str, String)> {
    let by = match why.by {
        By::Source(name) => ("sandbar-source", name.to_owned()),
        By::Operator(name) => ("sandbar-operator", name.to_owned()),
        By::Sink(name) => ("sandbar-sink", name.to_owned()),
    };
    let mut said = vec![
        ("sandbar-pipeline", why.pipeline.to_owned()),
        by,
        ("sandbar-kind", why.kind.name().to_owned()),
        ("sandbar-reason", bounded(why.reason).into_owned()),
        ("sandbar-topic", why.partition.topic.to_string()),
        ("sandbar-partition", why.partition.partition.to_string()),
        ("sandbar-offset", from.offsets[index].to_string()),
        ("sandbar-timestamp", from.timestamps[index].to_string()),
    ];
    if !why.backtrace.is_empty() {
        said.push(("sandbar-backtrace", bounded(why.backtrace).into_owned()));
    }
    said.extend(why.timer.map(|name| ("sandbar-timer", name.to_owned())));
    said
}

struct Letter<'a> {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    headers: Vec<(&'a [u8], Option<&'a [u8]>)>,
    said: Vec<(&'static str, String)>,
}

impl Letter<'_> {
    /// Headers go first, then the end of the value, then that of the key.
    fn fit(&mut self, most: usize) {
        if self.bytes() <= most {
            return;
        }
        let of_header = |(name, value): &(&[u8], Option<&[u8]>)| name.len() + value.map_or(0, <[u8]>::len);
        let headers: usize = self.headers.iter().map(of_header).sum();
        if headers > 0 {
            self.headers.clear();
            self.said.push(("sandbar-headers-bytes", headers.to_string()));
        }
        let value = self.value.as_ref().map_or(0, Vec::len);
        if let Some(of_value) = self.excess(most).filter(|_| value > 0) {
            self.said.push(("sandbar-value-bytes", value.to_string()));
            self.value = self.value.take().map(|mut value| {
                value.truncate(value.len().saturating_sub(of_value));
                value
            });
        }
        let key = self.key.len();
        if let Some(of_key) = self.excess(most) {
            self.said.push(("sandbar-key-bytes", key.to_string()));
            self.key.truncate(key.saturating_sub(of_key));
        }
    }

    /// How much has to go, with room for a header that says so.
    fn excess(&self, most: usize) -> Option<usize> {
        const SAYING_SO: usize = 64;
        let bytes = self.bytes();
        (bytes > most).then(|| bytes - most + SAYING_SO)
    }

    /// What it comes to in a batch of its own; rather too much.
    fn bytes(&self) -> usize {
        let own = self
            .headers
            .iter()
            .map(|(name, value)| name.len() + value.map_or(0, <[u8]>::len) + HEADER_BYTES);
        let said = self
            .said
            .iter()
            .map(|(name, value)| name.len() + value.len() + HEADER_BYTES);
        FRAME_BYTES
            + self.key.len()
            + self.value.as_ref().map_or(0, Vec::len)
            + own.sum::<usize>()
            + said.sum::<usize>()
    }
}

/// The reason, cut between two characters if it is too long.
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

    /// A record that says nothing of itself but its sizes, and its dead letter.
    fn letter_of(key: Option<&[u8]>, value: &[u8], header: &[u8], reason: &str, most: usize) -> Records {
        let mut from = Records::default();
        from.keys.push(key);
        from.values.push(Some(value));
        from.timestamps.push(1_700_000_000_000);
        from.headers.push(0, b"trace", Some(header));
        from.offsets.push(4711);
        let mut into = Records::default();
        let why = DeathReason {
            pipeline: "views",
            by: By::Operator("parse"),
            kind: RefusalKind::Fault,
            reason,
            backtrace: "",
            timer: None,
            partition: &TopicPartition::new("raw-views", 3),
        };
        append(&mut into, &from, 0, &why, most);
        into
    }

    fn letter(reason: &str) -> Records {
        letter_of(None, b"\xff raw", b"\x00\x01", reason, usize::MAX)
    }

    fn header(letter: &Records, name: &str) -> Option<String> {
        let mut headers = letter.headers.of(0);
        let (_, value) = headers.find(|(own, _)| *own == name.as_bytes())?;
        Some(String::from_utf8_lossy(value.unwrap()).into_owned())
    }

    #[test]
    fn a_dead_letter_is_the_record_as_it_was_and_headers_that_say_why() {
        let before = clock::wall_ms();
        let letter = letter("not JSON");
        assert_eq!(
            (letter.keys.get(0), letter.values.get(0)),
            (Some(&b"raw-views/3/4711"[..]), Some(&b"\xff raw"[..]))
        );
        assert_eq!(letter.offsets[0], 4711);
        assert!(
            letter.timestamps[0] >= before,
            "a dead letter's own time is the present"
        );
        let headers: Vec<_> = letter.headers.of(0).collect();
        let golden: [(&[u8], Option<&[u8]>); 10] = [
            (b"trace", Some(b"\x00\x01")),
            (b"sandbar-pipeline", Some(b"views")),
            (b"sandbar-operator", Some(b"parse")),
            (b"sandbar-kind", Some(b"fault")),
            (b"sandbar-reason", Some(b"not JSON")),
            (b"sandbar-topic", Some(b"raw-views")),
            (b"sandbar-partition", Some(b"3")),
            (b"sandbar-offset", Some(b"4711")),
            (b"sandbar-timestamp", Some(b"1700000000000")),
            (b"sandbar-null-key", Some(b"true")),
        ];
        assert_eq!(headers, golden);
        let kinds = [RefusalKind::DeadLetter, RefusalKind::Fault, RefusalKind::Refused].map(RefusalKind::name);
        assert_eq!(kinds, ["dead-letter", "fault", "refused"]);
    }

    #[test]
    fn a_dead_letter_fits_whatever_its_record_is() {
        let most = 20_000;
        for (key, value, of_header) in [
            (10, 10, 10),
            (10, 100_000, 10),
            (10, 10, 100_000),
            (100_000, 10, 10),
            (100_000, 100_000, 100_000),
            (19_000, 500, 500),
        ] {
            let (key, value, of_header) = (vec![1; key], vec![2; value], vec![3; of_header]);
            let letter = letter_of(Some(&key), &value, &of_header, &"x".repeat(9000), most);
            let bytes = letter.byte_count();
            assert!(bytes <= most, "{bytes} of {most}");
            let (own, body) = (letter.keys.get(0).unwrap(), letter.values.get(0).unwrap());
            assert!(key.starts_with(own) && value.starts_with(body));
            let said = |whole: &[u8], left: &[u8]| (whole != left).then(|| whole.len().to_string());
            assert_eq!(header(&letter, "sandbar-key-bytes"), said(&key, own));
            assert_eq!(header(&letter, "sandbar-value-bytes"), said(&value, body));
            let has_headers = header(&letter, "trace").is_some();
            assert_eq!(header(&letter, "sandbar-headers-bytes").is_some(), !has_headers);
            assert!(header(&letter, "sandbar-reason").is_some());
        }
        // A topic that takes next to nothing gets what says why, and no more.
        let letter = letter_of(Some(&[1; 9000]), &[2; 90_000], b"", "why", 100);
        assert!(letter.byte_count() <= LEAST_BYTES);
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
