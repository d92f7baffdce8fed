//! Gaps: what comes out by a naive account of it, and that it makes no difference how events are cut into calls.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Fill, GapFill, IntervalResult};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record};
use crate::window::Span;
use crate::{Event, Fired, NULL, Outputs, Plugin, Refusal, Stores, skip};

/// Puts its intervals out as text.
#[derive(Deserialize)]
struct Meter {
    every: i64,
    fill: Fill,
    /// The firing at this time is taken back.
    #[serde(default)]
    skips: Option<i64>,
    #[serde(skip)]
    gaps: GapFill,
}

impl Plugin for Meter {
    fn describe(description: crate::Description) -> crate::Description {
        description.outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.timed("gaps", |meter| &mut meter.gaps);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.gaps.open(Span::of_ms(self.every), self.fill.clone())
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if !self.gaps.add(event)? {
            out.pass(event).to(1);
        }
        match event.value() {
            Some(value) if value.starts_with(b"refused") => Err(skip("told to")),
            _ => Ok(()),
        }
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.gaps.fire(fired, |interval| {
            put(fired, interval, out);
            Ok(())
        })?;
        match self.skips == Some(fired.at()) {
            true => Err(skip("told to")),
            false => Ok(()),
        }
    }
}

fn put(fired: &Fired, interval: &IntervalResult, out: &mut Outputs) {
    let mut emitted = out.emit(fired.key(), interval.value).timestamp(interval.time);
    for (name, value) in interval.headers() {
        emitted = emitted.header(&String::from_utf8_lossy(name), value);
    }
    assert_eq!(
        interval.is_gap(),
        interval.time == fired.at() + 1 - 10 && interval.headers().next().is_none()
    );
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
        time += chance.below(if steps.len() % 7 == 0 { 90 } else { 12 });
        let key = ["a", "b", ""][chance.below(3) as usize];
        let what = if chance.below(8) == 0 { "refused" } else { "v" };
        // An interval's first moment is that of a gap: see `put`.
        let at = (time - chance.below(40)) | 1;
        steps.push(Step::Push(key, format!("{what}{}", steps.len()), at));
        if time - 15 > watermark && chance.below(2) == 0 {
            watermark = time - 15;
            steps.push(Step::Advance(watermark));
        }
    }
    steps.push(Step::Advance(i64::MAX));
    steps
}

/// What comes out.
fn run(fill: &str, steps: &[Step], due_at_once: usize, mut cut: impl FnMut(usize) -> Cut) -> Vec<String> {
    let config = format!("{{\"every\":10,\"fill\":{fill}}}");
    let open = || {
        let mut host = Host::<Meter>::open(&config).unwrap();
        host.due_at_once(due_at_once);
        host
    };
    let (mut host, mut said) = (open(), Vec::new());
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Push(key, value, time) => host.push(Record::new(*key, value, *time)),
            Step::Advance(watermark) => host.advance(*watermark),
        }
        match cut(at) {
            Cut::None => {}
            Cut::Call => host.run().unwrap(),
            Cut::Restore => {
                host.run().unwrap();
                said.extend(host.take_outputs());
                let kept = host.snapshot();
                host = open();
                host.restore(&kept);
            }
        }
    }
    host.run().unwrap();
    said.extend(host.take_outputs());
    assert_eq!(host.timers().count(), 0);
    said.iter().map(ToString::to_string).collect()
}

/// What happens behind a step: nothing, a call, or also that all that is kept goes into another instance.
#[derive(Debug, Clone, Copy)]
enum Cut {
    None,
    Call,
    Restore,
}

/// A key with all that has come of it, by the starts of the intervals.
#[derive(Default)]
struct Series {
    all: BTreeMap<i64, (String, i64)>,
    put: Option<i64>,
    last: String,
}

#[derive(Default)]
struct Account {
    fill: String,
    of: BTreeMap<&'static str, Series>,
    watermark: Option<i64>,
    said: Vec<String>,
}

impl Account {
    fn push(&mut self, key: &'static str, value: &str, time: i64) {
        let start = time - time.rem_euclid(10);
        if self.watermark.is_some_and(|watermark| start + 9 <= watermark) {
            if !value.starts_with("refused") {
                self.said.push(format!("late {key}={value} @{time}"));
            }
        } else if !value.starts_with("refused") {
            let series = self.of.entry(key).or_default();
            series.all.insert(start, (value.to_owned(), time));
        }
        self.put_out();
    }

