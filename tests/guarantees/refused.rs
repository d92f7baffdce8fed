//! An output that Kafka refuses for good costs itself and nothing else, if the file says so; else the error names it
//! and says what to do.

use crate::flow::Flow;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::wait::{PATIENCE, seconds};
use std::collections::BTreeSet;

const BOUNDED: &str = "start = \"earliest\"\nstop = \"latest\"";
const DAY: &str = "86400000";
/// Of so many records, each with a number as its value.
const RECORDS: usize = 600;
/// These are refused; some are neighbours, most stand alone in their batch.
const BAD: [usize; 5] = [7, 8, 211, 300, 599];

/// Why an output topic refuses a record: its settings, and what makes a record bad.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Time,
    NullKey,
    Size,
}

impl Fault {
    fn settings(self) -> [(&'static str, &'static str); 1] {
        match self {
            Fault::Time => [("message.timestamp.before.max.ms", DAY)],
            Fault::NullKey => [("cleanup.policy", "compact")],
            Fault::Size => [("max.message.bytes", "40000")],
        }
    }

    fn spoil(self, record: Record, number: usize) -> Record {
        match self {
            Fault::Time => record.at(1_000_000_000_000),
            Fault::NullKey => Record { key: None, ..record },
            Fault::Size => Record {
                value: Some(format!("{number}:{}", noise(60_000, number)).into_bytes()),
                ..record
            },
        }
    }
}

/// Text that no compression makes small.
fn noise(bytes: usize, seed: usize) -> String {
    let mut state = seed as u64 * 0x9E37_79B9_7F4A_7C15 + 1;
    let mut letter = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b'!' + (state % 90) as u8)
    };
    (0..bytes).map(|_| letter()).collect()
}

/// A bounded flow into a topic that refuses some records; the dead letters' topic refuses the same.
struct Refusing {
    flow: Flow,
    fault: Fault,
    dead: String,
}

impl Refusing {
    fn new(fault: Fault, delivery: &str, on_refused: &str) -> Self {
        let mut flow = Flow::new("refused", 1, BOUNDED);
        let (output, dead) = (format!("{}-to", flow.file.name), format!("{}-dead", flow.file.name));
        for topic in [&output, &dead] {
            flow.client.create_topic_with(topic, 1, &fault.settings());
        }
        flow.output = output;
        flow.file.sink = format!("topic = \"{}\"\non-refused = \"{on_refused}\"", flow.output);
        flow.file.properties = "\"linger.ms\" = 50".into();
        flow.file.tables = format!("[dead-letters]\ntopic = \"{dead}\"");
        if delivery != "none" {
            flow.file.top += &format!("\ndelivery = \"{delivery}\"");
            flow.file.tables += "\n[checkpoint]\ninterval = \"200ms\"";
        }
        Self { flow, fault, dead }
    }

    fn send(&self) {
        let record = |number: usize| {
            let record = Record {
                key: Some(format!("key-{}", number % 10).into_bytes()),
                headers: vec![("trace".into(), Some(number.to_string().into_bytes()))],
                ..Record::placed(&self.flow.input, 0, &number.to_string())
            };
            match BAD.contains(&number) {
                true => self.fault.spoil(record, number),
                false => record,
            }
        };
        self.flow
            .client
            .producer()
            .send(&(0..RECORDS).map(record).collect::<Vec<_>>());
    }

    fn numbers(&self, topic: &str) -> Vec<usize> {
        let records = self.flow.client.read_settled(topic);
        let number = |record: &Record| record.text().split(':').next().and_then(|text| text.parse().ok());
        records.iter().map(|record| number(record).expect("a number")).collect()
    }

    /// The outputs are the good ones: each once and in order, or each at least once and for the first time in order.
    fn assert_outputs(&self, delivery: &str) {
        let mut outputs = self.numbers(&self.flow.output);
        let good: Vec<_> = (0..RECORDS).filter(|number| !BAD.contains(number)).collect();
        if delivery != "exactly-once" {
            let mut seen = BTreeSet::new();
            outputs.retain(|number| seen.insert(*number));
        }
        assert_eq!(outputs, good, "{:?} {delivery}", self.fault);
    }

