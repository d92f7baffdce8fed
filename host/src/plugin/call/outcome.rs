//! What a call came to: each number of the guest's is checked, then its columns become the host's records.
//!
//! An event is atomic: if the plugin both refused an event and made outputs of it, the refusal stands and the
//! outputs are dropped.

use std::collections::HashSet;
use std::mem::take;

use super::changes;
use super::column::check_column;
use super::declared::Declared;
use super::keys::entry;
use super::refused::{Refused, RefusedTimer};
use super::returned::{Emitted, Measured, RefusedEvent, Returned};
use super::time::CallTime;
use super::timers::DeclaredTimers;
use crate::plugin::limits::{TEXT_BYTES, tame};
use crate::plugin::load::Description;
use crate::record::{Column, Headers, Records};

/// What a call came to. Cleared and filled again by each call.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The plugin's outputs, one batch for each that it declares. A record's offset is that of the record that caused
    /// it.
    pub outputs: Vec<Records>,
    /// The records that were not processed as usual, in the order of the call's records. None of them has an output.
    pub refused: Vec<Refused>,
    /// The timers that were at fault, in the order in which they fired.
    pub refused_timers: Vec<RefusedTimer>,
}

/// An outcome that took more gives its memory back: the largest one there ever was is not what the next one needs.
const RETAINED_BYTES: usize = 16 << 20;

impl Outcome {
    /// Forgets all and has one batch for each of so many outputs.
    pub fn clear(&mut self, outputs: usize) {
        if self.memory() > RETAINED_BYTES {
            *self = Self::default();
        }
        self.outputs.resize_with(outputs, Records::default);
        self.outputs.iter_mut().for_each(Records::clear);
        self.refused.clear();
        self.refused_timers.clear();
    }

    /// The memory that it takes.
    pub fn memory(&self) -> usize {
        let reasons = self.refused.iter();
        let reasons = reasons.map(|one| size_of::<Refused>() + one.reason.len() + one.backtrace.len());
        let timers = self.refused_timers.iter();
        let timers = timers.map(|one| {
            let RefusedTimer {
                name,
                key,
                reason,
                backtrace,
                ..
            } = one;
            size_of::<RefusedTimer>() + name.len() + key.len() + reason.len() + backtrace.len()
        });
        self.outputs.iter().map(Records::memory).sum::<usize>() + reasons.sum::<usize>() + timers.sum::<usize>()
    }

    /// Takes in the checked outcome of a call with `records`, which stand in the whole call's records from `first`.
    pub(in crate::plugin) fn absorb(&mut self, mut given: Returned, records: &Records, time: &CallTime, first: usize) {
        let refused: Vec<u32> = ascending(given.refused.iter().map(|one| one.event));
        if !refused.is_empty() {
            drop_outputs_of(&mut given.outputs, &refused);
        }
        self.refused.extend(given.refused.into_iter().map(|one| Refused {
            record: first as u32 + one.event,
            how: one.how,
            reason: tame(&one.reason, TEXT_BYTES),
            backtrace: String::new(),
        }));
        match self.outputs.as_mut_slice() {
            [only] if only.is_empty() => take_columns(only, given.outputs, records, time),
            outputs => copy_rows(outputs, given.outputs, records, time),
        }
    }
}

/// If there is one output, the guest's columns are the host's: nothing is copied.
fn take_columns(into: &mut Records, mut given: Emitted, records: &Records, time: &CallTime) {
    into.offsets
        .extend(given.cause.iter().map(|&cause| offset_of(cause, records, time)));
    *into = whole(&mut given, take(&mut into.offsets));
}

/// If there are more, or some are there already, each row goes to its output.
fn copy_rows(into: &mut [Records], mut given: Emitted, records: &Records, time: &CallTime) {
    let offsets = given
        .cause
        .iter()
        .map(|&cause| offset_of(cause, records, time))
        .collect();
    let rows = whole(&mut given, offsets);
    for (row, &output) in given.output.iter().enumerate() {
        into[usize::from(output)].push_from(&rows, row);
    }
}