    /// Whatever is over, one by one: of the least time first, of equal ones in the order of the keys.
    fn put_out(&mut self) {
        let next = |series: &Series| {
            let next = series
                .put
                .map_or_else(|| series.all.keys().next().copied(), |put| Some(put + 10));
            next.filter(|next| series.all.range(next..).next().is_some())
        };
        let due = self.of.iter().filter_map(|(key, series)| Some((next(series)?, *key)));
        let Some((start, key)) = due.min().filter(|(start, _)| Some(start + 9) <= self.watermark) else {
            return;
        };
        let series = self.of.get_mut(key).unwrap();
        series.put = Some(start);
        let (value, time) = match series.all.get(&start) {
            Some((value, time)) => {
                series.last.clone_from(value);
                (value.clone(), *time)
            }
            None => match &self.fill[..] {
                "\"last\"" => (series.last.clone(), start),
                "\"null\"" => ("null".to_owned(), start),
                _ => ("{\"f\":0}".to_owned(), start),
            },
        };
        self.said.push(format!("out {key}={value} @{time}"));
        self.put_out();
    }
}

const FILLS: [&str; 3] = ["\"last\"", "\"null\"", "{\"value\": {\"f\": 0}}"];

#[test]
fn intervals_are_what_a_naive_account_of_them_says_however_events_are_cut_into_calls() {
    let mut chance = Chance(0xfade);
    for round in 0..60 {
        let fill = FILLS[round % FILLS.len()];
        let steps = steps(&mut chance, 50);
        let mut account = Account {
            fill: fill.to_owned(),
            ..Account::default()
        };
        for step in &steps {
            match step {
                Step::Push(key, value, time) => account.push(key, value, *time),
                Step::Advance(watermark) => {
                    account.watermark = Some(*watermark);
                    account.put_out();
                }
            }
        }
        assert!(account.said.len() > 10);
        let whole = run(fill, &steps, 1000, |_| Cut::None);
        assert_eq!(whole, account.said, "{fill}: {steps:?}");
        let one_by_one = run(fill, &steps, 1, |_| Cut::Restore);
        assert_eq!(one_by_one, account.said, "one by one, {fill}: {steps:?}");
        for most in [1, 2, 1000] {
            let cuts = [Cut::None, Cut::None, Cut::Call, Cut::Restore];
            let at_random = run(fill, &steps, most, |_| cuts[chance.below(4) as usize]);
            assert_eq!(at_random, account.said, "{most} at once, {fill}: {steps:?}");
        }
    }
}

/// A meter of key `k`; each step is a value with its time, and event time behind it.
fn scene(config: &str, steps: &[(Option<&str>, i64, i64)]) -> (Host<Meter>, Vec<String>) {
    let mut host = Host::<Meter>::open(config).unwrap();
    for (value, time, watermark) in steps {
        if let Some(value) = value {
            host.push(Record::new("k", *value, *time).header("at", time.to_string()));
        }
        host.advance(*watermark);
    }
    host.run().unwrap();
    let outputs = host.take_outputs();
    (host, outputs.iter().map(ToString::to_string).collect())
}

#[test]
fn a_gap_is_filled_as_event_time_passes_it_and_nothing_behind_the_newest_record() {
    let config = r#"{"every":10,"fill":"last"}"#;
    let steps = [(Some("x"), 1, 0), (Some("y"), 3, 8), (Some("z"), 41, 9), (None, 0, 28)];
    let (mut host, said) = scene(config, &steps);
    assert_eq!(said, ["out k=y @3", "out k=y @10"]);
    host.advance(48);
    host.run().unwrap();
    assert_eq!(host.take_outputs().len(), 2);
    host.advance(1000);
    host.run().unwrap();
    let last = host.take_outputs();
    assert_eq!(last[0].to_string(), "out k=z @41");
    assert_eq!(last[0].headers, [("at".to_owned(), Some(b"41".to_vec()))]);
    assert_eq!((last.len(), host.timers().count()), (1, 0));
    // What event time has passed meanwhile is filled at once.
    host.push(Record::new("k", "w", 1025));
    host.run().unwrap();
    let said: Vec<_> = host.take_outputs().iter().map(|output| output.timestamp).collect();
    assert_eq!(said, (50..=990).step_by(10).collect::<Vec<_>>());
    host.advance(i64::MAX);
    host.run().unwrap();
    assert_eq!(host.take_outputs().len(), 3);
}

