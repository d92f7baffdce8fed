//! Joins: what they are by a naive account of them that keeps every record, however events are cut into calls.

use serde::Deserialize;

use super::{Join, JoinKind, Joined, Pair};
use crate::testing::chance::Chance;
use crate::testing::{Host, Output, Record};
use crate::window::{Span, Windows};
use crate::{Description, Event, Fired, Keyed, Outputs, Plugin, Raw, Refusal, Stores, fail, skip};

mod account;

use account::Account;

/// Puts its pairs out as text.
#[derive(Deserialize)]
struct Pairs {
    how: String,
    kind: JoinKind,
    #[serde(skip)]
    join: Joined<String, String>,
}

/// `within 3 5` and the like.
fn join(text: &str) -> Join {
    let mut words = text.split(' ');
    let how = words.next().unwrap_or_default();
    let mut span = || Span::of_ms(words.next().and_then(|word| word.parse().ok()).unwrap_or(0));
    match how {
        "within" => Join::within(span(), span()),
        "tumbling" => Join::windows(Windows::tumbling(span())),
        "hopping" => Join::windows(Windows::hopping(span(), span())),
        "cumulating" => Join::windows(Windows::cumulating(span(), span())),
        "session" => Join::windows(Windows::session(span())),
        "count" => Join::windows(Windows::count(5)),
        "patient" => Join::windows(Windows::tumbling(span()).allowed_lateness(Span::of_ms(1))),
        "table" => Join::table(),
        _ => Join::as_of(),
    }
}

fn put(of: &impl Keyed, pair: &Pair<String, String>, out: &mut Outputs) -> Result<(), Refusal> {
    let side = |item: Option<&String>| item.map_or("-", String::as_str).to_owned();
    let window = pair
        .window
        .map_or(String::new(), |(start, end)| format!("{start}..{end} "));
    let text = format!("{window}{} {}", side(pair.left), side(pair.right));
    out.emit(of.key(), text).timestamp(pair.time);
    Ok(())
}

impl Plugin for Pairs {
    fn describe(description: Description) -> Description {
        description.inputs(&["left", "right"]).outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.joined("join", "rows", |pairs| &mut pairs.join);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.join.open(join(&self.how).kind(self.kind))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let text = event.value().map(|value| String::from_utf8_lossy(value).into_owned());
        let is_refused = text.as_ref().is_some_and(|text| text.ends_with('!'));
        let put = |pair: &Pair<String, String>| put(event, pair, out);
        let is_in_time = match event.input() {
            0 => self.join.left(event, text.unwrap_or_default(), put)?,
            _ => self.join.right(event, text, put)?,
        };
        if !is_in_time {
            out.pass(event).to(1);
        }
        if is_refused { Err(skip("told to")) } else { Ok(()) }
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.join.fire(fired, |pair| put(fired, pair, out))
    }
}

/// A record of the right input or of the left one comes; or event time moves.
#[derive(Debug, Clone)]
enum Step {
    Push {
        key: &'static str,
        is_right: bool,
        text: Option<String>,
        time: i64,
    },
    Advance(i64),
}

/// What is refused ends with an exclamation mark.
fn steps(chance: &mut Chance, count: usize, has_nulls: bool) -> Vec<Step> {
    let (mut time, mut watermark) = (0, i64::MIN);
    let mut steps = Vec::new();
    while steps.len() < count {
        time += chance.below(if steps.len() % 9 == 0 { 25 } else { 4 });
        let is_right = chance.below(2) == 0;
        let is_null = has_nulls && is_right && chance.below(4) == 0;
        let refused = if chance.below(8) == 0 { "!" } else { "" };
        // Some are so long that those of a key are too many to be kept within its value.
        let long = if chance.below(6) == 0 { 900 } else { 0 };
        steps.push(Step::Push {
            key: ["a", "b", ""][chance.below(3) as usize],
            is_right,
            text: (!is_null).then(|| format!("{}{}{refused}", steps.len(), "x".repeat(long))),
            time: time - chance.below(14),
        });
        if time - 5 > watermark && chance.below(2) == 0 {
            watermark = time - 5;
            steps.push(Step::Advance(watermark));
        }
    }
    steps.push(Step::Advance(i64::MAX));
    steps
}

