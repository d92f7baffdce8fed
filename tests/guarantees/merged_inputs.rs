//! Inputs that meet in a task are read as one, in the order of their event times: a backlog always in the same order,
//! whatever dies, and what one brings waits for what another brings. Kafka Streams' rule of the oldest next record.

use crate::flow::stop;
use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process;
use sandbar_tests::wait::{self, seconds, setting};
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
            "topics = [\"{first}\", \"{second}\"]\nstart = \"earliest\"\nsession-timeout = \"1s\"\n\
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
        run.wait_placed(4, seconds(60));
        std::thread::sleep(Duration::from_millis(kill * 61 % 250));
        run.kill();
    }
    let ended = collected.file.run().wait(seconds(120));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
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
    wait::until_true("what is older than all that may come is there", seconds(60), || {
        shows(&[1, 2])
    });
    // The first topic's go on only once it is known what the second brings.
    collected.send(1, 0, &[(4_000, 4)]);
    wait::until_true("up to what the second brought", seconds(60), || shows(&[1, 2, 3, 4]));
    collected.send(1, 0, &[(6_000, 6)]);
    wait::until_true("and on", seconds(60), || shows(&[1, 2, 3, 4, 5]));
    stop(run);

    // Without it the end of a log is enough.
    let at_once = Collected::new("waits-not", 1, "");
    at_once.send(0, 0, &[(1_000, 1), (3_000, 3)]);
    at_once.send(1, 0, &[(2_000, 2)]);
    let run = at_once.file.run();
    wait::until_true("all of it", seconds(60), || {
        at_once.shown().get(&0).is_some_and(|(_, shown)| *shown == [1, 2, 3])
    });
    stop(run);
}
