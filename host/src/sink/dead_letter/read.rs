//! What a dead letter says: who refused the record, why, and where it came from.

use crate::record::Records;

/// The header of a record that was sent again: `topic/partition/offset` of its dead letter.
pub const REPLAYED: &str = "sandbar-replayed";
/// The kind of what is left behind a dead letter that was replayed.
pub const REPLAYED_KIND: &str = "replayed";
/// The header that a dead letter's own begin with.
const FIRST: &str = "sandbar-pipeline";
/// What begins the names of all of them.
const OURS: &str = "sandbar-";

/// A dead letter's headers, read. The texts are what stands there, whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LetterText {
    /// Name of the pipeline.
    pub pipeline: String,
    /// What the record died in.
    pub died_in: DiedIn,
    /// The kind of refusal: see [`super::RefusalKind`].
    pub kind: String,
    /// Why.
    pub reason: String,
    /// Where the plugin was; empty if it was not at fault.
    pub backtrace: String,
    /// Topic of the record's source, or the file's name; its partition there, and its offset.
    pub topic: String,
    /// See `topic`.
    pub partition: i32,
    /// See `topic`.
    pub offset: i64,
    /// The record's event time, in milliseconds since 1970.
    pub timestamp: i64,
    /// The record has no key.
    pub has_null_key: bool,
    /// Something of the record had no room in the letter.
    pub is_cut: bool,
    /// The timer that was at fault; then there is no record.
    pub timer: Option<String>,
    /// The dead letter that the record was replayed from, if it was; of a replay's mark, the one that it is of.
    pub replayed: Option<String>,
}

/// What a record died in, by its name in the pipeline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiedIn {
    /// The source: for its event time.
    Source(String),
    /// The operator.
    Operator(String),
    /// The sink, whose topic refused an output.
    Sink(String),
}

impl DiedIn {
    /// The name in the pipeline.
    pub fn name(&self) -> &str {
        let (Self::Source(name) | Self::Operator(name) | Self::Sink(name)) = self;
        name
    }
}

/// What dead letter `index` says; `None`: it is no dead letter of ours.
pub fn read(records: &Records, index: usize) -> Option<LetterText> {
    let headers: Vec<(&[u8], Option<&[u8]>)> = records.headers.of(index as u32).collect();
    // What stands before stems from the record, which may have been a dead letter before.
    let begin = headers.iter().rposition(|(name, _)| *name == FIRST.as_bytes())?;
    let (before, own) = headers.split_at(begin);
    let text = |name: &str| text_of(own, name);
    let number = |name: &str| text(name)?.parse::<i64>().ok();
    let sides = [
        text("sandbar-operator").map(DiedIn::Operator),
        text("sandbar-sink").map(DiedIn::Sink),
        text("sandbar-source").map(DiedIn::Source),
    ];
    Some(LetterText {
        pipeline: text(FIRST)?,
        died_in: sides.into_iter().flatten().next()?,
        kind: text("sandbar-kind")?,
        reason: text("sandbar-reason").unwrap_or_default(),
        backtrace: text("sandbar-backtrace").unwrap_or_default(),
        topic: text("sandbar-topic")?,
        partition: i32::try_from(number("sandbar-partition")?).ok()?,
        offset: number("sandbar-offset")?,
        timestamp: number("sandbar-timestamp")?,
        has_null_key: text("sandbar-null-key").is_some(),
        is_cut: ["sandbar-headers-bytes", "sandbar-key-bytes", "sandbar-value-bytes"]
            .iter()
            .any(|name| text(name).is_some()),
        timer: text("sandbar-timer"),
        replayed: text(REPLAYED).or_else(|| text_of(before, REPLAYED)),
    })
}

/// The text of the last header of a name.
fn text_of(headers: &[(&[u8], Option<&[u8]>)], name: &str) -> Option<String> {
    let (_, value) = headers.iter().rev().find(|(own, _)| *own == name.as_bytes())?;
    Some(String::from_utf8_lossy(value.unwrap_or_default()).into_owned())
}

/// The headers of a record without any of ours.
pub fn own_headers(records: &Records, index: usize) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    let headers = records.headers.of(index as u32);
    headers.filter(|(name, _)| !name.starts_with(OURS.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::super::{By, DeathReason, RefusalKind, append};
    use super::*;
    use crate::record::TopicPartition;

    fn record(headers: &[(&str, &str)]) -> Records {
        let mut record = Records::default();
        record.keys.push(None);
        record.values.push(Some(b"value"));
        record.timestamps.push(77);
        record.offsets.push(4711);
        for (name, value) in headers {
            record.headers.push(0, name.as_bytes(), Some(value.as_bytes()));
        }
        record
    }

    fn letter_of(record: &Records, by: By<'_>, backtrace: &str, timer: Option<&str>) -> Records {
        let mut letters = Records::default();
        let why = DeathReason {
            pipeline: "views",
            by,
            kind: RefusalKind::Fault,
            reason: "trapped",
            backtrace,
            timer,
            partition: &TopicPartition::new("raw", 3),
        };
        append(&mut letters, record, 0, &why, usize::MAX);
        letters
    }

    #[test]
    fn what_a_letter_says_is_read_again() {
        let letter = letter_of(&record(&[("trace", "1")]), By::Operator("parse"), "  0: f\n", None);
        let said = read(&letter, 0).unwrap();
        assert_eq!(
            said,
            LetterText {
                pipeline: "views".into(),
                died_in: DiedIn::Operator("parse".into()),
                kind: "fault".into(),
                reason: "trapped".into(),
                backtrace: "  0: f\n".into(),
                topic: "raw".into(),
                partition: 3,
                offset: 4711,
                timestamp: 77,
                has_null_key: true,
                is_cut: false,
                timer: None,
                replayed: None,
            }
        );
        let own: Vec<_> = own_headers(&letter, 0).collect();
        assert_eq!(own, [(&b"trace"[..], Some(&b"1"[..]))]);
        let of_timer = letter_of(&record(&[]), By::Sink("out"), "", Some("close"));
        let said = read(&of_timer, 0).unwrap();
        assert_eq!((said.timer.as_deref(), said.died_in.name()), (Some("close"), "out"));
    }

    #[test]
    fn of_a_record_that_died_twice_the_last_letter_counts() {
        let first = letter_of(&record(&[("trace", "1")]), By::Operator("parse"), "", None);
        let mut again = Records::default();
        again.push_from(&first, 0);
        again.keys = Default::default();
        again.keys.push(Some(b"k"));
        again.headers.push(0, REPLAYED.as_bytes(), Some(b"dead/0/5"));
        let second = letter_of(&again, By::Source("in"), "", None);
        let said = read(&second, 0).unwrap();
        assert_eq!(said.died_in, DiedIn::Source("in".into()));
        assert!(!said.has_null_key, "that was said of the first");
        assert_eq!(said.replayed.as_deref(), Some("dead/0/5"));
        assert_eq!(own_headers(&second, 0).count(), 1);
    }

    #[test]
    fn what_is_no_letter_of_ours_is_none() {
        assert_eq!(read(&record(&[]), 0), None);
        assert_eq!(
            read(&record(&[("sandbar-pipeline", "views"), ("sandbar-kind", "fault")]), 0),
            None
        );
        let mut letter = letter_of(&record(&[]), By::Operator("parse"), "", None);
        letter.headers.push(0, b"sandbar-offset", Some(b"many"));
        assert_eq!(read(&letter, 0), None);
    }
}