    fn assert_dead(&self, delivery: &str) {
        let dead = self.flow.client.read_settled(&self.dead);
        let mut numbers = self.numbers(&self.dead);
        if delivery != "exactly-once" {
            numbers.dedup();
            numbers = numbers.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
        }
        assert_eq!(numbers, BAD, "{:?} {delivery}", self.fault);
        for letter in &dead {
            let number = header(letter, "sandbar-offset").parse::<usize>().expect("an offset");
            assert!(BAD.contains(&number), "{number}");
            assert_eq!(header(letter, "sandbar-sink"), "out");
            assert_eq!(header(letter, "sandbar-kind"), "refused");
            assert_eq!(header(letter, "sandbar-topic"), self.flow.input);
            let reason = header(letter, "sandbar-reason");
            assert!(
                reason.starts_with("Broker: "),
                "Kafka's words, and nothing of the record: {reason}"
            );
            match self.fault {
                Fault::Time => assert_eq!(header(letter, "sandbar-timestamp"), "1000000000000"),
                Fault::NullKey => assert_eq!(
                    letter.key.as_deref(),
                    Some(format!("{}/0/{number}", self.flow.input).as_bytes())
                ),
                Fault::Size => {
                    let whole = format!("{number}:").len() + 60_000;
                    assert_eq!(header(letter, "sandbar-value-bytes"), whole.to_string());
                }
            }
        }
    }
}

fn header(record: &Record, name: &str) -> String {
    let found = record.headers.iter().rev().find(|(is, _)| is == name);
    let (_, value) = found.unwrap_or_else(|| panic!("header {name} among {:?}", record.headers));
    String::from_utf8(value.clone().expect("a value")).expect("text")
}

fn goes_on(fault: Fault) {
    for delivery in ["exactly-once", "at-least-once", "none"] {
        for on_refused in ["dead-letter", "skip"] {
            let refusing = Refusing::new(fault, delivery, on_refused);
            refusing.send();
            let ended = refusing.flow.file.run().wait(seconds(120));
            assert_eq!(
                ended.code,
                Some(0),
                "{fault:?} {delivery} {on_refused}:\n{}",
                ended.text
            );
            refusing.assert_outputs(delivery);
            match on_refused {
                "skip" => assert_eq!(refusing.numbers(&refusing.dead), [0; 0]),
                _ => refusing.assert_dead(delivery),
            }
        }
    }
}

#[test]
fn an_output_whose_time_a_topic_refuses_costs_itself_alone() {
    goes_on(Fault::Time);
}

#[test]
fn an_output_without_a_key_for_a_compacted_topic_costs_itself_alone() {
    goes_on(Fault::NullKey);
}

#[test]
fn an_output_that_is_too_large_costs_itself_alone() {
    goes_on(Fault::Size);
}

#[test]
fn an_output_that_is_refused_stops_the_pipeline_and_is_named() {
    for delivery in ["exactly-once", "at-least-once", "none"] {
        for fault in [Fault::Time, Fault::NullKey, Fault::Size] {
            let refusing = Refusing::new(fault, delivery, "fail");
            refusing.send();
            // And at each restart.
            for _ in 0..2 {
                let ended = refusing.flow.file.run().wait(PATIENCE);
                assert_eq!(ended.code, Some(5), "{fault:?} {delivery}:\n{}", ended.text);
                let of = format!("the output of {}/0 offset ", refusing.flow.input);
                for words in ["sink `out`", refusing.flow.output.as_str(), of.as_str(), "on-refused"] {
                    assert!(ended.text.contains(words), "{words}:\n{}", ended.text);
                }
            }
            let outputs = refusing.numbers(&refusing.flow.output);
            assert!(BAD.iter().all(|bad| !outputs.contains(bad)), "{outputs:?}");
        }
    }
}

#[test]
fn outputs_that_are_small_enough_are_not_refused_for_their_company() {
    let mut flow = Flow::new("company", 1, BOUNDED);
    let output = format!("{}-to", flow.file.name);
    flow.client
        .create_topic_with(&output, 1, &[("max.message.bytes", "3000")]);
    flow.file.sink = format!("topic = \"{output}\"");
    flow.file.properties = "\"linger.ms\" = 50".into();
    let records: Vec<_> = (0..400)
        .map(|number| Record::placed(&flow.input, 0, &noise(500, number)))
        .collect();
    flow.client.producer().send(&records);
    flow.finish();
    let texts: Vec<_> = flow
        .client
        .read(&output, Isolation::Committed)
        .iter()
        .map(Record::text)
        .collect();
    assert_eq!(texts, records.iter().map(Record::text).collect::<Vec<_>>());
}

#[test]
fn however_many_workers_share_the_memory_a_record_of_the_usual_size_fits_into_a_queue() {
    let mut flow = Flow::new("floor", 1, BOUNDED);
    // Each worker's share is 512 KiB.
    flow.file.top = "workers = 4\nqueue-memory = \"4MiB\"".into();
    let record = Record::placed(&flow.input, 0, &noise(900_000, 1));
    flow.client.producer().send(std::slice::from_ref(&record));
    flow.finish();
    let output = flow.client.read(&flow.output, Isolation::Committed);
    assert_eq!((output.len(), output[0].text() == record.text()), (1, true));
}
