//! Timers: what the interface says of a call, and that it makes no difference how events are cut into calls.

use crate::bindings::sandbar::plugin::{batches, types};
use crate::guest::{self, Slot};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record};
use crate::{
    Column, Event, Failure, Fired, List, Map, Outputs, Plugin, Postcard, Refusal, Stores, Timer, Timers, Value,
    dead_letter, fail, retry, skip,
};
use serde::Deserialize;

/// Sets and clears its timers as the words of a value say (`late+5`, `early-5`); each firing tells of itself, and some
/// set or clear others.
#[derive(Deserialize)]
struct Alarms {
    #[serde(skip)]
    late: Timer,
    #[serde(skip)]
    early: Timer,
    #[serde(skip)]
    clock: Timer,
    #[serde(skip)]
    fired: Value<u32>,
    #[serde(skip)]
    told: List<u32>,
    #[serde(skip)]
    by: Map<i64, u32>,
}

impl Alarms {
    fn timer(&mut self, name: &str) -> &mut Timer {
        match name {
            "late" => &mut self.late,
            "early" => &mut self.early,
            _ => &mut self.clock,
        }
    }
}

impl Plugin for Alarms {
    fn stores(stores: &mut Stores<Self>) {
        stores.add("fired", |alarms| &mut alarms.fired);
        stores.add("told", |alarms| &mut alarms.told);
        stores.add("by", |alarms| &mut alarms.by);
    }

    fn timers(timers: &mut Timers<Self>) {
        // Not in the order of their names.
        timers.event_time("late", |alarms| &mut alarms.late);
        timers.processing_time("clock", |alarms| &mut alarms.clock);
        timers.event_time("early", |alarms| &mut alarms.early);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        for word in event.text()?.split_whitespace() {
            if let Some((name, at)) = word.split_once('+') {
                self.timer(name).set(event, at.parse()?)?;
            } else if let Some((name, at)) = word.split_once('-') {
                self.timer(name).clear(event, at.parse()?)?;
            } else if word == "refused" {
                return Err(dead_letter("told to"));
            }
        }
        out.emit(event.key(), event.value());
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        let count = self.fired.get(fired)?.unwrap_or(0) + 1;
        self.fired.set(fired, &count)?;
        self.told.push(fired, &count)?;
        let by = self.by.get(fired, &(fired.at() % 3))?.unwrap_or(0) + 1;
        self.by.put(fired, &(fired.at() % 3), &by)?;
        let told = self.told.items(fired)?.len();
        out.emit_text(fired.key(), format_args!("{} {count} {told} {by}", fired.name()));
        match fired.at() % 7 {
            0 if fired.is(&self.late) => self.early.set(fired, fired.at() - 1),
            1 => self.late.set(fired, fired.at() + 2),
            2 => self.early.clear(fired, fired.at() + 1),
            3 if fired.is(&self.early) => {
                self.late.set(fired, fired.at())?;
                Err(skip("each seventh"))
            }
            _ => Ok(()),
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(Record),
    Advance(i64),
}

fn steps(chance: &mut Chance, count: usize) -> Vec<Step> {
    let mut watermark = 0;
    let word = |chance: &mut Chance, watermark: i64| {
        let at = watermark - 8 + chance.below(30);
        let name = ["late", "early"][chance.below(2) as usize];
        match chance.below(12) {
            0 => "refused".to_owned(),
            1..4 => format!("{name}-{at}").replace("--", "-0"),
            _ => format!("{name}+{at}"),
        }
    };
    (0..count)
        .map(|at| {
            if chance.below(3) == 0 {
                watermark += chance.below(if at % 10 == 9 { 40 } else { 7 });
                return Step::Advance(watermark);
            }
            let words: Vec<_> = (0..chance.below(4)).map(|_| word(chance, watermark)).collect();
            let key = ["a", "b", "", "ab", "\u{7f}"][chance.below(5) as usize];
            Step::Push(Record::new(key, words.join(" "), at as i64))
        })
        .collect()
}

/// All that came of the steps, cut behind those that `is_cut` names, at most so many timers at the end of a call.
fn run(steps: &[Step], due_at_once: usize, mut is_cut: impl FnMut(usize) -> bool) -> (Vec<String>, String) {
    let mut host = Host::<Alarms>::open("").unwrap();
    host.due_at_once(due_at_once);
    let mut said = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Push(record) => host.push(record.clone()),
            Step::Advance(watermark) => host.advance(*watermark),
        }
        if is_cut(at) || at + 1 == steps.len() {
            host.run().unwrap();
            said.extend(host.take_outputs().iter().map(ToString::to_string));
        }
    }
    let refused = host.take_refused().len();
    (said, format!("{refused} refused, {:?}", host.snapshot()))
}

