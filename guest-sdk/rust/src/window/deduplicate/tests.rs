//! Deduplication: what it is by a naive account of it, however events are cut into calls.

use serde::Deserialize;

use super::{Deduplicated, Keep, Sighting};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record};
use crate::window::Span;
use crate::{Description, Event, Fired, Outputs, Plugin, Refusal, Stores, skip};

/// Records are the same up to the dot in their value.
#[derive(Deserialize)]
struct Once {
    within: i64,
    keep: Keep,
    #[serde(skip)]
    seen: Deduplicated,
}

impl Plugin for Once {
    fn describe(description: Description) -> Description {
        description.outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.deduplicated("groups", "ends", |once| &mut once.seen);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.seen.open(Span::of_ms(self.within), self.keep)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let value = event.bytes()?;
        let id = value.split(|byte| *byte == b'.').next().unwrap_or_default();
        match self.seen.add(event, id)? {
            Sighting::First if self.keep == Keep::First => {
                out.pass(event);
            }
            Sighting::Late => {
                out.pass(event).to(1);
            }
            Sighting::First | Sighting::Again => {}
        }
        if value.ends_with(b"!") {
            Err(skip("told to"))
        } else {
            Ok(())
        }
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.seen.fire(fired, |last| {
            last.emit(fired.key(), out);
        })
    }
}

