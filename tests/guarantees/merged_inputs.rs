//! Inputs that meet in a task are read as one, in the order of their event times: a backlog always in the same order,
//! whatever dies, and what one brings waits for what another brings. Kafka Streams' rule of the oldest next record.

use crate::flow::stop;
use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Records of one partition: time and number, in the order of the log.
type Log = Vec<(i64, i64)>;

/// The numbers of two logs as they have to come: of the next records the oldest, the first topic's if they are equal.
fn merged(logs: &[Log; 2]) -> Vec<i64> {
    let mut at = [0, 0];
    let mut numbers = Vec::new();
    while let Some(of) = (0..2)
        .filter(|of| at[*of] < logs[*of].len())
        .min_by_key(|of| (logs[*of][at[*of]].0, *of))
    {
        numbers.push(logs[of][at[of]].1);
        at[of] += 1;
    }
    numbers
}

/// Two topics with `window` behind them, which collects numbers of each key in the order in which they come.
struct Collected {
    client: Client,
    topics: [String; 2],
    output: String,
    file: PipelineFile,
}

impl Collected {
    fn new(name: &str, partitions: i32, source: &str) -> Self {
        let (kafka, name) = (Kafka::shared(), unique(name));
        let client = kafka.client();
        let topics = ["a", "b"].map(|of| format!("{name}-{of}"));
        let output = format!("{name}-out");
        topics
            .iter()
            .chain([&output])
            .for_each(|topic| client.create_topic(topic, partitions));
        let [first, second] = &topics;
        let source = format!(
            "topics = [\"{first}\", \"{second}\"]\nstart = \"earliest\"\nsession-timeout = \"3s\"\n\
             max-batch = 50\n{source}"
        );
        let mut file = PipelineFile::new(&kafka.bootstrap(), &name, &source, &output);
        file.plugin = process::component("window");
        file.operator = "config = { window = \"global\", emit = \"update\", \
                         aggregates = { all = { collect = \"/n\" } } }"
            .into();
        file.tables = "[checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"".into();
        Self {
            client,
            topics,
            output,
            file,
        }
    }

    fn send(&self, topic: usize, partition: i32, log: &[(i64, i64)]) {
        let record = |(at, number): &(i64, i64)| Record {
            key: Some(format!("of-{partition}").into_bytes()),
            ..Record::placed(&self.topics[topic], partition, &json!({ "n": number }).to_string()).at(*at)
        };
        self.client.producer().send(&log.iter().map(record).collect::<Vec<_>>());
    }

    /// For each partition how many results came, and the numbers of the last one.
    fn shown(&self) -> BTreeMap<i32, (usize, Vec<i64>)> {
        let mut shown: BTreeMap<i32, (usize, Vec<i64>)> = BTreeMap::new();
        for record in self.client.read(&self.output, Isolation::Committed) {
            let value: Value = serde_json::from_str(&record.text()).expect("JSON");
            let all = value["all"].as_array().expect("a list").iter();
            let of = shown.entry(record.place()).or_default();
            *of = (of.0 + 1, all.map(|number| number.as_i64().expect("a number")).collect());
        }
        shown
    }
}

/// Times that go up and down a little, so many of them from `from` on, with as many on one time as fall there.
fn log(from: i64, count: i64, numbers: i64) -> Log {
    let time = |index: i64| from + index * 2 + (index * 7919 % 13) - index % 3;
    (0..count).map(|index| (time(index), numbers + index)).collect()
}

#[test]
fn a_backlog_of_two_topics_comes_in_one_order_whatever_dies() {
    let collected = Collected::new("merged", 2, "stop = \"latest\"");
    let mut owed = BTreeMap::new();
    for partition in 0..2 {
        // Side by side, one far ahead, and the same times in both.
        let logs = [
            [log(1_000, 200, 0), log(1_900, 100, 200), log(9_000, 50, 300)].concat(),
            [log(1_100, 200, 1_000), log(1_500, 200, 1_200), log(9_000, 50, 1_400)].concat(),
        ];
        for (topic, log) in logs.iter().enumerate() {
            collected.send(topic, partition, log);
        }
        owed.insert(partition, merged(&logs));
    }
    let kills = setting("SANDBAR_KILLS", 5);
    for kill in 0..kills {
        let mut run = collected.file.run();
        run.wait_placed(4, PATIENCE);
        std::thread::sleep(Duration::from_millis(kill * 61 % 250));
        run.kill();
    }
    let ended = collected.file.run().wait(seconds(120));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    collected.client.settle(&collected.output);
    for (partition, (results, numbers)) in collected.shown() {
        assert_eq!(numbers, owed[&partition], "partition {partition}");
        assert_eq!(results, numbers.len(), "each record made one result, once");
    }
    assert_eq!(collected.shown().len(), 2);
}

