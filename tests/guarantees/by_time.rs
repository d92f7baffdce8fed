//! Operators that go by time, with their topics on a real Kafka, and what each partition owes by a plain recomputation
//! of its log.

use crate::event_time::disorder;
use crate::recomputed::{self, JoinRule, OpenWindow, Recomputed, Row, WindowRule};
use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process;
use serde_json::{Value, json};
use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

pub const PARTITIONS: i32 = 4;

/// What a partition owes.
#[derive(Default)]
pub struct OwedRows {
    pub rows: Vec<Row>,
    /// Numbers of records that are too late.
    pub late: Vec<i64>,
    /// Of how many keys something is kept.
    pub keys_kept: usize,
}

/// An operator that goes by time: what it is told, how it is fed, and what it owes.
pub struct ByTime {
    plugin: &'static str,
    config: &'static str,
    /// One or two topics; the records' numbers go to them in turn.
    pub inputs: usize,
    out_of_orderness: i64,
    /// What a partition owes; the first input's topic, its log.
    owed: fn(&str, &[Record]) -> OwedRows,
    /// Results stand in the order of the log: one input has but one.
    is_in_order: bool,
}

pub static WINDOW: ByTime = ByTime {
    plugin: "window",
    config: "{ window = { tumbling = \"200ms\" }, allowed-lateness = \"50ms\", \
             aggregates = { all = { collect = \"\" } } }",
    inputs: 1,
    out_of_orderness: 60,
    owed: |_, log| {
        let rule = WindowRule::Tumbling {
            size: 200,
            lateness: 50,
        };
        windows(Recomputed::new(rule, 60), log)
    },
    is_in_order: true,
};

pub static SESSIONS: ByTime = ByTime {
    plugin: "window",
    config: "{ window = { session = \"100ms\" }, aggregates = { all = { collect = \"\" } } }",
    inputs: 1,
    out_of_orderness: 40,
    owed: |_, log| windows(Recomputed::new(WindowRule::Session { gap: 100 }, 40), log),
    is_in_order: true,
};

pub static JOIN: ByTime = ByTime {
    plugin: "join",
    config: "{ kind = \"outer\", within = { before = \"100ms\", after = \"200ms\" } }",
    inputs: 2,
    // As much as there is: which input is read first makes nothing late.
    out_of_orderness: 200,
    owed: |left, log| {
        let rule = JoinRule {
            before: 100,
            after: 200,
            out_of_orderness: 200,
        };
        let (rows, keys_kept) = recomputed::joined(rule, left, log);
        OwedRows {
            rows,
            keys_kept,
            ..OwedRows::default()
        }
    },
    is_in_order: false,
};

fn windows(mut of: Recomputed, log: &[Record]) -> OwedRows {
    for (key, at, number) in log.iter().map(recomputed::of) {
        of.see(&key, at, number);
    }
    let row = |window: &OpenWindow| {
        let value = json!({ "start": window.start, "end": window.end, "all": window.numbers });
        (window.key.clone(), value, window.end - 1)
    };
    OwedRows {
        rows: of.results.iter().map(row).collect(),
        keys_kept: of.keys_kept(),
        late: of.late,
    }
}

/// A pipeline with such an operator, and its topics.
pub struct TimedTopics {
    by_time: &'static ByTime,
    client: Client,
    inputs: Vec<String>,
    output: String,
    late: String,
    pub file: PipelineFile,
}

impl TimedTopics {
    pub fn new(by_time: &'static ByTime) -> Self {
        let (kafka, name) = (Kafka::shared(), unique("by-time"));
        let client = kafka.client();
        let inputs: Vec<_> = (0..by_time.inputs).map(|input| format!("{name}-in{input}")).collect();
        let [output, late] = ["out", "late"].map(|of| format!("{name}-{of}"));
        for topic in inputs.iter().chain([&output, &late]) {
            client.create_topic(topic, PARTITIONS);
        }
        // What stands still while it dies, or waits for its turn, is not to move time.
        let source = |topic: &str| {
            format!(
                "topics = [\"{topic}\"]\nstart = \"earliest\"\nsession-timeout = \"3s\"\nidle-after = \"1h\"\n\
                 max-out-of-orderness = \"{}ms\"",
                by_time.out_of_orderness
            )
        };
        let mut file = PipelineFile::new(&kafka.bootstrap(), &name, &source(&inputs[0]), &output);
        file.plugin = process::component(by_time.plugin);
        file.operator = format!("config = {}", by_time.config);
        file.tables = format!(
            "[sink.late]\nfrom = [\"op.late\"]\ntopic = \"{late}\"\n\
             [checkpoint]\ninterval = \"50ms\"\nstore = \"checkpoints\""
        );
        if let Some(second) = inputs.get(1) {
            file.inputs = "\"in\", \"second\"".into();
            file.tables += &format!("\n[source.second]\n{}", source(second));
        }
        Self {
            by_time,
            client,
            inputs,
            output,
            late,
            file,
        }
    }

