//! The first ones of windows, and of all records as they come, by a naive account of them.

use serde::Deserialize;

use super::{By, Order, Ranking, SortKey};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record};
use crate::window::{Emit, Top, Windowed, Windows};
use crate::{Event, Fired, Outputs, Plugin, Refusal, Stores, skip};

/// Puts out what the plugin `top-n` does, as text.
#[derive(Deserialize)]
struct Best {
    n: u32,
    by: By,
    order: Option<Order>,
    window: Option<Windows>,
    #[serde(skip)]
    ranking: Ranking,
    #[serde(skip)]
    windows: Windowed<Top<Vec<SortKey>, String>>,
}

impl Plugin for Best {
    fn describe(description: crate::Description) -> crate::Description {
        description.outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("windows", |best| &mut best.windows);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.ranking = Ranking::new(&self.by, self.order)?;
        let windows = self.window.clone();
        let windows = windows.unwrap_or_else(|| Windows::global().emit(Emit::Update));
        self.windows.open_with(windows, Top::of(self.n))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let Some(row) = self.ranking.read(event)? else {
            return Ok(());
        };
        let is_refused = row.1.contains("refused");
        let has_windows = self.window.is_some();
        let counts = self.windows.add(event, row, |window| {
            if has_windows {
                return Ok(());
            }
            for (rank, value) in window.state().changed() {
                out.emit_text(event.key(), format_args!("{rank} {value}"));
            }
            Ok(())
        })?;
        if !counts {
            out.pass(event).to(1);
        }
        if is_refused { Err(skip("told to")) } else { Ok(()) }
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.windows.fire(fired, |window| {
            for (value, rank) in window.value().iter().zip(1..) {
                out.emit_text(fired.key(), format_args!("{}: {rank} {value}", window.start))
                    .timestamp(window.time);
            }
            Ok(())
        })
    }
}

/// A record's key, price, stars (none: null), time, and whether it is refused; or event time moves.
#[derive(Debug, Clone)]
enum Step {
    Push(Row),
    Advance(i64),
}

#[derive(Debug, Clone)]
struct Row {
    key: &'static str,
    price: i64,
    stars: Option<i64>,
    time: i64,
    is_refused: bool,
}

impl Row {
    fn value(&self) -> String {
        let stars = self.stars.map_or("null".to_owned(), |stars| format!("{stars}.0"));
        let refused = if self.is_refused { ",\"x\":\"refused\"" } else { "" };
        format!("{{\"price\":{},\"stars\":{stars}{refused}}}", self.price)
    }
}

fn steps(chance: &mut Chance, count: usize) -> Vec<Step> {
    let (mut time, mut watermark) = (0, i64::MIN);
    let mut steps = Vec::new();
    while steps.len() < count {
        time += chance.below(4);
        steps.push(Step::Push(Row {
            key: ["a", "b"][chance.below(2) as usize],
            price: chance.below(4),
            stars: Some(chance.below(4)).filter(|stars| *stars > 0),
            time: time - chance.below(14),
            is_refused: chance.below(8) == 0,
        }));
        if time - 5 > watermark && chance.below(2) == 0 {
            watermark = time - 5;
            steps.push(Step::Advance(watermark));
        }
    }
    steps.push(Step::Advance(i64::MAX));
    steps
}

/// Runs the steps; at a cut all that is kept goes into another instance.
fn run(config: &str, steps: &[Step], mut is_cut: impl FnMut() -> bool) -> Vec<String> {
    let open = || Host::<Best>::open(config).unwrap();
    let (mut host, mut said) = (open(), Vec::new());
    for step in steps {
        match step {
            Step::Push(row) => host.push(Record::new(row.key, row.value(), row.time)),
            Step::Advance(watermark) => host.advance(*watermark),
        }
        if is_cut() {
            host.run().unwrap();
            said.extend(host.take_outputs());
            let kept = host.snapshot();
            host = open();
            host.restore(&kept);
        }
    }
    host.run().unwrap();
    said.extend(host.take_outputs());
    said.iter().map(ToString::to_string).collect()
}