#[test]
fn it_makes_no_difference_how_events_are_cut_into_calls() {
    let mut chance = Chance(0x5eed);
    let (mut fired, mut rounds) = (0, 0);
    while rounds < 40 {
        rounds += 1;
        let steps = steps(&mut chance, 40);
        let one_by_one = run(&steps, 1, |_| true);
        let firings = |said: &[String]| said.iter().filter(|line| line.contains(" 1 ")).count();
        fired += firings(&one_by_one.0);
        for most in [1, 2, 1000] {
            assert_eq!(run(&steps, most, |_| false), one_by_one, "{most} at once: {steps:?}");
            for cut in 0..steps.len() {
                let cut_once = run(&steps, most, |at| at == cut);
                assert_eq!(cut_once, one_by_one, "{most} at once, cut behind {cut}: {steps:?}");
            }
            let at_random = run(&steps, most, |_| chance.below(5) == 0);
            assert_eq!(at_random, one_by_one, "{most} at once: {steps:?}");
        }
    }
    assert!(fired > 60, "only {fired} keys' timers fired");
}

/// What a batch was and became, as the interface has it.
fn call(words: &[(&str, &str)], stands: i64, advances: &[(u32, i64)], due: &[(u8, u32, i64)]) -> batches::Outcome {
    process::<Alarms>(words, stands, advances, due).unwrap()
}

/// The keys are those of the events, `a` and `b` in any case.
fn process<P: Plugin>(
    words: &[(&str, &str)],
    stands: i64,
    advances: &[(u32, i64)],
    due: &[(u8, u32, i64)],
) -> Result<batches::Outcome, types::Failure> {
    let (mut keys, mut values) = (Column::default(), Column::default());
    ["a", "b"].iter().for_each(|key| keys.push(Some(key.as_bytes())));
    words.iter().for_each(|(_, value)| values.push(Some(value.as_bytes())));
    let slot: Slot<P> = Slot::default();
    guest::open(&slot, "").unwrap();
    let batch = batches::Batch {
        keys: keys.into(),
        events: batches::Events {
            input: Vec::new(),
            key: words.iter().map(|(key, _)| u32::from(*key == "b")).collect(),
            timestamp: (100..).take(words.len()).collect(),
            value: values.into(),
            partition: Vec::new(),
            offset: Vec::new(),
            headers: crate::Headers::default().into(),
        },
        values: Vec::new(),
        watermark: stands,
        advances: advances
            .iter()
            .map(|&(before, watermark)| batches::Advance { before, watermark })
            .collect(),
        due: due
            .iter()
            .map(|&(timer, key, at)| batches::Due { timer, key, at })
            .collect(),
        processing_time: 5000,
        seed: 0,
    };
    guest::process(&slot, batch)
}

/// The names of what fired or, of events, their values; each with its time and cause.
fn told(outcome: &batches::Outcome) -> Vec<(String, i64, u32)> {
    let outputs = &outcome.outputs;
    let values = Column::from(outputs.value.clone());
    let text = |at| String::from_utf8_lossy(values.get(at).unwrap()).into_owned();
    (0..values.len())
        .map(|at| {
            let text = text(at);
            let name = text.split(' ').next().unwrap_or_default().to_owned();
            (name, outputs.timestamp[at], outputs.cause[at])
        })
        .collect()
}

fn tell(rows: &[(&str, i64, u32)]) -> Vec<(String, i64, u32)> {
    rows.iter()
        .map(|&(name, at, cause)| (name.to_owned(), at, cause))
        .collect()
}

fn changes(outcome: &batches::Outcome) -> Vec<(u8, u32, i64, bool)> {
    let timers = outcome.timers.iter();
    timers
        .map(|change| (change.timer, change.key, change.at, change.set))
        .collect()
}

const LATE: u8 = 0;
const CLOCK: u8 = 1;
const EARLY: u8 = 2;
const BEFORE_ALL: u32 = u32::MAX;
const ADVANCE: u32 = 1 << 31;