fn whole(given: &mut Emitted, offsets: Vec<i64>) -> Records {
    Records {
        keys: take(&mut given.key),
        values: take(&mut given.value),
        timestamps: take(&mut given.timestamp),
        headers: take(&mut given.headers),
        offsets,
    }
}

/// The cause was checked: what is no event is an advance.
fn offset_of(cause: u32, records: &Records, time: &CallTime) -> i64 {
    match records.offsets.get(cause as usize) {
        Some(offset) => *offset,
        None => time.offset_of(cause).unwrap_or(time.offset),
    }
}

/// Leaves out the outputs that refused events caused; if there are none, which is the rule, nothing is touched.
fn drop_outputs_of(outputs: &mut Emitted, refused: &[u32]) {
    let dropped = |cause: &u32| refused.binary_search(cause).is_ok();
    if !outputs.cause.iter().any(dropped) {
        return;
    }
    let offsets = vec![0; outputs.cause.len()];
    let rows = whole(outputs, offsets);
    let mut kept = Records::default();
    let mut kept_output = Vec::new();
    let mut kept_cause = Vec::new();
    for (row, cause) in outputs.cause.iter().enumerate().filter(|(_, cause)| !dropped(cause)) {
        kept.push_from(&rows, row);
        kept_output.push(outputs.output[row]);
        kept_cause.push(*cause);
    }
    *outputs = Emitted {
        output: kept_output,
        key: kept.keys,
        value: kept.values,
        timestamp: kept.timestamps,
        headers: kept.headers,
        cause: kept_cause,
    };
}

/// The memory of the host's that a guest's answer takes, or will once it is taken in: outputs, changes of the state,
/// reasons, measurements.
pub(in crate::plugin) fn memory(given: &Returned, keys: &Column) -> usize {
    let Returned {
        outputs,
        changes,
        timers,
        refused,
        measured,
        rows: _,
    } = given;
    let headers = &outputs.headers;
    let of_outputs = outputs.key.memory()
        + outputs.value.memory()
        + size_of_val(&*headers.of)
        + headers.names.memory()
        + headers.values.memory()
        // The output, its time, its cause and, once it is the host's, an offset.
        + 21 * outputs.output.len();
    let of_changes = changes.user_key.memory() + changes.value.memory() + CHANGE_BYTES * changes.store.len();
    let reasons = refused.iter().map(|one| size_of::<Refused>() + one.reason.len());
    // Each change has its key in the overlay, those of timers and maps twice.
    let named = changes.key.iter().copied().chain(timers.iter().map(|timer| timer.key));
    let of_keys: usize = named.map(|key| 2 * entry(keys, key).len()).sum();
    of_outputs + of_keys + of_changes + CHANGE_BYTES * timers.len() + reasons.sum::<usize>() + size_of_val(&**measured)
}

/// What a change takes beside its user key and value, about: its slot in the overlay and its key there.
const CHANGE_BYTES: usize = 128;

fn ascending(events: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut events: Vec<u32> = events.collect();
    events.sort_unstable();
    events
}

/// What a call was about, which its outcome has to fit.
pub(in crate::plugin) struct Asked<'a> {
    pub(in crate::plugin) description: &'a Description,
    pub(in crate::plugin) stores: &'a [Declared],
    pub(in crate::plugin) timers: &'a DeclaredTimers,
    pub(in crate::plugin) records: &'a Records,
    /// How time moved; `None`: the plugin was not told.
    pub(in crate::plugin) time: Option<&'a CallTime>,
    /// The distinct keys that changes may name.
    pub(in crate::plugin) keys: &'a Column,
    /// Every output has to have the key of the record that caused it.
    pub(in crate::plugin) keeps_key: bool,
}

