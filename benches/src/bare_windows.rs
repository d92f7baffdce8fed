//! Windows of event time by hand, for the bare loop: count and sum of ten seconds a key, which are put out once the
//! partition's newest record is five seconds behind their end.

use std::collections::{BTreeMap, HashMap};
use std::io::Write;

const LENGTH_MS: i64 = 10_000;
/// How much later than the newest record one may come and still be in time.
const OUT_OF_ORDERNESS_MS: i64 = 5_000;

/// Of each key how many records, and the sum of their numbers.
type Tallies = HashMap<Vec<u8>, (u64, u64)>;

/// The open windows of each partition.
#[derive(Default)]
pub(crate) struct OpenWindows {
    partitions: Vec<OfPartition>,
    text: Vec<u8>,
}

/// The open windows of a partition by their starts, and how far its time is.
struct OfPartition {
    watermark: i64,
    open: BTreeMap<i64, Tallies>,
}

impl OpenWindows {
    /// Adds a record to its window, unless that is over; `put` gets key, value and time of what is put out then.
    pub(crate) fn add(
        &mut self,
        partition: usize,
        key: &[u8],
        at: i64,
        number: u64,
        mut put: impl FnMut(&[u8], &[u8], i64),
    ) {
        while self.partitions.len() <= partition {
            self.partitions.push(OfPartition {
                watermark: i64::MIN,
                open: BTreeMap::new(),
            });
        }
        let of = &mut self.partitions[partition];
        let start = at - at.rem_euclid(LENGTH_MS);
        if start + LENGTH_MS - 1 > of.watermark {
            let tallies = of.open.entry(start).or_default();
            let (count, sum) = match tallies.get_mut(key) {
                Some(tally) => tally,
                None => tallies.entry(key.to_vec()).or_insert((0, 0)),
            };
            *count += 1;
            *sum += number;
        }
        of.watermark = of.watermark.max(at - OUT_OF_ORDERNESS_MS - 1);
        while let Some(first) = of.open.first_entry()
            && first.key() + LENGTH_MS - 1 <= of.watermark
        {
            let (start, tallies) = first.remove_entry();
            close(start, tallies, &mut self.text, &mut put);
        }
    }

    /// The end of time.
    pub(crate) fn close_all(&mut self, mut put: impl FnMut(&[u8], &[u8], i64)) {
        for of in &mut self.partitions {
            for (start, tallies) in std::mem::take(&mut of.open) {
                close(start, tallies, &mut self.text, &mut put);
            }
        }
    }
}

fn close(start: i64, tallies: Tallies, text: &mut Vec<u8>, put: &mut impl FnMut(&[u8], &[u8], i64)) {
    let end = start + LENGTH_MS;
    for (key, (count, sum)) in tallies {
        text.clear();
        write!(text, r#"{{"start":{start},"end":{end},"count":{count},"sum":{sum}}}"#).expect("memory takes it");
        put(&key, text, end - 1);
    }
}