#[test]
fn timers_fire_behind_the_advance_that_reaches_them_in_the_order_of_time_name_and_key() {
    let events = [("a", "x"), ("b", "late+25 early+25"), ("a", "y")];
    let due = [
        (LATE, 0, 4),
        (EARLY, 1, 11),
        (LATE, 0, 11),
        (LATE, 1, 11),
        (LATE, 0, 25),
        (EARLY, 0, 32),
    ];
    let outcome = call(&events, 4, &[(0, 5), (1, 12), (2, 25), (3, 31), (3, 33)], &due);
    assert_eq!(
        told(&outcome),
        tell(&[
            ("late", 4, BEFORE_ALL),
            ("x", 100, 0),
            ("early", 11, ADVANCE + 1),
            ("late", 11, ADVANCE + 1),
            ("late", 11, ADVANCE + 1),
            ("late+25", 101, 1),
            ("early", 25, ADVANCE + 2),
            ("late", 25, ADVANCE + 2),
            ("late", 25, ADVANCE + 2),
            ("y", 102, 2),
            ("early", 32, ADVANCE + 4),
        ])
    );
    assert_eq!(changes(&outcome), []);
}

#[test]
fn behind_the_last_event_nothing_fires_that_stands_behind_the_last_of_the_hosts() {
    let events = [("a", "late+11 early+11 late+10 late+12 early+60")];
    let outcome = call(&events, 0, &[(1, 50)], &[(EARLY, 1, 11)]);
    let fired = [("late", 10, ADVANCE), ("early", 11, ADVANCE), ("early", 11, ADVANCE)];
    assert_eq!(told(&outcome)[1..], tell(&fired));
    assert_eq!(
        changes(&outcome),
        [(LATE, 0, 11, true), (LATE, 0, 12, true), (EARLY, 0, 60, true)]
    );
    let outcome = call(&events, 0, &[(1, 50)], &[]);
    assert_eq!((told(&outcome).len(), changes(&outcome).len()), (1, 5));
}

#[test]
fn a_call_without_events_fires_what_is_due() {
    let outcome = call(&[], 20, &[], &[(LATE, 0, 12), (LATE, 1, 20)]);
    assert_eq!(
        told(&outcome),
        tell(&[("late", 12, BEFORE_ALL), ("late", 20, BEFORE_ALL)])
    );
    let outcome = call(&[], i64::MIN, &[(0, 20)], &[(LATE, 0, 12)]);
    assert_eq!(told(&outcome), tell(&[("late", 12, ADVANCE)]));
}

#[test]
fn what_was_cleared_does_not_fire_and_what_the_host_has_is_set_once() {
    let events = [
        ("a", "late-11 late-11"),
        ("a", "late+12 early+13"),
        ("a", "late-20 early+20 early-20"),
    ];
    let due = [(LATE, 0, 11), (LATE, 0, 12)];
    let outcome = call(&events, 0, &[(3, 13)], &due);
    assert_eq!(told(&outcome)[3..], tell(&[("late", 12, ADVANCE)]));
    assert_eq!(
        changes(&outcome),
        [(EARLY, 0, 13, true), (LATE, 0, 20, false), (EARLY, 0, 20, false)]
    );
    let again = call(&[("a", "late-11"), ("a", "late+11")], 0, &[(2, 13)], &due[..1]);
    assert_eq!(told(&again)[2..], tell(&[("late", 11, ADVANCE)]));
}

#[test]
fn timers_on_the_hosts_clock_fire_first_and_only_those_that_it_sent() {
    let due = [(CLOCK, 0, 4000), (CLOCK, 1, 4999), (LATE, 0, 4)];
    let outcome = call(&[("a", "clock+4000 clock+1")], 4, &[], &due);
    assert_eq!(
        told(&outcome),
        tell(&[
            ("clock", 4000, BEFORE_ALL),
            ("clock", 4999, BEFORE_ALL),
            ("late", 4, BEFORE_ALL),
            ("clock+4000", 100, 0),
        ])
    );
    // 4999 is one in seven that sets another one, which is due after the last event.
    assert_eq!(4999 % 7, 1);
    assert_eq!(
        changes(&outcome),
        [(CLOCK, 0, 1, true), (CLOCK, 0, 4000, true), (LATE, 1, 5001, true)]
    );
}

#[test]
fn what_a_refused_event_set_or_cleared_is_taken_back() {
    let events = [("a", "late-11 late+13 early+99 refused"), ("a", "late-12 refused")];
    let outcome = call(&events, 0, &[(2, 14)], &[(LATE, 0, 11), (LATE, 0, 12)]);
    assert_eq!(told(&outcome), tell(&[("late", 11, ADVANCE), ("late", 12, ADVANCE)]));
    assert_eq!((changes(&outcome), outcome.refused.len()), (vec![], 2));
}

#[test]
fn a_firing_that_is_skipped_leaves_nothing_behind() {
    // 10 is one in seven that writes, sets a timer and is skipped.
    let outcome = call(&[], 20, &[], &[(EARLY, 0, 10)]);
    assert_eq!((told(&outcome), changes(&outcome)), (vec![], vec![]));
    assert!(outcome.changes.store.is_empty());
}