/// Whether an outcome may be what a call came to. The error completes "returned an outcome that …".
pub(in crate::plugin) fn check(given: &Returned, asked: &Asked<'_>) -> Result<(), String> {
    let events = asked.records.len();
    check_outputs(&given.outputs, events, asked)?;
    if asked.keeps_key {
        check_kept_keys(&given.outputs, asked)?;
    }
    check_refused(&given.refused, events)?;
    check_measured(&given.measured, asked.description)?;
    asked.timers.check(&given.timers, asked.keys)?;
    changes::check(&given.changes, asked.keys, asked.stores)
}

/// The plugin promised it, and what stands behind it keeps state by the key. What a timer put out has the key of some
/// event or timer of the call: all of these are of one task.
fn check_kept_keys(given: &Emitted, asked: &Asked<'_>) -> Result<(), String> {
    let keys = &asked.records.keys;
    let by_timer = |cause: &u32| *cause as usize >= keys.len();
    let of_task: HashSet<&[u8]> = match given.cause.iter().any(by_timer) {
        true => asked.keys.iter().flatten().collect(),
        false => HashSet::new(),
    };
    let mut start = 0;
    let mut absent = given.key.absent.iter().peekable();
    for (row, (&end, &cause)) in given.key.ends.iter().zip(&given.cause).enumerate() {
        let key = &given.key.bytes[start..end as usize];
        start = end as usize;
        let gone = absent.next_if(|&&gone| gone as usize == row).is_some();
        let key = (!gone).then_some(key);
        if by_timer(&cause) {
            if key.is_none_or(|key| !of_task.contains(key)) {
                return Err(format!(
                    "has output {row} of a timer with a key that neither an event nor a timer of the call has; the \
                     plugin declares that it keeps the key"
                ));
            }
        } else if key != keys.get(cause as usize) {
            return Err(format!(
                "has output {row} with another key than that of event {cause}, which caused it; the plugin declares \
                 that it keeps the key"
            ));
        }
    }
    Ok(())
}

fn check_outputs(given: &Emitted, events: usize, asked: &Asked<'_>) -> Result<(), String> {
    let (count, declared) = (given.output.len(), asked.description.outputs.len());
    for (name, length) in [
        ("keys", given.key.ends.len()),
        ("values", given.value.ends.len()),
        ("timestamps", given.timestamp.len()),
        ("causes", given.cause.len()),
    ] {
        if length != count {
            return Err(format!("has {count} outputs, but {length} {name}"));
        }
    }
    if let Some(output) = given.output.iter().find(|output| usize::from(**output) >= declared) {
        return Err(format!("emits to output {output}, but the plugin declares {declared}"));
    }
    let is_timer = |cause: u32| asked.time.is_some_and(|time| time.offset_of(cause).is_some());
    let is_nothing = |cause: &&u32| **cause as usize >= events && !is_timer(**cause);
    if let Some(cause) = given.cause.iter().find(is_nothing) {
        return Err(format!("has an output caused by event {cause} of {events}"));
    }
    // -1 is Kafka's "no timestamp"; brokers refuse what is below.
    if let Some(timestamp) = given.timestamp.iter().find(|timestamp| **timestamp < -1) {
        return Err(format!("has an output at timestamp {timestamp}"));
    }
    check_column("key", &given.key)?;
    check_column("value", &given.value)?;
    check_headers(&given.headers, count)
}

fn check_headers(given: &Headers, outputs: usize) -> Result<(), String> {
    let count = given.of.len();
    let (names, values) = (given.names.len(), given.values.len());
    if names != count || values != count {
        return Err(format!(
            "has {count} headers, but {names} header names and {values} header values"
        ));
    }
    check_column("header name", &given.names)?;
    check_column("header value", &given.values)?;
    if !given.of.is_sorted() {
        return Err("has headers that are not in the order of the outputs".to_owned());
    }
    if let Some(of) = given.of.last().filter(|of| **of as usize >= outputs) {
        return Err(format!("has a header of output {of} of {outputs}"));
    }
    let mut start = 0;
    for &end in &given.names.ends {
        // Kafka's header names are strings; clients break on others.
        if std::str::from_utf8(&given.names.bytes[start..end as usize]).is_err() {
            return Err("has a header whose name is not UTF-8".to_owned());
        }
        start = end as usize;
    }
    Ok(())
}