fn open(how: &str, kind: &str) -> Result<Host<Pairs>, String> {
    Host::<Pairs>::open(&format!("{{\"how\":\"{how}\",\"kind\":\"{kind}\"}}"))
}

fn record(step: &Step) -> Option<Record> {
    let Step::Push {
        key,
        is_right,
        text,
        time,
    } = step
    else {
        return None;
    };
    Some(Record::new(*key, text.clone(), *time).of_input((*is_right).into()))
}

/// Runs the steps in calls as the chance cuts them, with restores in between, and writes down what is left too.
fn run(how: &str, kind: &str, steps: &[Step], mut chance: Option<&mut Chance>) -> Vec<String> {
    let mut host = open(how, kind).unwrap();
    let mut said: Vec<String> = Vec::new();
    let lines = |outputs: Vec<Output>| outputs.into_iter().map(|output| output.to_string());
    for step in steps {
        match (record(step), step) {
            (Some(record), _) => host.push(record),
            (None, Step::Advance(watermark)) => host.advance(*watermark),
            (None, Step::Push { .. }) => {}
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
            said.extend(lines(host.take_outputs()));
            let snapshot = host.snapshot();
            steps
                .iter()
                .take(9)
                .filter_map(record)
                .for_each(|record| host.push(record));
            host.advance(1000);
            host.run().unwrap();
            host = open(how, kind).unwrap();
            host.restore(&snapshot);
        }
    }
    host.run().unwrap();
    said.extend(lines(host.take_outputs()));
    said.push(format!("{:?}", host.snapshot()));
    said
}

const HOWS: [&str; 11] = [
    "within 3 5",
    "within 0 7",
    "within 8 -3",
    "within -2 9",
    "within 0 0",
    "tumbling 10",
    "hopping 12 3",
    "cumulating 12 4",
    "session 4",
    "table",
    "as-of",
];

#[test]
fn joins_are_what_a_naive_account_of_them_says_however_events_are_cut_into_calls() {
    let mut chance = Chance(0xfeed);
    for how in HOWS {
        let has_versions = ["table", "as-of"].contains(&how);
        let kinds = if has_versions { 2 } else { 4 };
        for kind in &["inner", "left", "right", "outer"][..kinds] {
            let mut pairs = 0;
            for _ in 0..25 {
                let steps = steps(&mut chance, 60, has_versions);
                let expected = Account::of(how, kind, &steps);
                pairs += expected.iter().filter(|line| line.starts_with("out")).count();
                let mut whole = run(how, kind, &steps, None);
                let mut cut = run(how, kind, &steps, Some(&mut chance));
                assert_eq!(whole, cut, "{how} {kind}: {steps:?}");
                let (kept, _) = (whole.pop().unwrap(), cut.pop());
                assert_eq!(whole, expected, "{how} {kind}: {steps:?}");
                if !has_versions {
                    assert!(kept.contains("values: {}") && kept.contains("entries: {}"), "{kept}");
                }
                assert!(kept.contains("timers: {}"), "{how} {kind}: {kept}");
            }
            assert!(pairs > 5, "{how} {kind}: {pairs} pairs");
        }
    }
}

/// Runs records (input, text, time) of one key with event time behind each.
fn scene(how: &str, kind: &str, steps: &[(u8, &str, i64, i64)]) -> Vec<String> {
    let mut host = open(how, kind).unwrap();
    for &(input, text, time, watermark) in steps {
        let text = Some(text).filter(|text| !text.is_empty());
        host.push(Record::new("k", text, time).of_input(input));
        host.advance(watermark);
    }
    host.run().unwrap();
    let outputs = host.take_outputs();
    outputs
        .iter()
        .map(|output| output.to_string().replace("out k=", ""))
        .collect()
}