/// A record's key, value and time; or event time moves.
#[derive(Debug, Clone)]
enum Step {
    Push(&'static str, String, i64),
    Advance(i64),
}

fn steps(chance: &mut Chance, count: usize) -> Vec<Step> {
    let (mut time, mut watermark) = (0, i64::MIN);
    let mut steps = Vec::new();
    while steps.len() < count {
        time += chance.below(if steps.len() % 9 == 0 { 25 } else { 3 });
        let id = ["x", "y", ""][chance.below(3) as usize];
        let refused = if chance.below(8) == 0 { "!" } else { "" };
        let value = format!("{id}.{}{refused}", steps.len());
        steps.push(Step::Push(
            ["a", ""][chance.below(2) as usize],
            value,
            time - chance.below(14),
        ));
        if time - 5 > watermark && chance.below(2) == 0 {
            watermark = time - 5;
            steps.push(Step::Advance(watermark));
        }
    }
    steps.push(Step::Advance(i64::MAX));
    steps
}

fn open(within: i64, keep: &str) -> Host<Once> {
    Host::open(&format!("{{\"within\":{within},\"keep\":\"{keep}\"}}")).unwrap()
}

fn run((within, keep): (i64, &str), steps: &[Step], mut chance: Option<&mut Chance>) -> Vec<String> {
    let (mut host, mut said) = (open(within, keep), Vec::new());
    for step in steps {
        match step {
            Step::Push(key, value, time) => host.push(Record::new(*key, value, *time)),
            Step::Advance(watermark) => host.advance(*watermark),
        }
        let Some(chance) = &mut chance else {
            continue;
        };
        if chance.below(3) == 0 {
            host.due_at_once([1, 2, 1000][chance.below(3) as usize]);
            host.run().unwrap();
        }
        if chance.below(9) == 0 {
            host.run().unwrap();
            said.extend(host.take_outputs().iter().map(ToString::to_string));
            let snapshot = host.snapshot();
            host.push(Record::new("a", "x.lost", 10));
            host.advance(1000);
            host.run().unwrap();
            host = open(within, keep);
            host.restore(&snapshot);
        }
    }
    host.run().unwrap();
    said.extend(host.take_outputs().iter().map(ToString::to_string));
    said.push(format!("{:?}", host.snapshot()));
    said
}

/// A group that was begun: its key, id, first time, and last value and time.
#[derive(Debug, Clone)]
struct NaiveGroup {
    key: &'static str,
    id: String,
    first: i64,
    last: (String, i64),
    is_over: bool,
}

fn account((within, keep): (i64, &str), steps: &[Step]) -> Vec<String> {
    let (mut groups, mut said, mut now) = (Vec::<NaiveGroup>::new(), Vec::new(), i64::MIN);
    for step in steps {
        match step {
            Step::Push(_, value, _) if value.ends_with('!') => {}
            Step::Push(key, value, time) => {
                let id = value.split('.').next().unwrap().to_owned();
                let takes = |group: &&mut NaiveGroup| {
                    let is_same = group.key == *key && group.id == id && !group.is_over;
                    is_same && *time >= group.first - within && *time <= group.first + within
                };
                let oldest = groups.iter_mut().filter(takes).min_by_key(|group| group.first);
                if let Some(group) = oldest {
                    group.last = (value.clone(), *time);
                } else if *time <= now {
                    said.push(format!("late {key}={value} @{time}"));
                } else {
                    let (first, last) = (*time, (value.clone(), *time));
                    groups.push(NaiveGroup {
                        key,
                        id,
                        first,
                        last,
                        is_over: false,
                    });
                    if keep == "first" {
                        said.push(format!("out {key}={value} @{time}"));
                    }
                }
            }
            Step::Advance(watermark) => {
                now = *watermark;
                let is_over = |group: &&mut NaiveGroup| !group.is_over && group.first + within <= now;
                let mut over: Vec<&mut NaiveGroup> = groups.iter_mut().filter(is_over).collect();
                over.sort_by_key(|group| (group.first, group.key, group.id.clone()));
                for group in over {
                    group.is_over = true;
                    if keep == "last" {
                        said.push(format!("out {}={} @{}", group.key, group.last.0, group.last.1));
                    }
                }
            }
        }
    }
    said
}

#[test]
fn groups_are_what_a_naive_account_of_them_says_however_events_are_cut_into_calls() {
    let mut chance = Chance(0xfade);
    for within in [0, 3, 8, 20] {
        for keep in ["first", "last"] {
            for _ in 0..40 {
                let steps = steps(&mut chance, 60);
                let how = (within, keep);
                let mut whole = run(how, &steps, None);
                assert_eq!(whole, run(how, &steps, Some(&mut chance)), "{how:?}: {steps:?}");
                let kept = whole.pop().unwrap();
                assert_eq!(whole, account(how, &steps), "{how:?}: {steps:?}");
                assert!(kept.contains("entries: {}") && kept.contains("timers: {}"), "{kept}");
            }
        }
    }
}

fn scene(within: i64, keep: &str, steps: &[(&str, i64, i64)]) -> Vec<String> {
    let mut host = open(within, keep);
    for (value, time, watermark) in steps {
        host.push(Record::new("k", *value, *time).header("trace", "7"));
        host.advance(*watermark);
    }
    host.run().unwrap();
    let outputs = host.take_outputs();
    let has_header = |output: &crate::testing::Output| output.headers == [("trace".to_owned(), Some(b"7".to_vec()))];
    assert!(outputs.iter().all(has_header), "{outputs:?}");
    outputs
        .iter()
        .map(|output| output.to_string().replace("out k=", ""))
        .collect()
}

#[test]
fn the_time_counts_from_the_first_both_ways_and_duplicates_do_not_prolong_it() {
    let steps = [
        ("x.1", 20, 0),
        ("x.2", 30, 0),
        ("x.3", 10, 0),
        ("x.4", 31, 0),
        ("x.5", 9, 0),
        ("y.6", 20, 0),
    ];
    assert_eq!(scene(10, "first", &steps), ["x.1 @20", "x.4 @31", "x.5 @9", "y.6 @20"]);
}

#[test]
fn the_last_one_comes_unchanged_when_the_time_is_over() {
    let steps = [
        ("x.1", 20, 0),
        ("x.2", 25, 0),
        ("x.3", 12, 29),
        ("x.4", 30, 30),
        ("x.5", 31, 100),
    ];
    assert_eq!(scene(10, "last", &steps), ["x.4 @30", "x.5 @31"]);
}

#[test]
fn what_comes_when_its_group_may_be_forgotten_is_late_and_a_known_duplicate_is_not() {
    let steps = [
        ("x.1", 20, 25),
        ("x.2", 20, 30),
        ("x.3", 30, 30),
        ("x.4", 31, 30),
        ("y.5", 30, 30),
    ];
    assert_eq!(
        scene(10, "first", &steps),
        ["x.1 @20", "late k=x.3 @30", "x.4 @31", "late k=y.5 @30"]
    );
}

#[test]
fn what_cannot_be_told_apart_is_refused() {
    assert!(
        Host::<Once>::open(r#"{"within":-1,"keep":"first"}"#)
            .unwrap_err()
            .contains("not negative")
    );
    let mut host = open(5, "first");
    host.push(Record::new("k", "x".repeat(4089), 1));
    host.push(Record::new("k", "x".repeat(4088), 1));
    host.push(Record::new(crate::NULL, "x", 1));
    host.run().unwrap();
    let refused = host.take_refused();
    assert!(refused[0].reason().contains("4089 bytes, 4088 at most"), "{refused:?}");
    assert_eq!(refused[1].reason(), "the record has no key");
    assert_eq!(host.take_outputs().len(), 1);
}

#[test]
fn times_at_the_ends_of_all_time_never_overflow() {
    for time in [i64::MIN, i64::MIN + 1, i64::MAX, i64::MAX - 1] {
        let mut host = open(10, "last");
        host.push(Record::new("k", "x", time));
        host.push(Record::new("k", "x", 0));
        host.run().unwrap();
        host.advance(i64::MAX);
        host.run().unwrap();
        assert!(!host.take_outputs().is_empty(), "{time}");
        assert_eq!(host.timers().count(), 0, "{time}");
    }
}
