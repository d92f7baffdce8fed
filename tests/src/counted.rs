//! A running count per key, and the auditor that recomputes every output from the input.
//!
//! Input and output have as many partitions and the same partitioner, and a task keeps the order of its partition: so
//! partition `n` of the output is owed exactly what partition `n` of the input makes of it, record by record, in that
//! order.

use crate::client::{Client, Isolation, Producer, Reader, Record};
use crate::kafka::Kafka;
use crate::pipeline_file::{PipelineFile, unique};
use crate::process;
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// Topics, the pipeline `count-by-key` between them, and what was sent.
pub struct Counted {
    /// The oracle.
    pub client: Client,
    /// The topic that is read.
    pub input: String,
    /// The topic that is written.
    pub output: String,
    /// The pipeline.
    pub file: PipelineFile,
    /// Each so many-th record has no key; 0: each has one.
    pub keyless: i64,
    keys: i64,
    partitions: i32,
    producer: Producer,
}

impl Counted {
    /// A pipeline over `partitions` partitions and `keys` keys, exactly-once with a commit each 100 ms unless the test
    /// says otherwise.
    pub fn on(kafka: &Kafka, name: &str, partitions: i32, keys: i64) -> Self {
        Self::at(&kafka.bootstrap(), name, partitions, keys)
    }

    /// The same on the brokers at an address.
    pub fn at(brokers: &str, name: &str, partitions: i32, keys: i64) -> Self {
        let (client, name) = (Client::new(brokers), unique(name));
        let (input, output) = (format!("{name}-in"), format!("{name}-out"));
        client.create_topic(&input, partitions);
        client.create_topic(&output, partitions);
        let source = format!("topics = [\"{input}\"]\nstart = \"earliest\"\nsession-timeout = \"3s\"");
        let mut file = PipelineFile::new(brokers, &name, &source, &output);
        file.plugin = process::component("count-by-key");
        file.top = "workers = 2".into();
        file.tables = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"".into();
        Self {
            producer: client.producer(),
            client,
            input,
            output,
            file,
            keyless: 0,
            keys,
            partitions,
        }
    }

    /// Sends `count` records, numbered from `from`, over the keys in turn.
    pub fn send(&self, from: i64, count: i64) {
        self.producer.send(&self.records(from, count));
    }

    /// The same records, for a test that sends them in its own way.
    pub fn records(&self, from: i64, count: i64) -> Vec<Record> {
        let record = |number: i64| {
            let key = number.wrapping_mul(2_654_435_761) % self.keys;
            let mut record = Record::keyed(&self.input, &format!("key-{key}"), &number.to_string());
            if self.keyless > 0 && number % self.keyless == 0 {
                record.key = None;
            }
            record
        };
        (from..from + count).map(record).collect()
    }

    /// How many records the output shows to a read-committed reader; markers count too.
    pub fn visible(&self) -> i64 {
        self.ends(Isolation::Committed)
    }

    /// How many it holds, those of aborted and open transactions too.
    pub fn written(&self) -> i64 {
        self.ends(Isolation::Uncommitted)
    }

    fn ends(&self, isolation: Isolation) -> i64 {
        let ends = |partition: i32| self.client.bounds(&self.output, partition, isolation).1;
        (0..self.partitions).map(ends).sum()
    }

    /// A reader that runs along and fails at the first output that is doubled, missing or out of order.
    pub fn watch(&self) -> Watch {
        Watch {
            reader: self.client.reader(&[&self.output], Isolation::Committed),
            counts: HashMap::new(),
            seen: 0,
        }
    }

    /// What each partition owes, against what it shows: whether all that was sent is there, and nothing else.
    ///
    /// Panics with the first difference that waiting cannot mend.
    pub fn is_complete(&self) -> bool {
        self.is_complete_behind(&BTreeMap::new())
    }

    /// The same, if the output has only what the records from these offsets on make of it: each partition's, by
    /// number.
    pub fn is_complete_behind(&self, offsets: &BTreeMap<i32, i64>) -> bool {
        let owed = owed(&self.client.read(&self.input, Isolation::Committed));
        let shown = by_partition(self.client.read(&self.output, Isolation::Committed));
        let mut complete = true;
        for (partition, owed) in owed {
            let shown = shown.get(&partition).map(Vec::as_slice).unwrap_or_default();
            let owed = &owed[offsets.get(&partition).map_or(0, |offset| *offset as usize)..];
            for (index, (owed, shown)) in owed.iter().zip(shown).enumerate() {
                assert_eq!(owed, shown, "output {index} of partition {partition}");
            }
            assert!(
                shown.len() <= owed.len(),
                "partition {partition} shows {} outputs and {} are owed",
                shown.len(),
                owed.len()
            );
            complete &= shown.len() == owed.len();
        }
        complete
    }