#[test]
fn both_ends_of_an_interval_are_within_it_and_null_comes_once_none_can_come() {
    let steps = [
        (0, "a", 10, 0),
        (1, "early", 6, 0),
        (1, "first", 7, 0),
        (1, "last", 15, 0),
        (1, "beyond", 16, 8),
        (0, "alone", 30, 34),
        (1, "late", 34, 35),
    ];
    let said = scene("within 3 5", "outer", &steps);
    assert_eq!(
        said,
        [
            "a first @10",
            "a last @15",
            "- early @6",
            "- beyond @16",
            "late k=late @34",
            "alone - @30"
        ]
    );
}

#[test]
fn a_record_whose_partners_are_all_older_than_event_time_waits_for_none() {
    let said = scene(
        "within 9 -5",
        "left",
        &[(1, "r", 12, 0), (0, "l", 20, 15), (0, "m", 20, 15), (0, "n", 30, 15)],
    );
    assert_eq!(said, ["l r @20", "m r @20"]);
    let said = scene(
        "within 9 -5",
        "left",
        &[(0, "far", 60, 15), (0, "n", 17, 15), (0, "o", 20, 16)],
    );
    assert_eq!(said, ["n - @17", "o - @20"]);
}

#[test]
fn pairs_of_a_window_come_when_it_closes() {
    let steps = [
        (0, "a", 3, 0),
        (1, "x", 9, 0),
        (1, "y", 1, 8),
        (0, "b", 12, 9),
        (1, "z", 8, 30),
    ];
    assert_eq!(
        scene("tumbling 10", "outer", &steps),
        ["0..10 a y @3", "0..10 a x @9", "late k=z @8", "10..20 b - @12"]
    );
}

#[test]
fn a_table_is_looked_up_by_arrival() {
    let steps = [
        (0, "a", 5, 9),
        (1, "x", 20, 9),
        (0, "b", 3, 9),
        (1, "y", 1, 9),
        (0, "c", 3, 9),
        (1, "", 0, 9),
        (0, "d", 3, 9),
    ];
    assert_eq!(
        scene("table", "left", &steps),
        ["a - @5", "b x @20", "c y @3", "d - @3"]
    );
    assert_eq!(scene("table", "inner", &steps), ["b x @20", "c y @3"]);
}

#[test]
fn the_version_valid_at_a_records_time_is_the_newest_that_is_no_newer() {
    let steps = [
        (0, "none", 9, 0),
        (1, "x", 10, 0),
        (0, "a", 10, 0),
        (1, "y", 10, 0),
        (0, "b", 15, 0),
        (1, "", 20, 0),
        (0, "c", 20, 30),
        (0, "late", 30, 30),
        (1, "z", 25, 30),
        (0, "d", 31, 31),
        (1, "old", 24, 31),
    ];
    assert_eq!(
        scene("as-of", "left", &steps),
        [
            "none - @9",
            "a y @10",
            "b y @15",
            "c - @20",
            "late k=late @30",
            "d z @31",
            "late k=old @24"
        ]
    );
}

#[test]
fn versions_are_kept_as_long_as_a_record_can_ask() {
    let mut host = open("as-of", "inner").unwrap();
    for time in 0..1000 {
        host.push(Record::new("k", time.to_string(), time).of_input(1));
        host.advance(time - 5);
        host.run().unwrap();
        assert_eq!(host.timers().count(), 1);
    }
    assert_eq!(entries(&host), 0, "so few are within the value");
    let known = host.value::<Vec<u8>, Raw>("join", "k").unwrap().unwrap();
    assert!(known.len() < 100, "{} bytes", known.len());
    host.push(Record::new("k", crate::NULL, 2000).of_input(1));
    host.advance(2000);
    host.run().unwrap();
    assert_eq!(host.value::<Vec<u8>, Raw>("join", "k").unwrap(), None);
}

/// How many entries a map store holds.
fn entries(host: &Host<Pairs>) -> usize {
    let kept = format!("{:?}", host.snapshot());
    let from = kept.find("entries: {").unwrap_or_default();
    kept[from..].matches("): [").count()
}