/// Answers a firing as its configuration says, and shows what else there is to ask of it.
#[derive(Deserialize)]
struct Refuses {
    #[serde(skip)]
    timer: Timer,
    #[serde(skip)]
    undeclared: Timer,
}

impl Plugin for Refuses {
    fn timers(timers: &mut Timers<Self>) {
        timers.event_time("timer", |refuses| &mut refuses.timer);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let times = format!("{} {}", event.watermark(), event.processing_time());
        out.emit(event.key(), times);
        match event.text()? {
            "undeclared" => self.undeclared.set(event, 1),
            _ => Ok(()),
        }
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        out.emit_text(
            fired.key(),
            format_args!("{} {}", fired.watermark(), fired.processing_time()),
        );
        match fired.at() {
            1 => Err(retry("later")),
            2 => Err(fail("no more")),
            3 => Err(dead_letter("nothing to bury")),
            _ => Ok(()),
        }
    }
}

#[test]
fn a_firing_that_fails_fails_the_call_with_a_sentence() {
    let answer = |at| process::<Refuses>(&[], 20, &[], &[(0, 1, at)]);
    assert!(matches!(answer(1), Err(types::Failure::Retry(reason)) if reason == "later"));
    for (at, why) in [(2, "no more"), (3, "nothing to bury")] {
        let said = format!("timer `timer` of key `b` at {at} could not fire: {why}");
        assert!(matches!(answer(at), Err(types::Failure::Fail(reason)) if reason == said));
    }
    assert!(answer(4).is_ok());
}

#[test]
fn events_and_firings_see_where_time_stands() {
    let due = [(0, 0, 15), (0, 0, 30)];
    let outcome = process::<Refuses>(
        &[("a", ""), ("a", ""), ("a", "")],
        7,
        &[(1, 15), (1, 20), (3, 30)],
        &due,
    );
    let said: Vec<_> = {
        let values = Column::from(outcome.unwrap().outputs.value);
        values
            .iter()
            .flatten()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    };
    assert_eq!(said, ["7 5000", "15 5000", "20 5000", "20 5000", "30 5000"]);
}

#[test]
fn a_timer_that_is_not_declared_is_not_lost_in_silence() {
    let outcome = process::<Refuses>(&[("a", "undeclared")], 0, &[], &[]).unwrap();
    assert_eq!(outcome.refused[0].how, types::Refusal::Fail);
    assert_eq!(
        outcome.refused[0].reason,
        "a timer is set that the plugin does not declare"
    );
}

#[test]
fn timers_are_declared_in_their_order_with_their_clocks() {
    let timers = guest::describe::<Alarms>("name", "1").timers;
    let timers: Vec<_> = timers.iter().map(|timer| (timer.name.as_str(), timer.clock)).collect();
    use types::TimerClock::{EventTime, ProcessingTime};
    assert_eq!(
        timers,
        [("late", EventTime), ("clock", ProcessingTime), ("early", EventTime)]
    );
}

#[test]
fn the_model_of_the_host_keeps_and_restores_all_there_is() {
    let mut host = Host::<Alarms>::open("").unwrap();
    host.push(Record::new("a", "late+11 clock+50 late+90", 1));
    host.advance(12);
    host.run().unwrap();
    let kept = host.snapshot();
    let lines =
        |host: &mut Host<Alarms>| -> Vec<String> { host.take_outputs().iter().map(ToString::to_string).collect() };
    assert_eq!(
        lines(&mut host),
        ["out a=late+11 clock+50 late+90 @1", "out a=late 1 1 1 @11"]
    );
    assert_eq!(host.value::<u32, Postcard>("fired", "a"), Ok(Some(1)));
    for _ in 0..2 {
        host.restore(&kept);
        let timers: Vec<_> = host.timers().map(|(at, name, _)| (at, name.to_owned())).collect();
        assert_eq!(timers, [(50, "clock".to_owned()), (90, "late".to_owned())]);
        host.clock(49).unwrap();
        assert_eq!(lines(&mut host), [""; 0]);
        host.clock(50).unwrap();
        host.advance(100);
        host.run().unwrap();
        assert_eq!(host.watermark(), 100);
        // 50 is one in seven that sets another one.
        let said = ["out a=clock 2 2 2 @50", "out a=late 3 3 1 @52", "out a=late 4 4 1 @90"];
        assert_eq!(lines(&mut host), said);
    }
    host.push(Record::new("a", "x", 1));
    assert_eq!((host.run(), host.take_refused()), (Ok::<(), Failure>(()), vec![]));
}
