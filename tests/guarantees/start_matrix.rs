//! Every start with every stop on every kind of log: what is read is what the rules say, computed from the log as
//! another client sees it.
//!
//! Rows 1 to 8, 10, 11, 43, 44 and 47 of the conformance list. The usual run takes cases until each pair of choices has
//! met (`SANDBAR_MATRIX=triples`: each three; `full`: all of them).

use sandbar_tests::client::{Client, Isolation, Producer, Record};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::{Ended, Process};
use sandbar_tests::wait::{PATIENCE, promised};
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;

/// Record `n` of a partition is stamped `EPOCH + n` seconds if times are in order.
const EPOCH: i64 = 1_700_000_000_000;
const START_TIME: i64 = EPOCH + 6_000;
const STOP_TIME: i64 = EPOCH + 9_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    GroupOffsets,
    Earliest,
    Latest,
    Timestamp,
    Offsets,
    File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Otherwise {
    Earliest,
    Latest,
    Fail,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    Latest,
    Timestamp,
    Offsets,
    GroupOffsets,
    Signal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subscription {
    Topics,
    Pattern,
    Partitions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Plain,
    EmptyPartition,
    Truncated,
    TimesOutOfOrder,
    Transactions,
}

#[derive(Debug, Clone, Copy)]
struct Case {
    start: Start,
    otherwise: Otherwise,
    stop: Stop,
    subscription: Subscription,
    shape: Shape,
}

/// A partition of one of the case's two topics, `a` with three partitions and `b` with one.
type Place = (char, i32);

#[test]
fn every_start_and_stop_reads_exactly_what_the_rules_say() {
    let strength = match std::env::var("SANDBAR_MATRIX").as_deref() {
        Ok("full") => 5,
        Ok("triples") => 3,
        _ => 2,
    };
    let cases = chosen(strength);
    eprintln!("{} cases", cases.len());
    let (next, failures) = (Mutex::new(cases.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                loop {
                    let Some(case) = next.lock().unwrap().next() else {
                        return;
                    };
                    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(*case))) {
                        failures
                            .lock()
                            .unwrap()
                            .push(format!("{case:?}\n  {}", text_of(panic.as_ref())));
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().unwrap();
    assert!(
        failures.is_empty(),
        "{} of {} cases:\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n")
    );
}

fn check(case: Case) {
    let kafka = Kafka::shared();
    let log = Log::write(case, kafka.client());
    let expected = log.expected_positions();
    let file = log.pipeline(kafka);
    let mut run = file.run();
    let Some(positions) = expected else {
        let ended = run.wait(PATIENCE);
        assert_eq!(ended.code, Some(5), "nothing says where to start: {}", ended.text);
        log.remove();
        return;
    };
    let placed = run.wait_placed(positions.len(), PATIENCE);
    let froms: BTreeMap<String, i64> = placed
        .into_iter()
        .map(|placed| (placed.partition, placed.from))
        .collect();
    let wanted: BTreeMap<String, i64> = positions
        .iter()
        .map(|(place, range)| (log.name(*place), range.0))
        .collect();
    assert_eq!(froms, wanted, "the start positions");
    log.go_on();
    let expected = log.between(&positions);
    let ended = log.finish(run, expected.values().map(Vec::len).sum());
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    assert_eq!(
        log.output(),
        expected,
        "what was read, by partition and in order; it said:\n{}",
        ended.text
    );
    log.remove();
}

/// The case's topics and what is in them.
struct Log {
    case: Case,
    client: Client,
    prefix: String,
    open: Option<Producer>,
}

impl Log {
    fn write(case: Case, client: Client) -> Self {
        let log = Self {
            case,
            client,
            prefix: unique("matrix"),
            open: None,
        };
        log.client.create_topic(&log.topic('a'), 3);
        log.client.create_topic(&log.topic('b'), 1);
        log.client.create_topic(&log.topic('o'), 2);
        // A pattern matches the whole name, so that this one stays unread.
        log.client.create_topic(&format!("{}-ab", log.prefix), 1);
        log.client
            .producer()
            .send(&[Record::placed(&format!("{}-ab", log.prefix), 0, "never read")]);
        let log = log.fill();
        let commits: Vec<(String, i32, i64)> = log
            .commits()
            .into_iter()
            .map(|((topic, partition), offset)| (log.topic(topic), partition, offset))
            .collect();
        let commits: Vec<(&str, i32, i64)> = commits
            .iter()
            .map(|(topic, partition, offset)| (topic.as_str(), *partition, *offset))
            .collect();
        log.client.commit(&log.group(), &commits);
        log
    }

    fn fill(mut self) -> Self {
        let producer = self.client.producer();
        if self.case.shape == Shape::Transactions {
            self.open = Some(self.fill_with_transactions(&producer));
            return self;
        }
        for ((topic, partition), count) in [(('a', 0), 12), (('a', 1), 9), (('a', 2), 10), (('b', 0), 5)] {
            let empty = self.case.shape == Shape::EmptyPartition && matches!((topic, partition), ('a', 2) | ('b', 0));
            if !empty {
                producer.send(&self.records((topic, partition), 0..count));
            }
        }
        if self.case.shape == Shape::Truncated {
            self.client.delete_records(&self.topic('a'), 0, 4);
            self.client.delete_records(&self.topic('a'), 1, 9);
        }
        self
    }

    /// a/0: plain, committed, aborted, plain, open, and a plain one behind it; a/1 ends with a commit marker, a/2 with
    /// aborted records.
    fn fill_with_transactions(&self, producer: &Producer) -> Producer {
        let transactions = self.client.transactions(&self.prefix);
        let transact = |place, numbers, commit: bool| {
            transactions.begin();
            transactions.send(&self.records(place, numbers));
            if commit {
                transactions.commit()
            } else {
                transactions.abort()
            }
        };
        producer.send(&self.records(('a', 0), 0..3));
        transact(('a', 0), 3..6, true);
        transact(('a', 0), 6..9, false);
        producer.send(&self.records(('a', 0), 9..11));
        producer.send(&self.records(('a', 1), 0..6));
        transact(('a', 1), 6..9, true);
        producer.send(&self.records(('a', 2), 0..7));
        transact(('a', 2), 7..10, false);
        producer.send(&self.records(('b', 0), 0..5));
        transactions.begin();
        transactions.send(&self.records(('a', 0), 11..13));
        producer.send(&self.records(('a', 0), 13..14));
        transactions
    }

    fn records(&self, place: Place, numbers: std::ops::Range<i64>) -> Vec<Record> {
        let time = |number: i64| match self.case.shape {
            Shape::TimesOutOfOrder => EPOCH + (number * 7 % 12) * 1000,
            _ => EPOCH + number * 1000,
        };
        let record = |number: i64| Record {
            key: Some(format!("{}{}", place.0, place.1).into()),
            ..Record::placed(
                &self.topic(place.0),
                place.1,
                &format!("{}{} {number}", place.0, place.1),
            )
            .at(time(number))
        };
        numbers.map(record).collect()
    }

    fn topic(&self, topic: char) -> String {
        format!("{}-{topic}", self.prefix)
    }

    fn name(&self, (topic, partition): Place) -> String {
        format!("{}/{partition}", self.topic(topic))
    }

    fn group(&self) -> String {
        format!("{}-group", self.prefix)
    }

    fn places(&self) -> Vec<Place> {
        match self.case.subscription {
            Subscription::Partitions => vec![('a', 0), ('a', 2)],
            _ => vec![('a', 0), ('a', 1), ('a', 2), ('b', 0)],
        }
    }

    /// What a foreign tool committed: everywhere if the stop asks for it, else for two partitions.
    fn commits(&self) -> BTreeMap<Place, i64> {
        let second = if self.case.shape == Shape::Truncated { 9 } else { 7 };
        let mut commits = BTreeMap::from([(('a', 0), 5), (('a', 1), second)]);
        if self.case.stop == Stop::GroupOffsets {
            let empty = self.case.shape == Shape::EmptyPartition;
            commits.extend([
                (('a', 2), if empty { 0 } else { 3 }),
                (('b', 0), if empty { 0 } else { 2 }),
            ]);
        }
        commits
    }

    fn given(&self) -> BTreeMap<Place, i64> {
        match self.case.start {
            Start::Offsets => BTreeMap::from([(('a', 0), 6)]),
            _ => BTreeMap::from([
                (('a', 0), 5),
                (('a', 2), i64::from(self.case.shape != Shape::EmptyPartition)),
            ]),
        }
    }

    /// Inside the log, in an open transaction, one record beyond the end, and at a record that is not there yet.
    fn stops(&self) -> BTreeMap<Place, i64> {
        let open = self.case.shape == Shape::Transactions;
        let empty = self.case.shape == Shape::EmptyPartition;
        let (_, end) = self.client.bounds(&self.topic('a'), 1, Isolation::Committed);
        BTreeMap::from([
            (('a', 0), if open { 15 } else { 8 }),
            (('a', 1), end + 1),
            (('a', 2), if empty { 1 } else { 4 }),
            (('b', 0), 2),
        ])
    }

    /// From where to where each partition is to be read; `None` if nothing says where to start. The rules, and
    /// nothing but the rules.
    fn expected_positions(&self) -> Option<BTreeMap<Place, (i64, i64)>> {
        let place = |place| Some((place, (self.start(place)?, self.stop(place))));
        self.places().into_iter().map(place).collect()
    }

    fn start(&self, place: Place) -> Option<i64> {
        let (beginning, end) = self.client.bounds(&self.topic(place.0), place.1, Isolation::Committed);
        let otherwise = || match self.case.otherwise {
            Otherwise::Earliest => Some(beginning),
            Otherwise::Latest => Some(end),
            Otherwise::Fail => None,
        };
        match self.case.start {
            Start::Earliest => Some(beginning),
            Start::Latest => Some(end),
            Start::Timestamp => Some(self.at(place, START_TIME).unwrap_or(end)),
            Start::GroupOffsets => self.commits().get(&place).copied().or_else(otherwise),
            Start::Offsets | Start::File => {
                let given = self.given().get(&place).copied();
                given.or_else(|| self.commits().get(&place).copied()).or_else(otherwise)
            }
        }
    }

    fn stop(&self, place: Place) -> i64 {
        let (_, end) = self.client.bounds(&self.topic(place.0), place.1, Isolation::Committed);
        match self.case.stop {
            Stop::Latest => end,
            Stop::Timestamp => self.at(place, STOP_TIME).unwrap_or(end),
            Stop::Offsets => self.stops()[&place],
            Stop::GroupOffsets => self.commits()[&place],
            Stop::Signal => i64::MAX,
        }
    }

    /// Kafka's look-up; if no marker stands between, it is checked by hand.
    fn at(&self, (topic, partition): Place, time: i64) -> Option<i64> {
        let found = self
            .client
            .offset_at(&self.topic(topic), partition, time, Isolation::Committed);
        if self.case.shape != Shape::Transactions {
            let records = self.client.read(&self.topic(topic), Isolation::Uncommitted);
            let first = records
                .iter()
                .find(|record| record.place() == partition && record.timestamp >= Some(time));
            assert_eq!(
                found,
                first.map(|record| record.offset),
                "Kafka's look-up finds the first in log order"
            );
        }
        found
    }

    /// What happens once the positions are resolved: the open transaction is committed, and every partition grows.
    fn go_on(&self) {
        if let Some(open) = &self.open {
            open.commit();
        }
        let producer = self.client.producer();
        for place in [('a', 0), ('a', 1), ('a', 2), ('b', 0)] {
            producer.send(&self.records(place, 50..53));
        }
    }

    /// The values between the positions, by key and in order.
    fn between(&self, positions: &BTreeMap<Place, (i64, i64)>) -> BTreeMap<String, Vec<String>> {
        let mut expected: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for topic in ['a', 'b'] {
            for record in self.client.read_settled(&self.topic(topic)) {
                if let Some((from, to)) = positions.get(&(topic, record.place()))
                    && (*from..*to).contains(&record.offset)
                {
                    expected
                        .entry(format!("{topic}{}", record.place()))
                        .or_default()
                        .push(record.text());
                }
            }
        }
        expected
    }

    fn output(&self) -> BTreeMap<String, Vec<String>> {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in self.client.read_settled(&self.topic('o')) {
            let key = String::from_utf8(record.key.clone().expect("a key")).expect("a key in UTF-8");
            found.entry(key).or_default().push(record.text());
        }
        found
    }

    /// A bounded run ends by itself; an endless one is asked to stop when its output is there.
    fn finish(&self, run: Process, count: usize) -> Ended {
        if self.case.stop != Stop::Signal {
            return run.wait(PATIENCE);
        }
        let topic = self.topic('o');
        let seen = self
            .client
            .reader(&[&topic], Isolation::Committed)
            .take(count, PATIENCE)
            .len();
        assert_eq!(seen, count, "all outputs arrive; it said:\n{}", run.lines().join("\n"));
        run.stop(promised(10))
    }

    fn pipeline(&self, kafka: &Kafka) -> PipelineFile {
        let subscription = match self.case.subscription {
            Subscription::Topics => format!("topics = [\"{}\", \"{}\"]", self.topic('a'), self.topic('b')),
            Subscription::Pattern => format!("topic-pattern = \"{}-[ab]\"", self.prefix),
            Subscription::Partitions => format!("partitions = {{ {} = [0, 2] }}", self.topic('a')),
        };
        let start = match self.case.start {
            Start::GroupOffsets => "\"group-offsets\"".into(),
            Start::Earliest => "\"earliest\"".into(),
            Start::Latest => "\"latest\"".into(),
            Start::Timestamp => format!("{{ timestamp = {START_TIME} }}"),
            Start::Offsets => format!("{{ offsets = {} }}", self.offsets(&self.given(), "=")),
            Start::File => "{ file = \"start.json\" }".into(),
        };
        let stop = match self.case.stop {
            Stop::Latest => "stop = \"latest\"".into(),
            Stop::Timestamp => format!("stop = {{ timestamp = {STOP_TIME} }}"),
            Stop::Offsets => format!("stop = {{ offsets = {} }}", self.offsets(&self.stops(), "=")),
            Stop::GroupOffsets => "stop = \"group-offsets\"".into(),
            Stop::Signal => String::new(),
        };
        let otherwise = format!("{:?}", self.case.otherwise).to_lowercase();
        let source = format!(
            "{subscription}\ngroup = \"{}\"\nstart = {start}\notherwise = \"{otherwise}\"\n{stop}",
            self.group()
        );
        let file = PipelineFile::new(&kafka.bootstrap(), &self.prefix, &source, &self.topic('o'));
        std::fs::write(file.path("start.json"), self.offsets(&self.given(), ":")).expect("the offsets are written");
        file
    }

    /// Offsets of subscribed partitions as TOML (`=`) or JSON (`:`).
    fn offsets(&self, offsets: &BTreeMap<Place, i64>, is: &str) -> String {
        let of = |topic: char| {
            let listed = offsets
                .iter()
                .filter(|(place, _)| place.0 == topic && self.places().contains(place));
            let listed: Vec<String> = listed
                .map(|((_, partition), offset)| format!("\"{partition}\"{is}{offset}"))
                .collect();
            (!listed.is_empty()).then(|| format!("\"{}\"{is} {{ {} }}", self.topic(topic), listed.join(", ")))
        };
        format!(
            "{{ {} }}",
            ['a', 'b'].into_iter().filter_map(of).collect::<Vec<_>>().join(", ")
        )
    }

    fn remove(&self) {
        ['a', 'b', 'o']
            .iter()
            .for_each(|topic| self.client.delete_topic(&self.topic(*topic)));
        self.client.delete_topic(&format!("{}-ab", self.prefix));
    }
}

const STARTS: [Start; 6] = [
    Start::GroupOffsets,
    Start::Earliest,
    Start::Latest,
    Start::Timestamp,
    Start::Offsets,
    Start::File,
];
const OTHERWISES: [Otherwise; 3] = [Otherwise::Earliest, Otherwise::Latest, Otherwise::Fail];
const STOPS: [Stop; 5] = [
    Stop::Latest,
    Stop::Timestamp,
    Stop::Offsets,
    Stop::GroupOffsets,
    Stop::Signal,
];
const SUBSCRIPTIONS: [Subscription; 3] = [Subscription::Topics, Subscription::Pattern, Subscription::Partitions];
const SHAPES: [Shape; 5] = [
    Shape::Plain,
    Shape::EmptyPartition,
    Shape::Truncated,
    Shape::TimesOutOfOrder,
    Shape::Transactions,
];

/// Cases until every combination of `strength` choices has met: each time the one that brings most new ones.
fn chosen(strength: u32) -> Vec<Case> {
    let mut indexes: Vec<[usize; 5]> = Vec::new();
    for number in 0..6 * 3 * 5 * 3 * 5 {
        indexes.push([
            number % 6,
            number / 6 % 3,
            number / 18 % 5,
            number / 90 % 3,
            number / 270,
        ]);
    }
    let combinations = |index: &[usize; 5]| {
        let subsets = (0u32..32).filter(|subset| subset.count_ones() == strength);
        let pick = |subset: u32| {
            (0..5)
                .map(|at| if subset >> at & 1 == 1 { index[at] } else { 9 })
                .collect::<Vec<_>>()
        };
        subsets.map(pick).collect::<Vec<_>>()
    };
    let mut missing: BTreeSet<Vec<usize>> = indexes.iter().flat_map(combinations).collect();
    let mut cases = Vec::new();
    while !missing.is_empty() {
        let brings = |index: &&[usize; 5]| {
            combinations(index)
                .iter()
                .filter(|combination| missing.contains(*combination))
                .count()
        };
        let best = *indexes.iter().max_by_key(brings).expect("a case");
        for combination in combinations(&best) {
            missing.remove(&combination);
        }
        cases.push(Case {
            start: STARTS[best[0]],
            otherwise: OTHERWISES[best[1]],
            stop: STOPS[best[2]],
            subscription: SUBSCRIPTIONS[best[3]],
            shape: SHAPES[best[4]],
        });
    }
    cases
}

fn text_of(panic: &(dyn std::any::Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("a panic without text")
}
