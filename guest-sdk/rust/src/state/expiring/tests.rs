//! Values with a time to live: what they are by a naive account of it, however events are cut into calls.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{ExpiringValue, Refresh};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record, Snapshot};
use crate::window::Span;
use crate::{Event, Fired, Outputs, Plugin, Refusal, Stores, Timer, Timers, Value, dead_letter};

/// Does with the key's value what the words of a record say, and tells what it reads; so do its own timers.
#[derive(Deserialize)]
struct Notes {
    ms: i64,
    #[serde(default)]
    refresh: Refresh,
    #[serde(skip)]
    note: ExpiringValue<String>,
    #[serde(skip)]
    look: Timer,
    #[serde(skip)]
    glance: Timer,
}

impl Plugin for Notes {
    fn stores(stores: &mut Stores<Self>) {
        stores.expiring("note", |notes| &mut notes.note).version(2);
    }

    fn timers(timers: &mut Timers<Self>) {
        timers.event_time("look", |notes| &mut notes.look);
        timers.processing_time("glance", |notes| &mut notes.glance);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.note.open(Span::of_ms(self.ms), self.refresh)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        for word in event.text()?.split_whitespace() {
            match word {
                "get" => out.emit_text(event.key(), format_args!("{:?}", self.note.get(event)?)),
                "delete" => {
                    self.note.delete(event)?;
                    continue;
                }
                "look" => {
                    self.look.set(event, event.timestamp() + 3)?;
                    continue;
                }
                "glance" => {
                    self.glance.set(event, 1)?;
                    continue;
                }
                "refused" => return Err(dead_letter("told to")),
                _ => {
                    self.note.set(event, &word.to_owned())?;
                    continue;
                }
            };
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        out.emit_text(fired.key(), format_args!("{:?} seen", self.note.get(fired)?));
        Ok(())
    }
}

/// The same before there was a time to live: each record's value is kept.
#[derive(Deserialize)]
struct Before {
    #[serde(skip)]
    note: Value<String>,
}

impl Plugin for Before {
    fn stores(stores: &mut Stores<Self>) {
        stores.add("note", |before| &mut before.note).version(2);
    }

    fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
        self.note.set(event, &event.text()?.to_owned())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(&'static str, String, i64),
    Advance(i64),
}

const KEYS: [&str; 3] = ["a", "", "ab"];

fn steps(chance: &mut Chance, count: usize) -> Vec<Step> {
    let (mut time, mut watermark) = (0, i64::MIN);
    let mut steps = Vec::new();
    while steps.len() < count {
        time += chance.below(if steps.len() % 9 == 0 { 30 } else { 4 });
        let words = (0..1 + chance.below(3)).map(|_| match chance.below(12) {
            0..5 => "get".to_owned(),
            5 => "delete".to_owned(),
            6 => "refused".to_owned(),
            7 => "look".to_owned(),
            _ => format!("n{}", steps.len()),
        });
        let words: Vec<_> = words.collect();
        let key = KEYS[chance.below(3) as usize];
        steps.push(Step::Push(key, words.join(" "), time - chance.below(12)));
        if time - 5 > watermark && chance.below(2) == 0 {
            watermark = time - 5;
            steps.push(Step::Advance(watermark));
        }
    }
    steps
}

/// A naive account: of each key its value and when that was written, and where time stands.
struct Account {
    ms: i64,
    refresh: Refresh,
    watermark: i64,
    notes: BTreeMap<&'static str, (String, i64)>,
    looks: std::collections::BTreeSet<(i64, &'static str)>,
}

impl Account {
    fn read(&mut self, key: &'static str, now: i64) -> Option<String> {
        let (note, written) = self.notes.get_mut(key)?;
        if *written + self.ms <= now {
            return None;
        }
        if self.refresh == Refresh::OnReadAndWrite {
            *written = now.max(*written);
        }
        Some(note.clone())
    }

    fn push(&mut self, key: &'static str, words: &str, time: i64, said: &mut Vec<String>) {
        let (notes, looks, now) = (self.notes.clone(), self.looks.clone(), time.max(self.watermark));
        let mut says = Vec::new();
        for word in words.split(' ') {
            match word {
                "get" => says.push(format!("out {key}={:?} @{time}", self.read(key, now))),
                "delete" => drop(self.notes.remove(key)),
                "look" => drop(self.looks.insert((time + 3, key))),
                "refused" => {
                    (self.notes, self.looks) = (notes, looks);
                    return;
                }
                note => {
                    let written = self.notes.get(key).map_or(now, |(_, written)| now.max(*written));
                    self.notes.insert(key, (note.to_owned(), written));
                }
            }
        }
        said.extend(says);
    }