    /// Records come until `faults` are over; how many.
    pub fn under_load(&self, faults: impl FnOnce() + Send) -> i64 {
        let producer = self.client.producer();
        std::thread::scope(|scope| {
            let faults = scope.spawn(faults);
            let mut sent = 0;
            while !faults.is_finished() {
                let mut records = disorder("", sent, 100, 13);
                for (number, record) in (sent..).zip(&mut records) {
                    record
                        .topic
                        .clone_from(&self.inputs[number as usize % self.inputs.len()]);
                }
                producer.send(&records);
                sent += 100;
                std::thread::sleep(Duration::from_millis(50));
            }
            faults.join().expect("the faults are over");
            sent
        })
    }

    fn log(&self, topics: &[String]) -> BTreeMap<i32, Vec<Record>> {
        let mut log: BTreeMap<i32, Vec<Record>> = BTreeMap::new();
        for record in topics
            .iter()
            .flat_map(|topic| self.client.read(topic, Isolation::Committed))
        {
            log.entry(record.place()).or_default().push(record);
        }
        log
    }

    pub fn owed(&self) -> BTreeMap<i32, OwedRows> {
        let log = self.log(&self.inputs).into_iter();
        log.map(|(partition, log)| (partition, (self.by_time.owed)(&self.inputs[0], &log)))
            .collect()
    }

    /// Whether all that is owed is there. Panics with the first difference that waiting cannot mend.
    pub fn is_complete(&self, owed: &BTreeMap<i32, OwedRows>) -> bool {
        let shown = self.log(std::slice::from_ref(&self.output));
        let late = self.log(std::slice::from_ref(&self.late));
        let mut complete = true;
        for (partition, owed) in owed {
            let of = |log: &BTreeMap<i32, Vec<Record>>| log.get(partition).cloned().unwrap_or_default();
            let rows: Vec<Row> = of(&shown).iter().map(recomputed::row).collect();
            let numbers: Vec<i64> = of(&late).iter().map(|record| recomputed::of(record).2).collect();
            complete &= match self.by_time.is_in_order {
                true => begins(*partition, &owed.rows, &rows),
                false => contains(*partition, &owed.rows, &rows),
            };
            complete &= begins(*partition, &owed.late, &numbers);
        }
        complete
    }

    /// Whether all records are read, also those of which nothing comes yet: the group holds the ends of the logs.
    pub fn is_read(&self) -> bool {
        self.inputs.iter().all(|topic| {
            let committed = self.client.committed(&self.file.group(), topic);
            (0..PARTITIONS).all(|partition| {
                let end = self.client.bounds(topic, partition, Isolation::Uncommitted).1;
                committed
                    .get(&partition)
                    .is_some_and(|committed| committed.offset == end)
            })
        })
    }

    /// How many records the output shows to a read-committed reader; markers count too.
    pub fn visible(&self) -> i64 {
        let end = |partition| self.client.bounds(&self.output, partition, Isolation::Committed).1;
        (0..PARTITIONS).map(end).sum()
    }

    /// How many timers are set in the state that was committed last; `None`: it is not there yet.
    pub fn timers(&self) -> Option<u64> {
        let path = self.file.write("0").display().to_string();
        // Not what is in the folder of a member: it may have stopped before it had all tasks back.
        let count = [
            "state",
            "count",
            &path,
            "op",
            "timers:event-time",
            "--stored",
            "-o",
            "json",
        ];
        let ended = process::run(&count);
        let counts: Value = (ended.code == Some(0)).then(|| serde_json::from_str(ended.text.trim()).expect("JSON"))?;
        let entries = counts.as_array()?.iter().map(|count| count["entries"].as_u64());
        entries.sum()
    }
}

/// Whether all of it is there, in its order.
fn begins<T: PartialEq + std::fmt::Debug>(partition: i32, owed: &[T], shown: &[T]) -> bool {
    for (index, (owed, shown)) in owed.iter().zip(shown).enumerate() {
        assert_eq!(shown, owed, "output {index} of partition {partition}");
    }
    let (has, owes) = (shown.len(), owed.len());
    assert!(
        has <= owes,
        "partition {partition} shows {has} and owes {owes}: {:?}",
        &shown[owes..]
    );
    has == owes
}

/// Whether all of it is there, in any order.
fn contains(partition: i32, owed: &[Row], shown: &[Row]) -> bool {
    let mut due: HashMap<String, i64> = HashMap::new();
    for row in owed {
        *due.entry(format!("{row:?}")).or_default() += 1;
    }
    for row in shown {
        let left = due.entry(format!("{row:?}")).or_default();
        *left -= 1;
        assert!(*left >= 0, "partition {partition} shows {row:?} once too often");
    }
    shown.len() == owed.len()
}