#[test]
fn an_input_that_brings_nothing_is_waited_for_as_long_as_the_file_says() {
    let collected = Collected::new("waits", 1, "max-wait = \"1h\"");
    collected.send(0, 0, &[(1_000, 1), (3_000, 3), (5_000, 5)]);
    collected.send(1, 0, &[(2_000, 2)]);
    let run = collected.file.run();
    let shows = |numbers: &[i64]| collected.shown().get(&0).is_some_and(|(_, shown)| shown == numbers);
    wait::until_true("what is older than all that may come is there", PATIENCE, || {
        shows(&[1, 2])
    });
    // The first topic's go on only once it is known what the second brings.
    collected.send(1, 0, &[(4_000, 4)]);
    wait::until_true("up to what the second brought", PATIENCE, || shows(&[1, 2, 3, 4]));
    collected.send(1, 0, &[(6_000, 6)]);
    wait::until_true("and on", PATIENCE, || shows(&[1, 2, 3, 4, 5]));
    stop(run);

    // Without it the end of a log is enough.
    let at_once = Collected::new("waits-not", 1, "");
    at_once.send(0, 0, &[(1_000, 1), (3_000, 3)]);
    at_once.send(1, 0, &[(2_000, 2)]);
    let run = at_once.file.run();
    wait::until_true("all of it", PATIENCE, || {
        at_once.shown().get(&0).is_some_and(|(_, shown)| *shown == [1, 2, 3])
    });
    stop(run);
}

/// Two topics with `join` between them, which pairs records of a key up to a second apart, and gives the others null.
struct Paired {
    client: Client,
    topics: [String; 2],
    output: String,
    late: String,
    file: PipelineFile,
}

impl Paired {
    fn new(name: &str, partitions: i32, source: &str) -> Self {
        let (kafka, name) = (Kafka::shared(), unique(name));
        let client = kafka.client();
        let topics = ["left", "right"].map(|of| format!("{name}-{of}"));
        let [output, late] = ["out", "late"].map(|of| format!("{name}-{of}"));
        topics
            .iter()
            .chain([&output, &late])
            .for_each(|topic| client.create_topic(topic, partitions));
        let source = |topic: &str| {
            format!("topics = [\"{topic}\"]\nstart = \"earliest\"\nsession-timeout = \"3s\"\nmax-batch = 50\n{source}")
        };
        let mut file = PipelineFile::new(&kafka.bootstrap(), &name, &source(&topics[0]), &output);
        file.plugin = process::component("join");
        file.inputs = "\"in\", \"right\"".into();
        file.operator = "config = { kind = \"outer\", within = { before = \"1s\", after = \"1s\" } }".into();
        file.tables = format!(
            "[source.right]\n{}\n[sink.late]\nfrom = [\"op.late\"]\ntopic = \"{late}\"\n\
             [checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\"",
            source(&topics[1])
        );
        Self {
            client,
            topics,
            output,
            late,
            file,
        }
    }

    fn send(&self, topic: usize, partition: i32, log: &[(i64, i64)]) {
        let record = |(at, number): &(i64, i64)| Record {
            key: Some(format!("{partition}-{}", number % 3).into_bytes()),
            ..Record::placed(&self.topics[topic], partition, &number.to_string()).at(*at)
        };
        self.client.producer().send(&log.iter().map(record).collect::<Vec<_>>());
    }

    /// The numbers of each pair, in the order of the log.
    fn shown(&self) -> Vec<(Option<i64>, Option<i64>)> {
        let pair = |record: &Record| {
            let value: Value = serde_json::from_str(&record.text()).expect("JSON");
            (value["left"].as_i64(), value["right"].as_i64())
        };
        let records = self.client.read(&self.output, Isolation::Committed);
        records.iter().map(pair).collect()
    }
}