#[test]
fn the_last_record_is_that_of_the_latest_arrival_and_its_value_may_be_null() {
    let mut host = Host::<Meter>::open(r#"{"every":10,"fill":"last"}"#).unwrap();
    host.push(Record::new("k", "x", 7));
    host.push(Record::new("k", NULL, 3));
    host.push(Record::new("k", "y", 21));
    host.advance(100);
    host.run().unwrap();
    let said: Vec<_> = host.take_outputs().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["out k=null @3", "out k=null @10", "out k=y @21"]);
}

#[test]
fn a_record_before_the_first_one_is_the_first_as_long_as_nothing_was_put_out() {
    let config = r#"{"every":10,"fill":"null"}"#;
    let steps = [
        (Some("x"), 31, 0),
        (Some("w"), 11, 0),
        (None, 0, 19),
        (Some("v"), 5, 19),
        (None, 0, 100),
    ];
    let (_, said) = scene(config, &steps);
    assert_eq!(said, ["out k=w @11", "late k=v @5", "out k=null @20", "out k=x @31"]);
}

#[test]
fn a_key_that_comes_to_where_event_time_is_behind_does_not_begin_anew() {
    let config = r#"{"every":10,"fill":"null"}"#;
    let (host, _) = scene(config, &[(Some("x"), 31, 100)]);
    let mut behind = Host::<Meter>::open(config).unwrap();
    behind.restore(&host.snapshot().at_watermark(i64::MIN));
    behind.push(Record::new("k", "y", 35));
    behind.push(Record::new("k", "z", 41));
    behind.advance(i64::MAX);
    behind.run().unwrap();
    let said: Vec<_> = behind.take_outputs().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["late k=y @35", "out k=z @41"]);
}

#[test]
fn a_firing_that_is_skipped_leaves_its_interval_out_and_the_next_ones_come() {
    let config = r#"{"every":10,"fill":"last","skips":19}"#;
    let (_, said) = scene(config, &[(Some("x"), 1, 0), (Some("y"), 31, 100)]);
    assert_eq!(said, ["out k=x @1", "out k=x @20", "out k=y @31"]);
}

#[test]
fn a_record_too_far_away_and_times_at_the_ends_of_all_time_are_refused() {
    let config = r#"{"every":10,"fill":{"value":"0123456789"}}"#;
    let (mut host, _) = scene(config, &[(Some("x"), 1, 100)]);
    host.push(Record::new("k", "y", 10 * 500_000));
    for time in [i64::MIN, i64::MAX, i64::MAX - 20] {
        host.push(Record::new("k", "y", time));
    }
    host.push(Record::new(NULL, "y", 200));
    host.push(Record::new("k", "y", 200_001));
    host.run().unwrap();
    let refused: Vec<_> = host
        .take_refused()
        .iter()
        .map(|refusal| refusal.reason().to_owned())
        .collect();
    assert_eq!(refused.len(), 5, "{refused:?}");
    assert!(refused[0].contains("499999 intervals away"), "{refused:?}");
    assert!(refused[1].ends_with("is beyond all intervals"), "{refused:?}");
    assert!(refused[2].ends_with("is beyond all intervals"), "{refused:?}");
    assert!(refused[3].contains("intervals away"), "{refused:?}");
    assert_eq!(refused[4], "the record has no key");
    // Ten intervals that event time has passed.
    assert_eq!(host.take_outputs().len(), 9);
    host.advance(i64::MAX);
    host.run().unwrap();
    assert_eq!(host.take_outputs().len(), 20_000 - 9);
}

#[test]
fn intervals_of_another_length_stop_the_pipeline_instead_of_being_misread() {
    let (host, _) = scene(r#"{"every":10,"fill":"null"}"#, &[(Some("x"), 1, 0)]);
    let mut other = Host::<Meter>::open(r#"{"every":20,"fill":"null"}"#).unwrap();
    other.restore(&host.snapshot());
    other.push(Record::new("k", "y", 1));
    other.run().unwrap();
    let refused = other.take_refused();
    assert!(
        matches!(&refused[..], [Refusal::Fail(reason)] if reason.contains("10 ms long, those of the configuration 20")),
        "{refused:?}"
    );
    other.advance(i64::MAX);
    assert!(other.run().is_err());
    assert!(Host::<Meter>::open(r#"{"every":0,"fill":"null"}"#).is_err());
}

#[test]
fn what_is_kept_can_be_shown() {
    let schema = <GapFill as crate::Store>::schema();
    assert!(schema["value"]["struct"].is_array(), "{schema}");
}
