//! Maps with a time to live: what they hold by a naive account of it, however events are cut into calls.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::{ExpiringMap, Refresh};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record, Snapshot};
use crate::window::Span;
use crate::{Event, Fired, Keyed, Map, Outputs, Plugin, Refusal, Stores, Timer, Timers, dead_letter};

/// Does with the key's entries what the words of a record say, and tells what it reads; so does its own timer.
#[derive(Deserialize)]
struct Shelf {
    ms: i64,
    #[serde(default)]
    refresh: Refresh,
    #[serde(skip)]
    notes: ExpiringMap<String, String>,
    #[serde(skip)]
    look: Timer,
}

impl Shelf {
    fn all(&self, of: &impl Keyed, prefix: &str) -> Result<String, Refusal> {
        let found: Vec<_> = self.notes.scan(of, prefix.as_bytes())?.collect::<Result<_, _>>()?;
        Ok(told(found.iter().map(|(own, note)| (&own[..], &note[..]))))
    }
}

fn told<'a>(entries: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    entries
        .map(|(own, note)| format!("{own}:{note}"))
        .collect::<Vec<_>>()
        .join(",")
}

impl Plugin for Shelf {
    fn stores(stores: &mut Stores<Self>) {
        stores.expiring_map("notes", |shelf| &mut shelf.notes).version(2);
    }

    fn timers(timers: &mut Timers<Self>) {
        timers.event_time("look", |shelf| &mut shelf.look);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.notes.open(Span::of_ms(self.ms), self.refresh)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        for word in event.text()?.split_whitespace() {
            match word.split_once(':').unwrap_or((word, "")) {
                ("get", own) => drop(out.emit_text(event.key(), format_args!("{:?}", self.notes.get(event, own)?))),
                ("scan", prefix) => drop(out.emit_text(event.key(), self.all(event, prefix)?)),
                ("delete", own) => self.notes.delete(event, own)?,
                ("clear", _) => self.notes.clear(event)?,
                ("look", _) => self.look.set(event, event.timestamp() + 3)?,
                ("refused", _) => return Err(dead_letter("told to")),
                (own, note) => self.notes.put(event, own, &note.to_owned())?,
            }
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        out.emit_text(fired.key(), format_args!("{} seen", self.all(fired, "")?));
        Ok(())
    }
}

/// The same before there was a time to live.
#[derive(Deserialize)]
struct Before {
    #[serde(skip)]
    notes: Map<String, String>,
}

impl Plugin for Before {
    fn stores(stores: &mut Stores<Self>) {
        stores.add("notes", |before| &mut before.notes).version(2);
    }

    fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
        for own in event.text()?.split_whitespace() {
            self.notes.put(event, own, &"old".to_owned())?;
        }
        Ok(())
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(&'static str, String, i64),
    Advance(i64),
}

const KEYS: [&str; 2] = ["a", ""];
/// Of some of them others are the beginning.
const OWN: [&str; 5] = ["", "p", "pq", "q", "\u{fffd}"];

fn steps(chance: &mut Chance, count: usize) -> Vec<Step> {
    let (mut time, mut watermark) = (0, i64::MIN);
    let mut steps = Vec::new();
    while steps.len() < count {
        time += chance.below(if steps.len() % 9 == 0 { 30 } else { 4 });
        let words: Vec<_> = (0..1 + chance.below(3))
            .map(|_| {
                let own = OWN[chance.below(5) as usize];
                match chance.below(16) {
                    0..4 => format!("get:{own}"),
                    4..6 => format!("scan:{own}"),
                    6 => format!("delete:{own}"),
                    7 if chance.below(3) == 0 => "clear".to_owned(),
                    8 => "refused".to_owned(),
                    9 => "look".to_owned(),
                    _ => format!("{own}:n{}", steps.len()),
                }
            })
            .collect();
        let key = KEYS[chance.below(2) as usize];
        steps.push(Step::Push(key, words.join(" "), time - chance.below(12)));
        if time - 5 > watermark && chance.below(2) == 0 {
            watermark = time - 5;
            steps.push(Step::Advance(watermark));
        }
    }
    steps
}

/// A naive account: of each entry what it holds and when that was written, and where time stands.
struct Account {
    ms: i64,
    refresh: Refresh,
    watermark: i64,
    notes: BTreeMap<(&'static str, String), (String, i64)>,
    looks: BTreeSet<(i64, &'static str)>,
}

impl Account {
    fn read(&mut self, key: &'static str, own: &str, now: i64) -> Option<String> {
        let (note, written) = self.notes.get_mut(&(key, own.to_owned()))?;
        if *written + self.ms <= now {
            return None;
        }
        if self.refresh == Refresh::OnReadAndWrite {
            *written = now.max(*written);
        }
        Some(note.clone())
    }

    fn all(&self, key: &str, prefix: &str, now: i64) -> String {
        let live = self
            .notes
            .iter()
            .filter(|((of, own), (_, written))| *of == key && own.starts_with(prefix) && *written + self.ms > now);
        told(live.map(|((_, own), (note, _))| (&own[..], &note[..])))
    }

    fn push(&mut self, key: &'static str, words: &str, time: i64, said: &mut Vec<String>) {
        let (notes, looks, now) = (self.notes.clone(), self.looks.clone(), time.max(self.watermark));
        let mut says = Vec::new();
        for word in words.split(' ') {
            match word.split_once(':').unwrap_or((word, "")) {
                ("get", own) => says.push(format!("out {key}={:?} @{time}", self.read(key, own, now))),
                ("scan", prefix) => says.push(format!("out {key}={} @{time}", self.all(key, prefix, now))),
                ("delete", own) => drop(self.notes.remove(&(key, own.to_owned()))),
                ("clear", _) => self.notes.retain(|(of, _), _| *of != key),
                ("look", _) => drop(self.looks.insert((time + 3, key))),
                ("refused", _) => {
                    (self.notes, self.looks) = (notes, looks);
                    return;
                }
                (own, note) => {
                    let place = (key, own.to_owned());
                    let written = self.notes.get(&place).map_or(now, |(_, written)| now.max(*written));
                    self.notes.insert(place, (note.to_owned(), written));
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
            said.push(format!("out {key}={} seen @{at}", self.all(key, "", at)));
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

fn open((ms, refresh): (i64, &str)) -> Host<Shelf> {
    Host::open(&format!("{{\"ms\":{ms},\"refresh\":\"{refresh}\"}}")).unwrap()
}

fn lines(host: &mut Host<Shelf>) -> Vec<String> {
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
            let kept = host.snapshot();
            host = open(life);
            host.restore(&kept);
        }
    }
    (said, host.snapshot())
}

#[test]
fn an_entry_is_what_a_naive_account_of_it_says_however_events_are_cut_into_calls() {
    let mut chance = Chance(0x5eed);
    let (mut found, mut ended, mut scanned) = (0, 0, 0);
    for round in 0..160 {
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
            looks: BTreeSet::new(),
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
        assert_eq!(
            run(life, &steps, |_| false),
            (said.clone(), kept.clone()),
            "{life:?} {steps:?}"
        );
        let at_random = run(life, &steps, |_| chance.below(4) == 0);
        assert_eq!(at_random, (said.clone(), kept), "{life:?} {steps:?}");
        found += said.iter().filter(|line| line.contains("Some")).count();
        ended += said.iter().filter(|line| line.contains("None")).count();
        scanned += said.iter().filter(|line| line.matches(":n").count() > 1).count();
    }
    assert!(
        found > 300 && ended > 300 && scanned > 300,
        "{found} found, {ended} not, {scanned} scanned"
    );
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
fn however_often_an_entry_is_written_its_timer_is_set_once_in_a_life() {
    let mut host = open((100, "on-write"));
    let mut set = BTreeSet::new();
    for time in 0..1000 {
        host.push(Record::new("a", format!("p:n{time}"), time));
        host.advance(time);
        host.run().unwrap();
        assert!(host.timers().count() <= 1);
        set.extend(host.timers().map(|(at, _, _)| at));
    }
    assert!(set.len() <= 11, "{set:?}");
    host.push(Record::new("a", "get:p", 1098));
    host.push(Record::new("a", "get:p", 1099));
    host.run().unwrap();
    assert_eq!(lines(&mut host), ["out a=Some(\"n999\") @1098", "out a=None @1099"]);
}

/// Without what is kept beside the entries.
#[derive(Deserialize)]
struct Misdeclared {
    #[serde(skip)]
    notes: ExpiringMap<String, String>,
}

impl Plugin for Misdeclared {
    fn stores(stores: &mut Stores<Self>) {
        stores.timed("notes", |shelf| &mut shelf.notes);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.notes.open(Span::of_ms(1), Refresh::OnWrite)
    }

    fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
        self.notes.put(event, "p", &"n".to_owned())
    }
}

#[test]
fn a_map_that_was_declared_as_any_other_store_is_told() {
    let mut host = Host::<Misdeclared>::open("").unwrap();
    host.push(Record::new("a", "", 0));
    host.run().unwrap();
    let refused = host.take_refused();
    assert!(format!("{refused:?}").contains("stores.expiring_map"), "{refused:?}");
}

#[test]
fn what_is_taken_away_leaves_no_timer_unless_another_entry_needs_it() {
    let mut host = open((100, "on-write"));
    let at = |host: &Host<Shelf>| host.timers().map(|(at, _, _)| at).collect::<Vec<_>>();
    host.push(Record::new("a", "p:n q:n", 0));
    host.push(Record::new("a", "pq:n", 5));
    host.push(Record::new("a", "delete:p", 6));
    host.run().unwrap();
    assert_eq!(at(&host), [100, 105]);
    host.push(Record::new("a", "delete:q", 7));
    host.run().unwrap();
    assert_eq!(at(&host), [105]);
    host.push(Record::new("a", "p:n q:n", 8));
    host.push(Record::new("a", "clear q:n", 9));
    host.run().unwrap();
    assert_eq!(at(&host), [109]);
}

#[test]
fn an_own_key_that_would_be_too_long_with_a_time_is_refused() {
    let mut host = open((100, "on-write"));
    for length in [4088, 4089] {
        host.push(Record::new("a", format!("{}:n", "p".repeat(length)), 0));
    }
    host.run().unwrap();
    let refused = host.take_refused();
    assert_eq!(refused.len(), 1);
    assert!(
        format!("{:?}", refused[0]).contains("has 4089 bytes; it may have 4088"),
        "{refused:?}"
    );
}

#[test]
fn what_was_written_before_there_was_a_time_to_live_counts_as_written_when_it_is_first_met() {
    let mut before = Host::<Before>::open("").unwrap();
    before.push(Record::new("a", "never p q", 1));
    before.advance(5000);
    before.run().unwrap();
    let mut host = open((100, "on-write"));
    host.restore(&before.snapshot());
    assert_eq!(host.timers().count(), 0);
    host.push(Record::new("a", "get:p q:new scan", 6000));
    host.push(Record::new("a", "get:p scan", 6099));
    host.push(Record::new("a", "get:p scan", 6100));
    host.advance(6100);
    host.push(Record::new("a", "p:new scan", 6100));
    host.run().unwrap();
    assert_eq!(
        lines(&mut host),
        [
            "out a=Some(\"old\") @6000",
            "out a=never:old,p:old,q:new @6000",
            "out a=Some(\"old\") @6099",
            "out a=never:old,p:old,q:new @6099",
            "out a=None @6100",
            "out a=never:old @6100",
            "out a=never:old,p:new @6100",
        ]
    );
}

#[test]
fn another_time_to_live_holds_for_what_is_there_too() {
    let mut host = open((100, "on-write"));
    host.push(Record::new("a", "p:note q:note", 0));
    host.run().unwrap();
    let kept = host.snapshot();
    let at = |host: &Host<Shelf>| host.timers().map(|(at, _, _)| at).collect::<Vec<_>>();
    assert_eq!(at(&host), [100], "two that end at once have one");

    let mut shorter = open((10, "on-write"));
    shorter.restore(&kept);
    shorter.push(Record::new("a", "scan", 9));
    shorter.push(Record::new("a", "scan get:p", 10));
    shorter.push(Record::new("a", "p:again", 20));
    shorter.run().unwrap();
    assert_eq!(
        lines(&mut shorter),
        ["out a=p:note,q:note @9", "out a= @10", "out a=None @10"]
    );
    assert_eq!(
        at(&shorter),
        [30, 100],
        "the one that is not written any more ends with its old timer"
    );
    shorter.advance(100);
    shorter.run().unwrap();
    assert_eq!(shorter.timers().count(), 0);

    let mut longer = open((1000, "on-write"));
    longer.restore(&kept);
    longer.advance(999);
    longer.push(Record::new("a", "get:p", 999));
    longer.push(Record::new("a", "get:p", 1000));
    longer.run().unwrap();
    assert_eq!(lines(&mut longer), ["out a=Some(\"note\") @999", "out a=None @1000"]);
    assert_eq!(at(&longer), [1000]);
}