fn check_refused(given: &[RefusedEvent], events: usize) -> Result<(), String> {
    let refused = ascending(given.iter().map(|one| one.event));
    if let Some(event) = refused.last().filter(|event| **event as usize >= events) {
        return Err(format!("refuses event {event} of {events}"));
    }
    match refused.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("refuses event {} twice", pair[0])),
        None => Ok(()),
    }
}

fn check_measured(given: &[Measured], description: &Description) -> Result<(), String> {
    let declared = description.metrics.len();
    for one in given {
        if usize::from(one.metric) >= declared {
            return Err(format!(
                "measures metric {}, but the plugin declares {declared}",
                one.metric
            ));
        }
        if !one.value.is_finite() {
            return Err(format!(
                "measures {} as {}",
                description.metrics[usize::from(one.metric)].name,
                one.value
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Refusal;
    use crate::plugin::call::TimerChange;

    /// Outputs as (output, value, cause), each with the key `k`, a header `h` and its row as the timestamp.
    fn given(rows: &[(u8, Option<&str>, u32)], refused: &[u32]) -> Returned {
        let mut records = Records::default();
        for (row, (_, value, _)) in rows.iter().enumerate() {
            records.keys.push(Some(b"k"));
            records.values.push(value.map(str::as_bytes));
            records.headers.push(row as u32, b"h", None);
            records.timestamps.push(row as i64);
        }
        let mut given = Returned {
            outputs: outputs(records),
            ..Returned::default()
        };
        given.outputs.output = rows.iter().map(|row| row.0).collect();
        given.outputs.cause = rows.iter().map(|row| row.2).collect();
        given.refused = refused.iter().map(|&event| refusal(event)).collect();
        given
    }

    fn outputs(records: Records) -> Emitted {
        Emitted {
            key: records.keys,
            value: records.values,
            timestamp: records.timestamps,
            headers: records.headers,
            ..Emitted::default()
        }
    }

    fn refusal(event: u32) -> RefusedEvent {
        RefusedEvent {
            event,
            how: Refusal::DeadLetter,
            reason: "no\u{7}".to_owned(),
        }
    }

    fn from(offsets: &[i64]) -> Records {
        Records {
            offsets: offsets.to_vec(),
            ..Records::default()
        }
    }

    fn values(records: &Records) -> Vec<Option<&[u8]>> {
        records.values.iter().collect()
    }

    #[test]
    fn rows_go_to_their_outputs_with_the_offset_of_their_cause() {
        let mut outcome = Outcome::default();
        outcome.clear(2);
        let rows = [(1, Some("a"), 0), (0, None, 1), (1, Some("b"), 1), (1, Some("c"), 0)];
        outcome.absorb(given(&rows, &[]), &from(&[7, 9]), &CallTime::default(), 0);
        assert_eq!(values(&outcome.outputs[0]), [None]);
        assert_eq!(values(&outcome.outputs[1]), [Some(&b"a"[..]), Some(b"b"), Some(b"c")]);
        assert_eq!(outcome.outputs[1].offsets, [7, 9, 7]);
        assert_eq!(outcome.outputs[1].timestamps, [0, 2, 3]);
        assert_eq!(outcome.outputs[1].headers.of, [0, 1, 2]);
    }

    #[test]
    fn parts_of_a_call_stand_one_behind_the_other() {
        let mut outcome = Outcome::default();
        outcome.clear(1);
        outcome.absorb(
            given(&[(0, Some("a"), 0)], &[1]),
            &from(&[7, 8]),
            &CallTime::default(),
            0,
        );
        outcome.absorb(
            given(&[(0, Some("b"), 1), (0, None, 1)], &[0]),
            &from(&[9, 10]),
            &CallTime::default(),
            2,
        );
        assert_eq!(values(&outcome.outputs[0]), [Some(&b"a"[..]), Some(b"b"), None]);
        assert_eq!(outcome.outputs[0].offsets, [7, 10, 10]);
        assert_eq!(outcome.refused.iter().map(|one| one.record).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(outcome.refused[0].reason, "no ");
    }

    #[test]
    fn outputs_of_a_refused_record_are_dropped_and_the_others_kept() {
        let mut outcome = Outcome::default();
        outcome.clear(1);
        let rows = [
            (0, Some("a"), 0),
            (0, Some("b"), 1),
            (0, Some("c"), 2),
            (0, Some("d"), 1),
        ];
        outcome.absorb(given(&rows, &[1]), &from(&[5, 6, 7]), &CallTime::default(), 0);
        assert_eq!(values(&outcome.outputs[0]), [Some(&b"a"[..]), Some(b"c")]);
        assert_eq!(outcome.outputs[0].offsets, [5, 7]);
        assert_eq!(outcome.outputs[0].headers.of, [0, 1]);
    }

    #[test]
    fn memory_and_nothing_else_is_kept_between_calls() {
        let mut outcome = Outcome::default();
        outcome.clear(1);
        outcome.absorb(given(&[(0, Some("a"), 0)], &[0]), &from(&[5]), &CallTime::default(), 0);
        outcome.clear(1);
        assert_eq!(
            outcome,
            Outcome {
                outputs: vec![Records::default()],
                refused: vec![],
                refused_timers: vec![],
            }
        );
    }

    fn description() -> Description {
        Description {
            name: "p".into(),
            version: String::new(),
            inputs: vec![],
            outputs: vec!["out".into()],
            stores: vec![],
            timers: vec![],
            metrics: vec![],
            config_schema: String::new(),
            needs: crate::plugin::Needs {
                coordinates: false,
                headers: false,
                keeps_key: false,
            },
        }
    }

    fn judged(given: &Returned, records: &Records, keeps_key: bool) -> Result<(), String> {
        let asked = Asked {
            description: &description(),
            stores: &[],
            timers: &DeclaredTimers::of("op", &description()),
            time: None,
            records,
            keys: &Column::default(),
            keeps_key,
        };
        check(given, &asked)
    }

    #[test]
    fn a_header_name_is_text_and_a_timestamp_is_none_or_since_1970() {
        let judged = |given: &Returned| judged(given, &from(&[7]), false);
        let mut honest = given(&[(0, Some("a"), 0)], &[]);
        honest.outputs.timestamp = vec![-1];
        assert_eq!(judged(&honest), Ok(()));
        let mut early = given(&[(0, Some("a"), 0)], &[]);
        early.outputs.timestamp = vec![-2];
        assert!(judged(&early).unwrap_err().contains("timestamp -2"));
        let mut binary = given(&[(0, Some("a"), 0)], &[]);
        binary.outputs.headers.names.bytes = vec![0xff];
        assert!(judged(&binary).unwrap_err().contains("not UTF-8"));
        let mut timed = given(&[], &[]);
        timed.timers = vec![TimerChange {
            timer: 2,
            key: 0,
            at: 0,
            set: true,
        }];
        assert_eq!(judged(&timed).unwrap_err(), "sets timer 2, but the plugin declares 0");
    }

    #[test]
    fn where_keys_are_kept_an_output_has_the_key_of_its_cause() {
        let mut records = from(&[7, 8, 9]);
        for key in [Some(&b"k"[..]), None, Some(b"other")] {
            records.keys.push(key);
        }
        let keeps = |cause| judged(&given(&[(0, None, 0), (0, Some("a"), cause)], &[]), &records, true);
        assert_eq!(keeps(0), Ok(()));
        for other in [1, 2] {
            let why = keeps(other).unwrap_err();
            assert!(
                why.starts_with(&format!("has output 1 with another key than that of event {other}")),
                "{why}"
            );
        }
    }
}
