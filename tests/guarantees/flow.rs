//! A topic, `pass-through`, a topic: what most promises are shown on.

use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::Process;
use sandbar_tests::wait::{self, PATIENCE, promised};
use std::collections::BTreeMap;

/// An input topic, an output topic with one partition, and the pipeline between them.
pub struct Flow {
    pub client: Client,
    pub input: String,
    pub output: String,
    pub file: PipelineFile,
}

impl Flow {
    /// On the shared Kafka; `source` are the source's lines besides its topics.
    pub fn new(name: &str, partitions: i32, source: &str) -> Self {
        Self::on(Kafka::shared(), name, partitions, source)
    }

    /// The same on a Kafka of its own.
    pub fn on(kafka: &Kafka, name: &str, partitions: i32, source: &str) -> Self {
        let (client, name) = (kafka.client(), unique(name));
        let (input, output) = (format!("{name}-in"), format!("{name}-out"));
        client.create_topic(&input, partitions);
        client.create_topic(&output, 1);
        let source = format!("topics = [\"{input}\"]\n{source}");
        let file = PipelineFile::new(&kafka.bootstrap(), &name, &source, &output);
        Self {
            client,
            input,
            output,
            file,
        }
    }

    /// Sends the numbers as values, spread over the input's partitions.
    pub fn send(&self, numbers: std::ops::Range<i64>) {
        let partitions = self.client.partitions(&self.input).len() as i64;
        let record = |number: i64| Record::placed(&self.input, (number % partitions) as i32, &number.to_string());
        self.client.producer().send(&numbers.map(record).collect::<Vec<_>>());
    }

    /// The numbers in the output, in its order.
    pub fn numbers(&self) -> Vec<i64> {
        let records = self.client.read(&self.output, Isolation::Committed);
        records
            .iter()
            .map(|record| record.text().parse().expect("a number"))
            .collect()
    }

    /// The numbers in the output, sorted.
    pub fn sorted(&self) -> Vec<i64> {
        let mut numbers = self.numbers();
        numbers.sort_unstable();
        numbers
    }

    /// How many records the output has.
    pub fn count(&self) -> i64 {
        self.client.bounds(&self.output, 0, Isolation::Committed).1
    }

    /// Waits until the output has that many records.
    pub fn wait_count(&self, count: i64, run: &Process) {
        let deadline = std::time::Instant::now() + PATIENCE;
        while self.count() < count {
            let said = || run.lines().join("\n");
            assert!(
                std::time::Instant::now() < deadline,
                "{count} outputs arrive, {} did:\n{}",
                self.count(),
                said()
            );
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }

    /// What the pipeline's group holds for the input.
    pub fn committed(&self) -> BTreeMap<i32, i64> {
        let committed = self.client.committed(&self.file.group(), &self.input);
        committed
            .into_iter()
            .map(|(partition, committed)| (partition, committed.offset))
            .collect()
    }

    /// Waits until the group holds exactly this.
    pub fn wait_committed(&self, offsets: &[i64]) {
        let wanted: BTreeMap<i32, i64> = (0..).zip(offsets.iter().copied()).collect();
        let mut last = BTreeMap::new();
        let deadline = std::time::Instant::now() + PATIENCE;
        while last != wanted {
            assert!(
                std::time::Instant::now() < deadline,
                "the group holds {wanted:?}, it holds {last:?}"
            );
            last = self.committed();
        }
    }

    /// Runs to its end by itself, which must be a good one.
    pub fn finish(&self) {
        let ended = self.file.run().wait(PATIENCE * 2);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }

    /// Starts it, and waits until it says where each partition starts.
    pub fn start(&self) -> Process {
        let partitions = self.client.partitions(&self.input).len();
        let mut run = self.file.run();
        run.wait_placed(partitions, PATIENCE);
        run
    }
}

/// Asks it to stop, which must succeed within 10 s.
pub fn stop(run: Process) {
    let ended = run.stop(promised(10));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}

/// Waits until the group has no members. It shows that they left if their sessions are longer than this takes.
pub fn wait_left(client: &Client, group: &str) {
    wait::until_true("the group is empty", PATIENCE, || client.members(group) == 0);
}
