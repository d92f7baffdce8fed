//! The records that plugins are measured with: made, or those of a file; again and again, with times that rise.

use crate::cases::{GivenCase, StepKind, Subject};
use crate::error::{Error, Kind, Result};
use crate::record::Records;
use std::path::Path;

/// Records in a batch, at most, as a pipeline file has it if it says nothing.
const BATCH: usize = 1000;
/// Batches that are made.
const BATCHES: usize = 100;
/// Keys of the records that are made.
const KEYS: u64 = 1000;
/// Of the records that are made.
const RECORDS_PER_MS: usize = 10;
const FIRST_MS: i64 = 1_700_000_000_000;
const PAD: &str = "abcdefghijklmnopqrstuvwxyzabcdef";
/// Bytes of a file of records, at most: all of them are held in memory.
const FILE_BYTES: u64 = 256 << 20;

/// See the file's header.
#[derive(Debug)]
pub(super) struct BenchRecords {
    batches: Vec<BenchBatch>,
    /// How much later each record comes the next time.
    span_ms: i64,
}

#[derive(Debug, Default)]
struct BenchBatch {
    /// The input that it comes in at; `None`: each in turn.
    input: Option<usize>,
    records: Records,
}

impl BenchRecords {
    /// Records of 1,000 keys with a JSON value of some 100 bytes, the same each time.
    pub(super) fn made() -> Self {
        let mut chance = 1;
        let made = (0..BATCHES).map(|batch| BenchBatch {
            input: None,
            records: made_batch(batch * BATCH, &mut chance),
        });
        Self {
            batches: made.collect(),
            span_ms: (BATCHES * BATCH / RECORDS_PER_MS) as i64,
        }
    }

    /// The records of a file, in its order: lines as `produce` and the cases of `test` have them. `input` of a line is
    /// one of the subject's.
    ///
    /// # Errors
    /// `Failed`: the file cannot be read, is too large, or has a line that is wrong, or no record.
    pub(super) fn read(path: &Path, subject: &Subject) -> Result<Self> {
        let failed = |why: String| Error::new(Kind::Failed, format!("failed to read {}", path.display()), why);
        let bytes = std::fs::metadata(path).map_or(0, |about| about.len());
        if bytes > FILE_BYTES {
            let why = format!("it has {} MiB; {} are the most", bytes >> 20, FILE_BYTES >> 20);
            return Err(failed(why).hint("a part of it does: `head -n 100000`"));
        }
        // What a pipeline file would name wrongly is here just a file that does not do.
        let given = GivenCase::read_input(path, subject).map_err(|error| Error {
            kind: Kind::Failed,
            ..error
        })?;
        if given.records.is_empty() {
            return Err(failed("there is no record in it".to_owned()));
        }
        Ok(Self::of_case(&given))
    }

    fn of_case(given: &GivenCase) -> Self {
        let mut batches: Vec<BenchBatch> = Vec::new();
        for step in &given.steps {
            let StepKind::Record { source, record, .. } = step.does else {
                continue;
            };
            let fits = |last: &BenchBatch| last.input == Some(source) && last.records.len() < BATCH;
            if !batches.last().is_some_and(fits) {
                batches.push(BenchBatch {
                    input: Some(source),
                    ..BenchBatch::default()
                });
            }
            if let Some(last) = batches.last_mut() {
                last.records.push_from(&given.records, record);
            }
        }
        let span_ms = let_times_rise(&mut batches);
        Self { batches, span_ms }
    }

    /// Puts batch `turn` into `into`, with offsets from 0, and gives the input that it comes in at, of so many. Behind
    /// the last batch comes the first one again, later by all that was before.
    pub(super) fn batch(&self, turn: u64, inputs: usize, into: &mut Records) -> usize {
        let count = self.batches.len() as u64;
        let (round, at) = ((turn / count) as i64, (turn % count) as usize);
        let batch = &self.batches[at];
        into.clone_from(&batch.records);
        let later = self.span_ms.saturating_mul(round);
        for time in &mut into.timestamps {
            *time = time.saturating_add(later);
        }
        for (at, offset) in into.offsets.iter_mut().enumerate() {
            *offset = at as i64;
        }
        batch.input.unwrap_or(turn as usize) % inputs
    }
}

fn made_batch(first: usize, chance: &mut u64) -> Records {
    let mut records = Records::default();
    let mut below = |bound: u64| {
        // Knuth's MMIX.
        *chance = chance
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (*chance >> 33) % bound
    };
    for at in first..first + BATCH {
        let (user, page, ms) = (below(KEYS), below(100), below(100));
        let timestamp = FIRST_MS + (at / RECORDS_PER_MS) as i64;
        let value = format!(r#"{{"user":"u{user}","page":"/p/{page}","ms":{ms},"at":{timestamp},"pad":"{PAD}"}}"#);
        records.keys.push(Some(format!("u{user}").as_bytes()));
        records.values.push(Some(value.as_bytes()));
        records.timestamps.push(timestamp);
        records.offsets.push(at as i64);
    }
    records
}

/// The time from one repetition to the next, so that each is behind all that was before. Records without times, which
/// are all of one moment, get a millisecond each.
fn let_times_rise(batches: &mut [BenchBatch]) -> i64 {
    let times = || batches.iter().flat_map(|batch| &batch.records.timestamps).copied();
    let (count, first, last) = (times().count() as i64, times().min(), times().max());
    let span = last.unwrap_or(0).saturating_sub(first.unwrap_or(0));
    if span == 0 {
        let own = batches.iter_mut().flat_map(|batch| &mut batch.records.timestamps);
        own.zip(0..).for_each(|(time, at)| *time = time.saturating_add(at));
        return count;
    }
    span.saturating_add((span / count.max(1)).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(records: &BenchRecords, turns: u64) -> Vec<i64> {
        let (mut batch, mut times) = (Records::default(), Vec::new());
        for turn in 0..turns {
            records.batch(turn, 1, &mut batch);
            times.extend(&batch.timestamps);
        }
        times
    }

    fn of_times(times: &[i64]) -> BenchRecords {
        let mut batches = vec![BenchBatch::default()];
        for time in times {
            let records = &mut batches[0].records;
            records.keys.push(None);
            records.values.push(None);
            records.timestamps.push(*time);
            records.offsets.push(0);
        }
        let span_ms = let_times_rise(&mut batches);
        BenchRecords { batches, span_ms }
    }

    #[test]
    fn made_records_are_the_same_each_time_and_their_times_never_fall() {
        let (one, other) = (BenchRecords::made(), BenchRecords::made());
        let (mut first, mut second) = (Records::default(), Records::default());
        for turn in [0, 7, 100, 250] {
            one.batch(turn, 1, &mut first);
            other.batch(turn, 1, &mut second);
            assert_eq!(first, second);
            assert_eq!(first.len(), BATCH);
        }
        assert!(times(&one, 201).is_sorted());
        let bytes = first.values.bytes.len() / first.len();
        assert!((90..=120).contains(&bytes), "{bytes}");
        assert!((0..6).map(|turn| one.batch(turn, 3, &mut first)).eq([0, 1, 2, 0, 1, 2]));
    }

    #[test]
    fn what_comes_again_comes_later_than_all_that_was_before() {
        assert_eq!(times(&of_times(&[10, 40, 20]), 2), [10, 40, 20, 50, 80, 60]);
        assert_eq!(times(&of_times(&[0, 0, 0]), 2), [0, 1, 2, 3, 4, 5]);
        assert_eq!(times(&of_times(&[7]), 3), [7, 8, 9]);
    }
}