    /// Partition and offset of each record without a key, sorted.
    pub fn without_key(&self) -> Vec<(i32, i64)> {
        let records = self.client.read(&self.input, Isolation::Committed);
        let keyless = records.iter().filter(|record| record.key.is_none());
        keyless.map(|record| (record.place(), record.offset)).collect()
    }

    /// How many outputs are repeated, once each is there.
    ///
    /// Panics if one is skipped, or comes again in another order: each is the next one, or goes back to one that was
    /// there.
    pub fn repeated(&self) -> Option<u64> {
        let owed = owed(&self.client.read(&self.input, Isolation::Committed));
        let shown = by_partition(self.client.read(&self.output, Isolation::Committed));
        let mut repeated = 0;
        for (partition, owed) in &owed {
            let places: HashMap<&Output, usize> = owed.iter().zip(0..).collect();
            let (mut due, mut first) = (0, 0);
            for output in shown.get(partition).map(Vec::as_slice).unwrap_or_default() {
                let place = *places
                    .get(output)
                    .unwrap_or_else(|| panic!("nothing owes {output:?} in partition {partition}"));
                assert!(
                    place == due || place < first,
                    "partition {partition}: output {place} where {due} was due, {first} seen before"
                );
                due = place + 1;
                repeated += u64::from(place < first);
                first = first.max(due);
            }
            if first < owed.len() {
                return None;
            }
        }
        Some(repeated)
    }

    /// The same in numbers, for a report that goes on after a fault.
    pub fn tally(&self) -> Tally {
        let owed = owed(&self.client.read(&self.input, Isolation::Committed));
        let shown = by_partition(self.client.read(&self.output, Isolation::Committed));
        let mut tally = Tally::default();
        for (partition, owed) in &owed {
            let places: HashMap<&Output, usize> = owed.iter().zip(0..).collect();
            let mut seen = vec![false; owed.len()];
            let mut last = None;
            for output in shown.get(partition).map(Vec::as_slice).unwrap_or_default() {
                // An output that nothing owes is one too many.
                let Some(&place) = places.get(output) else {
                    tally.doubled += 1;
                    continue;
                };
                tally.doubled += u64::from(std::mem::replace(&mut seen[place], true));
                tally.out_of_order += u64::from(last > Some(place));
                last = Some(place);
            }
            tally.records += owed.len() as u64;
            tally.lost += seen.iter().filter(|seen| !**seen).count() as u64;
        }
        tally
    }
}

/// What the output shows of what the input owes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Outputs that are owed.
    pub records: u64,
    /// Owed and not there.
    pub lost: u64,
    /// There more than once, or not owed.
    pub doubled: u64,
    /// There behind a later one.
    pub out_of_order: u64,
}

impl Tally {
    /// Each output is there once, in its place.
    pub const fn is_exact(&self) -> bool {
        self.lost == 0 && self.doubled == 0 && self.out_of_order == 0
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.records += other.records;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
    }
}

/// Key and running count.
type Output = (Vec<u8>, String);

fn owed(input: &[Record]) -> HashMap<i32, Vec<Output>> {
    let mut counts: HashMap<Vec<u8>, i64> = HashMap::new();
    let mut owed: HashMap<i32, Vec<Output>> = HashMap::new();
    for record in input {
        let Some(key) = record.key.clone() else { continue };
        let count = counts.entry(key.clone()).or_default();
        *count += 1;
        owed.entry(record.place()).or_default().push((key, count.to_string()));
    }
    owed
}

fn by_partition(records: Vec<Record>) -> HashMap<i32, Vec<Output>> {
    let mut by: HashMap<i32, Vec<Output>> = HashMap::new();
    for record in records {
        let text = record.text();
        let partition = record.place();
        by.entry(partition)
            .or_default()
            .push((record.key.expect("a key"), text));
    }
    by
}

/// A read-committed reader that runs along.
pub struct Watch {
    reader: Reader,
    counts: HashMap<Vec<u8>, i64>,
    /// Outputs read so far.
    pub seen: i64,
}

impl Watch {
    /// Reads what has come, for `span`; each key must count on by one.
    pub fn follow(&mut self, span: Duration) {
        for record in self.reader.take(usize::MAX, span) {
            let key = record.key.clone().expect("a key");
            let count: i64 = record.text().parse().expect("a count");
            let before = self.counts.entry(key).or_default();
            assert_eq!(
                count,
                *before + 1,
                "key {:?} at {}/{}: doubled, lost or out of order",
                record.key.as_ref().map(|key| String::from_utf8_lossy(key).into_owned()),
                record.place(),
                record.offset
            );
            *before = count;
            self.seen += 1;
        }
    }
}