/// The first `n`: of a low price, then of many stars, then those that came first.
fn first<'a>(rows: impl Iterator<Item = &'a Row>, n: usize) -> Vec<String> {
    let mut rows: Vec<&Row> = rows.filter(|row| row.stars.is_some()).collect();
    rows.sort_by_key(|row| (row.price, -row.stars.unwrap()));
    rows.iter().take(n).map(|row| row.value()).collect()
}

/// Hopping windows of 10, a new one every 5, each of them anew from all records.
fn in_windows(steps: &[Step], n: usize) -> Vec<String> {
    let (mut watermark, mut said, mut counted) = (i64::MIN, Vec::new(), Vec::new());
    for step in steps {
        match step {
            Step::Push(row) if row.is_refused || row.stars.is_none() => {}
            Step::Push(row) if row.time - row.time.rem_euclid(5) + 9 <= watermark => {
                said.push(format!("late {}={} @{}", row.key, row.value(), row.time));
            }
            Step::Push(row) => counted.push((watermark, row.clone())),
            Step::Advance(to) => {
                for end in (-30..300)
                    .step_by(5)
                    .filter(|end| end - 1 > watermark && end - 1 <= *to)
                {
                    for key in ["a", "b"] {
                        let is_in = |(then, row): &&(i64, Row)| {
                            row.key == key && row.time >= end - 10 && row.time < end && end - 1 > *then
                        };
                        let rows = counted.iter().filter(is_in).map(|(_, row)| row);
                        let first = first(rows, n).into_iter().zip(1..);
                        let (start, time) = (end - 10, end - 1);
                        said.extend(first.map(|(row, rank)| format!("out {key}={start}: {rank} {row} @{time}")));
                    }
                }
                watermark = *to;
            }
        }
    }
    said
}

/// What changes of the whole ranking with each record.
fn as_they_come(steps: &[Step], n: usize) -> Vec<String> {
    let (mut all, mut said) = (Vec::<Row>::new(), Vec::new());
    for step in steps {
        let Step::Push(row) = step else { continue };
        if row.is_refused {
            continue;
        }
        let of_key = |all: &[Row]| first(all.iter().filter(|one| one.key == row.key), n);
        let before = of_key(&all);
        all.push(row.clone());
        for (at, value) in of_key(&all).iter().enumerate() {
            if before.get(at) != Some(value) {
                said.push(format!("out {}={} {value} @{}", row.key, at + 1, row.time));
            }
        }
    }
    said
}

const BY: &str = r#""by":[["/price","ascending"],["/stars","descending"]]"#;