/// The pairs of two logs of a partition, and those without a partner.
fn paired(logs: &[Log; 2]) -> Vec<(Option<i64>, Option<i64>)> {
    let [left, right] = logs;
    let meet = |of: &(i64, i64), other: &(i64, i64)| of.1 % 3 == other.1 % 3 && (of.0 - other.0).abs() <= 1_000;
    let mut pairs = Vec::new();
    for of in left {
        let partners: Vec<_> = right.iter().filter(|other| meet(of, other)).collect();
        pairs.extend(partners.iter().map(|other| (Some(of.1), Some(other.1))));
        pairs.extend(partners.is_empty().then_some((Some(of.1), None)));
    }
    let alone = right.iter().filter(|of| !left.iter().any(|other| meet(other, of)));
    pairs.extend(alone.map(|of| (None, Some(of.1))));
    pairs
}

#[test]
fn joins_are_exact_whatever_dies() {
    let joined = Paired::new("joined", 2, "stop = \"latest\"\nmax-out-of-orderness = \"100ms\"");
    let mut owed = Vec::new();
    for partition in 0..2 {
        let first = i64::from(partition) * 10_000;
        // Close together, far apart, and only one of them.
        let spread = |from: i64, count: i64, step: i64, numbers: i64| -> Log {
            let time = |index: i64| from + index * step + index * 7919 % 90;
            (0..count).map(|index| (time(index), first + numbers + index)).collect()
        };
        let logs = [
            [spread(10_000, 300, 130, 0), spread(90_000, 100, 1_700, 300)].concat(),
            [spread(12_000, 200, 170, 1_000), spread(80_000, 150, 1_300, 1_200)].concat(),
        ];
        for (topic, log) in logs.iter().enumerate() {
            joined.send(topic, partition, log);
        }
        owed.extend(paired(&logs));
    }
    for kill in 0..setting("SANDBAR_KILLS", 5) {
        let mut run = joined.file.run();
        run.wait_placed(4, PATIENCE);
        std::thread::sleep(Duration::from_millis(kill * 61 % 250));
        run.kill();
    }
    let ended = joined.file.run().wait(seconds(120));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    joined.client.settle(&joined.output);
    let mut shown = joined.shown();
    shown.sort_unstable();
    owed.sort_unstable();
    assert_eq!(shown, owed);
    assert!(joined.client.read_settled(&joined.late).is_empty());
}

/// What users of Kafka Streams and of Quix report: one input stands still, and the other's results never come.
#[test]
fn an_input_that_stands_still_for_a_while_holds_the_other_up_for_no_longer() {
    let joined = Paired::new("still", 1, "idle-after = \"500ms\"\nmax-out-of-orderness = \"0s\"");
    joined.send(0, 0, &[(10_000, 0), (20_000, 3)]);
    let run = joined.file.run();
    let shows = |pairs: &[(Option<i64>, Option<i64>)]| joined.shown() == pairs;
    wait::until_true("who had no partner in the quiet input is told", seconds(90), || {
        shows(&[(Some(0), None)])
    });
    // It moves again: what is in time finds its partner, what is not is late.
    joined.send(1, 0, &[(20_500, 6), (10_100, 9)]);
    wait::until_true("what came since is paired", PATIENCE, || {
        shows(&[(Some(0), None), (Some(3), Some(6))])
    });
    wait::until_true("what came too late is there", PATIENCE, || {
        joined.client.read(&joined.late, Isolation::Committed).len() == 1
    });
    stop(run);
}

/// Flink's operators take the greatest watermark of their inputs once all are idle; else nothing would be told here,
/// since what holds time back is idle last.
#[test]
fn which_input_is_idle_first_does_not_matter() {
    let mut joined = Paired::new("order", 1, "max-out-of-orderness = \"0s\"");
    joined.file.source += "\nidle-after = \"100ms\"";
    joined.file.tables = joined
        .file
        .tables
        .replace("[source.right]", "[source.right]\nidle-after = \"2s\"");
    joined.send(0, 0, &[(10_000, 0), (20_000, 3)]);
    let run = joined.file.run();
    wait::until_true("who has no partner is told", seconds(90), || {
        joined.shown() == [(Some(0), None)]
    });
    stop(run);
}
