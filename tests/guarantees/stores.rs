//! Lists, maps and values by key come back as they were, whatever dies: each output says all that its key holds, and a
//! model in the test says what it must be.

use crate::flow::stop;
use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::component;
use sandbar_tests::wait::{self, PATIENCE};
use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;

/// What a key holds, as the guest `keeps` would tell it.
#[derive(Default)]
struct Held {
    list: Vec<String>,
    map: BTreeMap<String, String>,
    value: Option<String>,
}

impl Held {
    /// Does what a record's words say, and answers as the guest does.
    fn told(&mut self, words: &str) -> String {
        let mut said = String::new();
        for word in words.split_whitespace() {
            let (verb, rest) = word.split_once(':').unwrap_or((word, ""));
            match verb {
                "push" => self.list.push(rest.into()),
                "clear-list" => self.list.clear(),
                "put" => {
                    _ = rest
                        .split_once('=')
                        .map(|(key, value)| self.map.insert(key.into(), value.into()))
                }
                "delete" => _ = self.map.remove(rest),
                "clear-map" => self.map.clear(),
                "set" => self.value = Some(rest.into()),
                "unset" => self.value = None,
                "items" => _ = write!(said, "{:?}", self.list),
                "scan" => self
                    .map
                    .iter()
                    .for_each(|(key, value)| _ = write!(said, "{key}={value},")),
                "value" => _ = write!(said, "{:?}", self.value),
                unknown => panic!("`{unknown}` is no word"),
            }
        }
        said
    }
}

/// The words of the record of a number: mostly writes, now and then something is taken away; then everything is read.
fn words(number: u64) -> String {
    let write = match number % 13 {
        0 => "clear-list".into(),
        1 => format!("delete:k{}", number % 5),
        2 => "unset".into(),
        3 if number.is_multiple_of(3) => "clear-map".into(),
        4..=6 => format!("push:p{number}"),
        7..=9 => format!("put:k{}=v{number}", number % 5),
        _ => format!("set:s{number}"),
    };
    format!("{write} items scan: value")
}

#[test]
fn lists_maps_and_values_come_back_as_they_were() {
    let mut counted = Counted::on(Kafka::shared(), "stores", 2, 1);
    counted.file.plugin = component("keeps");
    let producer = counted.client.producer();
    let mut number = 0;
    for turn in 0..6 {
        let record = |number: u64| Record::keyed(&counted.input, &format!("key-{}", number * 7 % 11), &words(number));
        producer.send(&(number..number + 200).map(record).collect::<Vec<_>>());
        number += 200;
        let before = counted.visible();
        let mut run = counted.file.run();
        wait::until_true("it puts out", PATIENCE, || {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            counted.visible() > before
        });
        match turn {
            5 => {
                wait::until_true("every output is there", PATIENCE, || {
                    shown(&counted).len() as u64 == number
                });
                stop(run);
            }
            _ => run.kill(),
        }
        if turn % 2 == 1 {
            // Without the local files the state comes from the store.
            std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
        }
    }
    let mut held: HashMap<Vec<u8>, Held> = HashMap::new();
    let mut owed: Vec<(i32, Vec<u8>, String)> = Vec::new();
    for record in counted.client.read(&counted.input, Isolation::Committed) {
        let (key, partition) = (record.key.clone().unwrap(), record.place());
        let said = held.entry(key.clone()).or_default().told(&record.text());
        owed.push((partition, key, said));
    }
    owed.sort_by_key(|(partition, ..)| *partition);
    assert_eq!(shown(&counted), owed);
}

/// The outputs by partition, each in its order.
fn shown(counted: &Counted) -> Vec<(i32, Vec<u8>, String)> {
    let records = counted.client.read(&counted.output, Isolation::Committed);
    let mut shown: Vec<_> = records
        .into_iter()
        .map(|record| (record.place(), record.key.clone().unwrap(), record.text()))
        .collect();
    shown.sort_by_key(|(partition, ..)| *partition);
    shown
}