    /// What has ended is gone, and who wanted to look looks.
    fn move_to(&mut self, watermark: i64, said: &mut Vec<String>) {
        self.watermark = watermark;
        while let Some((at, key)) = self.looks.first().copied().filter(|(at, _)| *at <= watermark) {
            self.looks.pop_first();
            said.push(format!("out {key}={:?} @{at}", self.read(key, at)).replace(" @", " seen @"));
        }
        let ms = self.ms;
        self.notes.retain(|_, (_, written)| *written + ms > watermark);
    }
}

const LIVES: [(i64, &str); 4] = [
    (1, "on-write"),
    (9, "on-write"),
    (30, "on-write"),
    (9, "on-read-and-write"),
];

fn open((ms, refresh): (i64, &str)) -> Host<Notes> {
    Host::open(&format!("{{\"ms\":{ms},\"refresh\":\"{refresh}\"}}")).unwrap()
}

fn lines(host: &mut Host<Notes>) -> Vec<String> {
    host.take_outputs().iter().map(ToString::to_string).collect()
}

/// All that is said and kept; calls end behind the steps that `is_cut` names, and each begins from a snapshot.
fn run(life: (i64, &str), steps: &[Step], mut is_cut: impl FnMut(usize) -> bool) -> (Vec<String>, Snapshot) {
    let (mut host, mut said) = (open(life), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Push(key, words, time) => host.push(Record::new(*key, words, *time)),
            Step::Advance(watermark) => host.advance(*watermark),
        }
        if is_cut(at) || at + 1 == steps.len() {
            host.run().unwrap();
            said.extend(lines(&mut host));
            let ends = host.timers().filter(|(_, name, _)| *name == "note");
            let mut of: Vec<_> = ends.map(|(_, _, key)| key.to_vec()).collect();
            let timers = of.len();
            of.sort();
            of.dedup();
            assert_eq!(of.len(), timers, "a key has one timer at most");
            let kept = host.snapshot();
            host = open(life);
            host.restore(&kept);
        }
    }
    (said, host.snapshot())
}

#[test]
fn a_value_is_what_a_naive_account_of_it_says_however_events_are_cut_into_calls() {
    let mut chance = Chance(0x5eed);
    let (mut found, mut ended) = (0, 0);
    for round in 0..120 {
        let life = LIVES[round % LIVES.len()];
        let steps = steps(&mut chance, 60);
        let refresh = if life.1 == "on-write" {
            Refresh::OnWrite
        } else {
            Refresh::OnReadAndWrite
        };
        let mut account = Account {
            ms: life.0,
            refresh,
            watermark: i64::MIN,
            notes: BTreeMap::new(),
            looks: std::collections::BTreeSet::new(),
        };
        let mut expected = Vec::new();
        for step in &steps {
            match step {
                Step::Push(key, words, time) => account.push(key, words, *time, &mut expected),
                Step::Advance(watermark) => account.move_to(*watermark, &mut expected),
            }
            // A look that is due when it is set happens behind its record.
            account.move_to(account.watermark, &mut expected);
        }
        let (said, kept) = run(life, &steps, |_| true);
        assert_eq!(said, expected, "{life:?} {steps:?}");
        let mut host = open(life);
        host.restore(&kept);
        for key in KEYS {
            let note = account.notes.get(key).map(|(note, _)| note.clone());
            assert_eq!(
                host.value::<String, crate::Postcard>("note", key),
                Ok(note),
                "{life:?} {steps:?}"
            );
        }
        assert_eq!(
            run(life, &steps, |_| false),
            (said.clone(), kept.clone()),
            "{life:?} {steps:?}"
        );
        let at_random = run(life, &steps, |_| chance.below(4) == 0);
        assert_eq!(at_random, (said.clone(), kept), "{life:?} {steps:?}");
        found += said.iter().filter(|line| line.contains("Some")).count();
        ended += said.iter().filter(|line| line.contains("None")).count();
    }
    assert!(found > 500 && ended > 500, "{found} found, {ended} not");
}

#[test]
fn nothing_is_left_when_all_have_ended() {
    let mut chance = Chance(0x5eed);
    for life in LIVES {
        let mut steps = steps(&mut chance, 60);
        steps.push(Step::Advance(10_000));
        let (_, kept) = run(life, &steps, |_| true);
        let mut empty = open(life);
        empty.advance(10_000);
        empty.run().unwrap();
        assert_eq!(kept, empty.snapshot());
    }
}

#[test]
fn however_often_a_value_is_written_its_timer_is_set_once_in_a_life() {
    let mut host = open((100, "on-write"));
    let mut set = std::collections::BTreeSet::new();
    for time in 0..1000 {
        host.push(Record::new("a", format!("n{time}"), time));
        host.advance(time);
        host.run().unwrap();
        set.extend(host.timers().map(|(at, _, _)| at));
    }
    assert!(set.len() <= 11, "{set:?}");
    host.push(Record::new("a", "get", 1098));
    host.push(Record::new("a", "get", 1099));
    host.run().unwrap();
    assert_eq!(lines(&mut host), ["out a=Some(\"n999\") @1098", "out a=None @1099"]);
}

#[test]
fn what_was_written_before_there_was_a_time_to_live_counts_as_written_when_it_is_first_met() {
    let mut before = Host::<Before>::open("").unwrap();
    for key in ["read", "written", "never"] {
        // Bytes that look like a stamp.
        before.push(Record::new(key, "\u{2}\u{2}", 1));
    }
    before.advance(5000);
    before.run().unwrap();
    let mut host = open((100, "on-write"));
    host.restore(&before.snapshot());
    assert_eq!(host.timers().count(), 0);
    host.push(Record::new("read", "get", 6000));
    host.push(Record::new("written", "new", 6000));
    host.push(Record::new("read", "new refused", 6050));
    host.push(Record::new("read", "get", 6099));
    host.push(Record::new("written", "get", 6099));
    host.push(Record::new("read", "get", 6100));
    host.push(Record::new("written", "get", 6100));
    host.advance(6099);
    host.run().unwrap();
    assert_eq!(
        lines(&mut host),
        [
            "out read=Some(\"\\u{2}\\u{2}\") @6000",
            "out read=Some(\"\\u{2}\\u{2}\") @6099",
            "out written=Some(\"new\") @6099",
            "out read=None @6100",
            "out written=None @6100",
        ]
    );
    let held = |host: &Host<Notes>, key| host.value::<String, crate::Postcard>("note", key).unwrap();
    assert_eq!(
        held(&host, "read"),
        Some("\u{2}\u{2}".to_owned()),
        "it is not taken away before event time is there"
    );
    host.advance(6100);
    host.run().unwrap();
    assert_eq!((held(&host, "read"), held(&host, "written")), (None, None));
    assert_eq!(held(&host, "never"), Some("\u{2}\u{2}".to_owned()));
    assert_eq!(host.timers().count(), 0);
}

#[test]
fn another_time_to_live_holds_for_what_is_there_too() {
    let mut host = open((100, "on-write"));
    host.push(Record::new("a", "note", 0));
    host.push(Record::new("b", "note", 0));
    host.run().unwrap();
    let kept = host.snapshot();
    let at = |host: &Host<Notes>| host.timers().map(|(at, _, _)| at).collect::<Vec<_>>();

    let mut shorter = open((10, "on-write"));
    shorter.restore(&kept);
    shorter.push(Record::new("a", "get", 9));
    shorter.push(Record::new("a", "get", 10));
    shorter.push(Record::new("a", "again", 20));
    shorter.run().unwrap();
    assert_eq!(lines(&mut shorter), ["out a=Some(\"note\") @9", "out a=None @10"]);
    assert_eq!(
        at(&shorter),
        [30, 100],
        "the one that is not written any more ends with its old timer"
    );

    let mut longer = open((1000, "on-write"));
    longer.restore(&kept);
    longer.advance(999);
    longer.push(Record::new("a", "get", 999));
    longer.push(Record::new("a", "get", 1000));
    longer.run().unwrap();
    assert_eq!(lines(&mut longer), ["out a=Some(\"note\") @999", "out a=None @1000"]);
    assert_eq!(at(&longer), [1000, 1000]);
}

#[test]
fn a_timer_on_the_hosts_clock_reads_by_where_event_time_stands() {
    let mut host = open((10, "on-write"));
    host.push(Record::new("a", "note glance", 100));
    host.advance(95);
    host.clock(50).unwrap();
    assert_eq!(lines(&mut host), ["out a=Some(\"note\") seen @1"]);
    host.push(Record::new("a", "glance", 100));
    host.advance(110);
    host.clock(51).unwrap();
    assert_eq!(lines(&mut host), ["out a=None seen @1"]);
}

#[test]
fn a_life_shorter_than_a_millisecond_is_told() {
    let why = Host::<Notes>::open("{\"ms\": 0}").unwrap_err();
    assert_eq!(why, "a time to live is 0 ms: it has to be 1 ms or more");
}