#[test]
fn the_first_ones_are_those_of_a_naive_account_however_events_are_cut_into_calls() {
    let mut chance = Chance(0xcafe);
    for round in 0..40 {
        let n = 1 + round % 4;
        let steps = steps(&mut chance, 60);
        let windowed = format!(r#"{{"n":{n},{BY},"window":{{"hopping":"10ms","every":"5ms"}}}}"#);
        let running = format!(r#"{{"n":{n},{BY}}}"#);
        for (config, expected) in [(windowed, in_windows(&steps, n)), (running, as_they_come(&steps, n))] {
            assert!(expected.len() > 1, "{config}");
            assert_eq!(run(&config, &steps, || false), expected, "{config}: {steps:?}");
            assert_eq!(
                run(&config, &steps, || true),
                expected,
                "one by one, {config}: {steps:?}"
            );
            let at_random = run(&config, &steps, || chance.below(4) == 0);
            assert_eq!(at_random, expected, "at random, {config}: {steps:?}");
        }
    }
}

fn scene(config: &str, values: &[&str]) -> (Vec<String>, Vec<Refusal>) {
    let mut host = Host::<Best>::open(config).unwrap();
    values.iter().for_each(|value| host.push(Record::new("k", *value, 0)));
    host.run().unwrap();
    let last = host.take_outputs().into_iter().map(|output| output.to_string());
    (last.collect(), host.take_refused())
}

#[test]
fn numbers_are_less_than_texts_and_whole_ones_are_compared_exactly() {
    let values = [
        "9007199254740993",
        "\"b\"",
        "9007199254740992.0",
        "\"a\"",
        "-1e3",
        "\"\\u0061\"",
        "1",
        "1.0",
    ];
    let of = |order: &str| {
        let config = format!(r#"{{"n":8,"by":"/0","order":"{order}"}}"#);
        let mut host = Host::<Best>::open(&config).unwrap();
        for (at, value) in values.iter().enumerate() {
            host.push(Record::new("k", format!("[{value},{at}]"), 0));
        }
        host.run().unwrap();
        let mut ranks = [""; 8].map(str::to_owned);
        for output in host.take_outputs() {
            let text = String::from_utf8(output.value.unwrap()).unwrap();
            let (rank, value) = text.split_once(' ').unwrap();
            ranks[rank.parse::<usize>().unwrap() - 1] = value.rsplit_once(',').unwrap().1.replace(']', "");
        }
        ranks.concat()
    };
    assert_eq!(of("ascending"), "46720351");
    assert_eq!(of("descending"), "13502674");
}

#[test]
fn what_does_not_count_and_what_does_not_fit() {
    let config = r#"{"n":1,"by":"/p"}"#;
    let (said, refused) = scene(
        config,
        &[
            "{}",
            "{\"p\":null}",
            "{\"p\":[]}",
            "{\"p\":1e999}",
            "{\"p\":\"\\ud800\"}",
            "{",
        ],
    );
    assert_eq!(said, [""; 0]);
    for (refused, why) in refused.iter().zip([
        "the value at /p is neither a number nor a text",
        "1e999 is beyond 64 bits",
        "no character",
        "not JSON",
    ]) {
        assert!(
            matches!(refused, Refusal::DeadLetter(reason) if reason.contains(why)),
            "{refused:?}"
        );
    }
    assert_eq!(refused.len(), 4);
    let mut host = Host::<Best>::open(config).unwrap();
    host.push(Record::new(crate::NULL, "{}", 0));
    host.run().unwrap();
    assert_eq!(host.take_refused(), [crate::dead_letter("the record has no key")]);
}

#[test]
fn a_ranking_that_cannot_be_is_refused() {
    for (config, why) in [
        (r#"{"n":1,"by":"p"}"#, "does not start with a slash"),
        (r#"{"n":1,"by":[]}"#, "`by` is empty"),
        (
            r#"{"n":1,"by":[["/p","ascending"]],"order":"ascending"}"#,
            "says it again",
        ),
        (r#"{"n":1,"by":[["/p","upwards"]]}"#, "did not match"),
        (r#"{"n":1,"by":"/p","window":"global"}"#, "never closes"),
    ] {
        let said = Host::<Best>::open(config).unwrap_err();
        assert!(said.contains(why), "{config}: {said}");
    }
}

#[test]
fn fewer_may_be_asked_for_later_and_what_is_kept_can_be_shown() {
    let mut host = Host::<Best>::open(r#"{"n":3,"by":"/0"}"#).unwrap();
    ["[1]", "[2]", "[3]"]
        .iter()
        .for_each(|value| host.push(Record::new("k", *value, 0)));
    host.run().unwrap();
    let mut fewer = Host::<Best>::open(r#"{"n":2,"by":"/0"}"#).unwrap();
    fewer.restore(&host.snapshot());
    fewer.push(Record::new("k", "[2.5]", 0));
    fewer.run().unwrap();
    assert_eq!(fewer.take_outputs()[0].to_string(), "out k=2 [2.5] @0");
    let schema = <Windowed<Top<Vec<SortKey>, String>> as crate::Store>::schema();
    assert!(schema["value"]["struct"].is_array(), "{schema}");
}