#[test]
fn each_record_of_a_hot_key_is_an_entry_of_its_own_and_its_value_does_not_grow() {
    for how in ["within 100000 100000", "tumbling 100000", "session 100", "as-of"] {
        let mut host = open(how, "inner").unwrap();
        for time in 1..=2000 {
            host.push(Record::new("k", "x".repeat(100), time));
            if time % 100 == 0 {
                host.run().unwrap();
            }
        }
        assert_eq!(entries(&host), 2000, "{how}");
        let known = host.value::<Vec<u8>, Raw>("join", "k").unwrap().unwrap();
        assert!(known.len() < 40, "{how}: {} bytes", known.len());
        assert_eq!(host.timers().count(), 1, "{how}");
        host.advance(i64::MAX);
        host.run().unwrap();
        assert_eq!((entries(&host), host.timers().count()), (0, 0), "{how}");
    }
}

#[test]
fn joins_that_cannot_be_are_refused() {
    for how in HOWS {
        assert!(open(how, "inner").is_ok(), "{how}");
    }
    for (how, kind, why) in [
        ("within 3 -4", "inner", "together are -1 ms"),
        ("tumbling 0", "inner", "1 at least"),
        ("count", "inner", "end by time"),
        ("patient 5", "inner", "puts each out once"),
        ("table", "right", "inner or left"),
        ("as-of", "outer", "inner or left"),
    ] {
        let said = open(how, kind).unwrap_err();
        assert!(said.contains(why), "{how}: {said}");
    }
}

#[test]
fn what_cannot_be_joined_is_a_dead_letter() {
    for how in HOWS {
        let mut host = open(how, "inner").unwrap();
        host.push(Record::new(crate::NULL, "x", 1));
        host.push(Record::new("k", crate::NULL, 1).of_input(1));
        host.run().unwrap();
        let reasons: Vec<String> = host
            .take_refused()
            .iter()
            .map(|refusal| refusal.reason().to_owned())
            .collect();
        let has_versions = ["table", "as-of"].contains(&how);
        let expected = ["the record has no key", "the value is null"];
        assert_eq!(reasons, expected[..if has_versions { 1 } else { 2 }], "{how}");
    }
}

#[test]
fn a_pair_that_is_skipped_at_a_firing_is_left_out_alone() {
    #[derive(Deserialize)]
    struct Skips {
        #[serde(skip)]
        join: Joined<String, String>,
    }
    impl Plugin for Skips {
        fn stores(stores: &mut Stores<Self>) {
            stores.joined("join", "rows", |skips| &mut skips.join);
        }
        fn open(&mut self) -> Result<(), Refusal> {
            self.join.open(join("within 1 1").kind(JoinKind::Outer))
        }
        fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
            let text = event.text()?.to_owned();
            self.join
                .left(event, text, |_| Err(fail("nothing comes at once")))
                .map(drop)
        }
        fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
            self.join.fire(fired, |pair| match pair.left.map(String::as_str) {
                Some("b") => Err(skip("told to")),
                _ => put(fired, pair, out),
            })
        }
    }
    let mut host = Host::<Skips>::open("").unwrap();
    ["a", "b", "c"]
        .iter()
        .for_each(|text| host.push(Record::new("k", *text, 5)));
    host.advance(6);
    host.run().unwrap();
    let said: Vec<String> = host.take_outputs().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["out k=a - @5", "out k=c - @5"]);
    assert_eq!(host.timers().count(), 0);
}

#[test]
fn times_at_the_ends_of_all_time_never_overflow() {
    for how in HOWS {
        for time in [
            i64::MIN,
            i64::MIN + 1,
            i64::MAX,
            i64::MAX - 1,
            i64::MAX - 20,
            i64::MIN + 20,
        ] {
            let mut host = open(how, "left").unwrap();
            for input in [0, 1] {
                host.push(Record::new("a", "1", time).of_input(input));
                host.push(Record::new("a", "2", 0).of_input(input));
            }
            host.run().unwrap();
            host.advance(i64::MAX);
            host.push(Record::new("a", "3", time));
            host.run().unwrap();
            let (said, refused) = (host.take_outputs().len(), host.take_refused());
            assert!(said > 0, "{how} {time}");
            let beyond = |refusal: &Refusal| refusal.reason().ends_with("is beyond all windows");
            assert!(refused.iter().all(beyond), "{how} {time}: {refused:?}");
            assert_eq!(host.timers().count(), 0, "{how} {time}");
        }
    }
}
