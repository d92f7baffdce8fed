//! Windows: what they are by a naive account of them, and that it makes no difference how events are cut into calls.

use serde::Deserialize;

use super::{Aggregate, Avg, Collect, Count, Emit, First, Last, Max, Min, Span, Sum, WindowResult, Windowed, Windows};
use crate::testing::chance::Chance;
use crate::testing::{Host, Record};
use crate::{Event, Fired, Outputs, Plugin, Refusal, Stores, dead_letter, skip};

type Views = (Count, Sum<i64>, Collect<i64>);

/// Puts its windows out as text.
#[derive(Deserialize)]
struct Viewed {
    windows: String,
    /// The firing at this time is taken back.
    #[serde(default)]
    skips: Option<i64>,
    #[serde(skip)]
    views: Windowed<Views>,
}

/// `tumbling 10 3` and the like, with `late 5`, `update`, `every 3`, `retract` behind it.
fn windows(text: &str) -> Windows {
    let mut words = text.split(' ');
    let mut number = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let text = text.split_once(' ').map_or(text, |(shape, _)| shape);
    let _ = number();
    let (size, every, offset) = (number(), number(), number());
    let span = Span::of_ms;
    let windows = match text {
        "tumbling" => Windows::tumbling(span(size)).offset(span(offset)),
        "hopping" => Windows::hopping(span(size), span(every)).offset(span(offset)),
        "cumulating" => Windows::cumulating(span(size), span(every)).offset(span(offset)),
        "session" => Windows::session(span(size)),
        "count" => Windows::count(size as u32),
        "last" => Windows::last(size as u32, every as u32),
        _ => Windows::global(),
    };
    let late = number();
    let windows = windows.allowed_lateness(span(late));
    let windows = match number() {
        0 => windows,
        -1 => windows.emit(Emit::Update),
        every => windows.emit(Emit::Every(span(every))),
    };
    if number() == 1 { windows.retract() } else { windows }
}

impl Viewed {
    fn put(key: &[u8], window: &WindowResult<Views>, out: &mut Outputs) {
        let (count, sum, all) = window.value();
        let sign = if window.is_retraction { "-" } else { "" };
        let text = format!("{sign}{}..{} {count} {sum} {all:?}", window.start, window.end);
        out.emit(key, text).timestamp(window.time);
    }
}

impl Plugin for Viewed {
    fn describe(description: crate::Description) -> crate::Description {
        description.outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("views", |viewed| &mut viewed.views);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.views.open(windows(&self.windows))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let (number, then) = event.text()?.split_once(' ').unwrap_or((event.text()?, ""));
        let key = event.key().unwrap_or_default();
        let item = ((), number.parse()?, number.parse()?);
        let add = |window: &WindowResult<Views>| {
            Self::put(key, window, out);
            Ok(())
        };
        if !self.views.add(event, &item, add)? {
            out.pass(event).to(1);
        }
        if then == "refused" {
            Err(skip("told to"))
        } else {
            Ok(())
        }
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.views.fire(fired, |window| {
            Self::put(fired.key(), window, out);
            Ok(())
        })?;
        if self.skips == Some(fired.at()) {
            Err(skip("told to"))
        } else {
            Ok(())
        }
    }
}

/// A record's key, number, time and whether it is refused; or event time moves.
#[derive(Debug, Clone)]
enum Step {
    Push(&'static str, i64, i64, bool),
    Advance(i64),
}

fn steps(chance: &mut Chance, count: usize) -> Vec<Step> {
    let (mut time, mut watermark) = (0, i64::MIN);
    let mut steps = Vec::new();
    while steps.len() < count {
        time += chance.below(if steps.len() % 9 == 0 { 25 } else { 4 });
        let key = ["a", "b", ""][chance.below(3) as usize];
        let is_refused = chance.below(8) == 0;
        steps.push(Step::Push(key, chance.below(100), time - chance.below(14), is_refused));
        if time - 5 > watermark && chance.below(2) == 0 {
            watermark = time - 5;
            steps.push(Step::Advance(watermark));
        }
    }
    steps.push(Step::Advance(i64::MAX));
    steps
}

fn run(windows: &str, steps: &[Step], due_at_once: usize, mut is_cut: impl FnMut(usize) -> bool) -> Vec<String> {
    let mut host = Host::<Viewed>::open(&format!("{{\"windows\":\"{windows}\"}}")).unwrap();
    host.due_at_once(due_at_once);
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Push(key, number, time, is_refused) => {
                let then = if *is_refused { " refused" } else { "" };
                host.push(Record::new(*key, format!("{number}{then}"), *time));
            }
            Step::Advance(watermark) => host.advance(*watermark),
        }
        if is_cut(at) {
            host.run().unwrap();
        }
    }
    host.run().unwrap();
    let mut said: Vec<_> = host.take_outputs().iter().map(ToString::to_string).collect();
    // Whatever is left is written out too.
    said.push(format!("{:?}", host.snapshot()));
    said
}

const SHAPES: [&str; 10] = [
    "tumbling 10 0 3",
    "tumbling 7 0 -1",
    "hopping 10 4 0",
    "hopping 12 3 1",
    "cumulating 12 4 2",
    "session 4 0 0",
    "session 1 0 0",
    "count 3 0 0",
    "last 5 2 0",
    "global 0 0 0",
];

#[test]
fn it_makes_no_difference_how_events_are_cut_into_calls() {
    let mut chance = Chance(0xfeed);
    for shape in SHAPES {
        let goes_by_time = !["count", "last", "global"].iter().any(|name| shape.starts_with(name));
        for late in if goes_by_time { &[0, 6][..] } else { &[0] } {
            for emit in [0, -1, 3] {
                let can_be = match emit {
                    0 => !shape.starts_with("global"),
                    3 => goes_by_time || shape.starts_with("global"),
                    _ => true,
                };
                for retracts in [0, 1] {
                    let windows = format!("{shape} {late} {emit} {retracts}");
                    if can_be {
                        (0..3).for_each(|_| cut(&windows, &mut chance));
                    }
                }
            }
        }
    }
}

fn cut(windows: &str, chance: &mut Chance) {
    let steps = steps(chance, 40);
    let one_by_one = run(windows, &steps, 1, |_| true);
    assert!(one_by_one.len() > 3, "{windows}: {one_by_one:?}");
    let whole = run(windows, &steps, 1000, |_| false);
    assert_eq!(whole, one_by_one, "{windows}: {steps:?}");
    for cut in (0..steps.len()).step_by(3) {
        let most = [1, 2, 1000][cut % 3];
        assert_eq!(
            run(windows, &steps, most, |at| at == cut),
            one_by_one,
            "{windows}, cut behind {cut}: {steps:?}"
        );
    }
    let at_random = run(windows, &steps, 2, |_| chance.below(4) == 0);
    assert_eq!(at_random, one_by_one, "{windows}: {steps:?}");
}

/// A window with its records, which are all kept: their numbers by arrival.
#[derive(Debug, Clone)]
struct Naive {
    key: &'static str,
    start: i64,
    end: i64,
    all: Vec<(usize, i64)>,
}

/// What the windows are that are put out when they close.
struct Account {
    shape: Vec<String>,
    late: i64,
    open: Vec<Naive>,
    watermark: i64,
    said: Vec<String>,
}

impl Account {
    fn number(&self, at: usize) -> i64 {
        self.shape[at].parse().unwrap()
    }

    /// The windows of a time, found by trying.
    fn of(&self, time: i64) -> Vec<(i64, i64)> {
        let (size, every, offset) = (self.number(1), self.number(2), self.number(3));
        let (step, start_step) = match &self.shape[0][..] {
            "tumbling" => (size, size),
            "hopping" => (size, every),
            _ => (every, size),
        };
        let mut found = Vec::new();
        for start in time - 2 * size..=time {
            for length in (step..=size).step_by(step as usize) {
                if (start - offset).rem_euclid(start_step) == 0 && start + length > time {
                    found.push((start, start + length));
                }
            }
        }
        found.sort_by_key(|(start, end)| (*end, *start));
        found
    }

    fn push(&mut self, key: &'static str, number: i64, time: i64, arrival: usize) {
        let mut is_late = true;
        let windows = match &self.shape[0][..] {
            "session" => {
                let mut window = (time, time + self.number(1));
                let touched = |open: &Naive| open.key == key && open.start <= window.1 && open.end >= time;
                let touched: Vec<Naive> = self.open.iter().filter(|open| touched(open)).cloned().collect();
                touched
                    .iter()
                    .for_each(|open| window = (window.0.min(open.start), window.1.max(open.end)));
                if window.1 - 1 + self.late > self.watermark {
                    let gone = |open: &Naive| touched.iter().any(|one| (one.key, one.start) == (open.key, open.start));
                    self.open.retain(|open| !gone(open));
                    let mut all: Vec<_> = touched.into_iter().flat_map(|open| open.all).collect();
                    all.sort_unstable();
                    let (start, end) = window;
                    self.open.push(Naive { key, start, end, all });
                }
                vec![window]
            }
            _ => self.of(time),
        };
        for (start, end) in windows {
            if end - 1 + self.late <= self.watermark {
                continue;
            }
            is_late = false;
            let same = |open: &Naive| (open.key, open.start, open.end) == (key, start, end);
            if !self.open.iter().any(same) {
                let all = Vec::new();
                self.open.push(Naive { key, start, end, all });
            }
            let window = self.open.iter_mut().find(|open| same(open)).unwrap();
            window.all.push((arrival, number));
            if end - 1 <= self.watermark {
                let window = window.clone();
                self.say(&window);
            }
        }
        if is_late {
            self.said.push(format!("late {key}={number} @{time}"));
        }
    }

    fn advance(&mut self, watermark: i64) {
        let due = |open: &&Naive| open.end - 1 > self.watermark && open.end - 1 <= watermark;
        let mut due: Vec<Naive> = self.open.iter().filter(due).cloned().collect();
        due.sort_by_key(|open| (open.end, open.key, open.start));
        due.iter().for_each(|open| self.say(open));
        self.watermark = watermark;
        let late = self.late;
        self.open.retain(|open| open.end - 1 + late > watermark);
    }

    fn say(&mut self, window: &Naive) {
        let all: Vec<i64> = window.all.iter().map(|(_, number)| *number).collect();
        let (count, sum) = (all.len(), all.iter().sum::<i64>());
        let Naive { key, start, end, .. } = window;
        self.said
            .push(format!("out {key}={start}..{end} {count} {sum} {all:?} @{}", end - 1));
    }
}

#[test]
fn windows_are_what_a_naive_account_of_them_says() {
    let mut chance = Chance(0xbead);
    for shape in SHAPES.iter().take(7) {
        for late in [0, 6, 15] {
            for _ in 0..40 {
                let steps = steps(&mut chance, 60);
                let mut account = Account {
                    shape: shape.split(' ').map(str::to_owned).collect(),
                    late,
                    open: Vec::new(),
                    watermark: i64::MIN,
                    said: Vec::new(),
                };
                for (at, step) in steps.iter().enumerate() {
                    match *step {
                        Step::Push(_, _, _, true) => {}
                        Step::Push(key, number, time, false) => account.push(key, number, time, at),
                        Step::Advance(watermark) => account.advance(watermark),
                    }
                }
                let windows = format!("{shape} {late} 0 0");
                let mut said = run(&windows, &steps, 1000, |_| chance.below(9) == 0);
                let kept = said.pop().unwrap();
                assert_eq!(said, account.said, "{windows}: {steps:?}");
                assert!(
                    kept.contains("values: {}") && kept.contains("timers: {}"),
                    "{windows}: {kept}"
                );
            }
        }
    }
}

/// Runs records of one key (number, time) with event time behind each; a step without number moves time alone.
fn scene(windows: &str, steps: &[(Option<i64>, i64, i64)]) -> Vec<String> {
    let mut host = Host::<Viewed>::open(&format!("{{\"windows\":\"{windows}\"}}")).unwrap();
    for (number, time, watermark) in steps {
        if let Some(number) = number {
            host.push(Record::new("k", number.to_string(), *time));
        }
        host.advance(*watermark);
    }
    host.run().unwrap();
    let outputs = host.take_outputs();
    let line = |output: &crate::testing::Output| output.to_string().replace("out k=", "");
    outputs.iter().map(line).collect()
}

#[test]
fn a_tumbling_window_closes_at_its_last_moment_and_takes_late_records_for_so_long() {
    let said = scene(
        "tumbling 10 0 0 5 0 1",
        &[
            (Some(1), 3, 8),
            (Some(2), 9, 9),
            (Some(3), 4, 13),
            (Some(4), 5, 14),
            (Some(5), 6, 15),
        ],
    );
    assert_eq!(
        said,
        [
            "0..10 2 3 [1, 2] @9",
            "-0..10 2 3 [1, 2] @9",
            "0..10 3 6 [1, 2, 3] @9",
            "-0..10 3 6 [1, 2, 3] @9",
            "0..10 4 10 [1, 2, 3, 4] @9",
            "late k=5 @6",
        ]
    );
}

#[test]
fn updates_come_after_each_record_and_not_again_at_close() {
    let said = scene(
        "tumbling 10 0 0 0 -1 1",
        &[(Some(1), 3, 0), (Some(2), 4, 0), (None, 0, 50)],
    );
    assert_eq!(said, ["0..10 1 1 [1] @9", "-0..10 1 1 [1] @9", "0..10 2 3 [1, 2] @9"]);
}

#[test]
fn results_every_so_often_come_if_records_came_and_at_close() {
    let steps = [
        (Some(1), 21, 20),
        (None, 0, 22),
        (None, 0, 23),
        (Some(2), 22, 24),
        (None, 0, 25),
        (None, 0, 29),
    ];
    let said = scene("tumbling 10 0 0 0 3 0", &steps);
    // At 23 (before 24), at 26, as time stood at 25, and at the end; nothing at 28, since nothing came.
    assert_eq!(
        said,
        ["20..30 1 1 [1] @29", "20..30 2 3 [1, 2] @29", "20..30 2 3 [1, 2] @29"]
    );
    let steps = [(Some(1), 21, 20), (Some(2), 40, 25), (None, 0, 41), (None, 0, 100)];
    let said = scene("global 0 0 0 0 3 1", &steps);
    // Event time passed the mark at 23, which the first one set, when both had come.
    assert_eq!(said, ["0..0 2 3 [1, 2] @40"]);
}

#[test]
fn sessions_up_to_a_gap_apart_are_one_and_what_they_showed_is_retracted() {
    let said = scene(
        "session 5 0 0 0 0 0",
        &[(Some(1), 0, 0), (Some(2), 5, 0), (Some(3), 11, 0), (None, 0, 100)],
    );
    assert_eq!(said, ["0..10 2 3 [1, 2] @9", "11..16 1 3 [3] @15"]);
    let said = scene(
        "session 5 0 0 20 0 1",
        &[(Some(1), 0, 4), (Some(2), 9, 13), (Some(3), 5, 13), (None, 0, 100)],
    );
    assert_eq!(
        said,
        [
            "0..5 1 1 [1] @4",
            "9..14 1 2 [2] @13",
            "-0..5 1 1 [1] @4",
            "-9..14 1 2 [2] @13",
            "0..14 3 6 [1, 2, 3] @13",
        ]
    );
}

#[test]
fn count_windows_go_by_arrival() {
    let steps: Vec<_> = [9, 1, 5, 7].iter().map(|&time| (Some(time), time, 100)).collect();
    assert_eq!(
        scene("count 2 0 0 0 0 0", &steps),
        ["9..1 2 10 [9, 1] @9", "5..7 2 12 [5, 7] @7"]
    );
    assert_eq!(
        scene("last 3 1 0 0 0 0", &steps),
        [
            "9..9 1 9 [9] @9",
            "9..1 2 10 [9, 1] @9",
            "9..5 3 15 [9, 1, 5] @9",
            "1..7 3 13 [1, 5, 7] @7"
        ]
    );
}

#[test]
fn a_firing_that_is_skipped_leaves_its_window_out_and_nothing_behind() {
    let mut host = Host::<Viewed>::open(r#"{"windows":"tumbling 10 0 0 0 0 0","skips":9}"#).unwrap();
    host.push(Record::new("k", "1", 3));
    host.advance(9);
    host.push(Record::new("k", "2", 13));
    host.advance(19);
    host.run().unwrap();
    let said: Vec<_> = host.take_outputs().iter().map(ToString::to_string).collect();
    assert_eq!(said, ["out k=10..20 1 2 [2] @19"]);
    let kept = format!("{:?}", host.snapshot());
    assert!(kept.contains("values: {}") && kept.contains("timers: {}"), "{kept}");
}

#[test]
fn a_key_has_one_timer_at_most() {
    let mut host = Host::<Viewed>::open(r#"{"windows":"hopping 10 5 0 0 0 0"}"#).unwrap();
    let timers = |host: &Host<Viewed>| -> Vec<i64> { host.timers().map(|(at, _, _)| at).collect() };
    host.push(Record::new("k", "1", 15));
    host.run().unwrap();
    assert_eq!(timers(&host), [19]);
    host.push(Record::new("k", "2", 3));
    host.run().unwrap();
    assert_eq!(timers(&host), [4]);
    host.advance(9);
    host.run().unwrap();
    assert_eq!(timers(&host), [19]);
    host.advance(24);
    host.run().unwrap();
    assert_eq!(timers(&host), [0; 0]);
    assert_eq!(host.take_outputs().len(), 4);
}

#[test]
fn windows_that_cannot_be_are_refused() {
    let said = |text: &str| {
        let windows = windows(text).checked();
        windows.map_or_else(|refusal| refusal.reason().to_owned(), |_| String::new())
    };
    for text in SHAPES.iter().take(9) {
        assert_eq!(said(&format!("{text} 0 0 0")), "", "{text}");
    }
    for (text, why) in [
        ("tumbling 0 0 0 0 0 0", "1 at least"),
        ("hopping 10 20 0 0 0 0", "more than their size"),
        ("hopping 20000 1 0 0 0 0", "a record would be in 20000 windows"),
        ("cumulating 10 3 0 0 0 0", "no multiple"),
        ("session 0 0 0 0 0 0", "less than 1 ms"),
        ("count 0 0 0 0 0 0", "1 at least"),
        ("count 3 0 0 1 0 0", "never late"),
        ("count 3 0 0 0 5 0", "do not go by time"),
        ("global 0 0 0 0 0 0", "never closes"),
        ("tumbling 5 0 0 -1 0 0", "negative"),
        ("tumbling 5 0 0 0 -2 0", "more often"),
    ] {
        assert!(said(text).contains(why), "{text}: {}", said(text));
    }
}

#[test]
fn times_at_the_ends_of_all_time_are_refused_or_kept_and_never_overflow() {
    for shape in SHAPES.iter().take(7) {
        for time in [
            i64::MIN,
            i64::MIN + 1,
            i64::MAX,
            i64::MAX - 1,
            i64::MAX - 20,
            i64::MIN + 20,
        ] {
            for (late, emit) in [(0, 0), (5, -1), (5, 3)] {
                let mut host = Host::<Viewed>::open(&format!("{{\"windows\":\"{shape} {late} {emit} 0\"}}")).unwrap();
                host.push(Record::new("a", "1", time));
                host.push(Record::new("a", "2", 0));
                host.run().unwrap();
                host.advance(i64::MAX);
                host.push(Record::new("a", "3", time));
                host.run().unwrap();
                let (said, refused) = (host.take_outputs().len(), host.take_refused());
                assert!(said > 0 && refused.len() <= 2, "{shape} {time}");
                let beyond = |refusal: &Refusal| refusal.reason().ends_with("is beyond all windows");
                assert!(refused.iter().all(beyond), "{shape} {time}: {refused:?}");
            }
        }
    }
}

/// Adds the numbers one by one, takes each back once, and merges halves: the same comes out.
fn check<A: Aggregate<Output: PartialEq + std::fmt::Debug> + Default>(items: &[A::Item]) -> A::Output {
    let aggregate = A::default();
    let (mut whole, mut even, mut odd) = (aggregate.empty(), aggregate.empty(), aggregate.empty());
    for (at, item) in items.iter().enumerate() {
        let before = aggregate.output(&whole);
        let undo = aggregate.add(&mut whole, item, at as u64).unwrap();
        aggregate.undo(&mut whole, undo);
        assert_eq!(aggregate.output(&whole), before);
        aggregate.add(&mut whole, item, at as u64).unwrap();
        let half = if at % 2 == 0 { &mut even } else { &mut odd };
        aggregate.add(half, item, at as u64).unwrap();
    }
    let mut other = odd.clone();
    aggregate.merge(&mut even, odd).unwrap();
    let mut again = aggregate.empty();
    aggregate.merge(&mut again, even).unwrap();
    assert_eq!(aggregate.output(&again), aggregate.output(&whole));
    aggregate.merge(&mut other, aggregate.empty()).unwrap();
    aggregate.output(&whole)
}

#[test]
fn aggregates_add_take_back_and_merge() {
    assert_eq!(check::<Count>(&[(), (), ()]), 3);
    assert_eq!(check::<Sum<i64>>(&[5, -7, 1]), -1);
    assert_eq!(check::<Min<i64>>(&[5, -7, 1]), Some(-7));
    assert_eq!(check::<Max<i64>>(&[5, -7, 1]), Some(5));
    assert_eq!(check::<Avg>(&[5.0, -7.0, 1.0, 5.0]), Some(1.0));
    assert_eq!(check::<First<i64>>(&[5, -7, 1]), Some(5));
    assert_eq!(check::<Last<i64>>(&[5, -7, 1]), Some(1));
    assert_eq!(check::<Collect<i64>>(&[5, -7, 1, 4]), [5, -7, 1, 4]);
    assert_eq!(check::<(Count, Max<u8>)>(&[((), 4), ((), 9)]), (2, Some(9)));
    assert_eq!(
        (check::<Avg>(&[]), check::<Min<u8>>(&[]), check::<First<u8>>(&[])),
        (None, None, None)
    );
}

#[test]
fn a_sum_that_overflows_is_refused_and_leaves_all_as_it_was() {
    let both = (Count, Sum::<i64>::default());
    let mut state = both.empty();
    both.add(&mut state, &((), i64::MAX), 1).unwrap();
    let refusal = both.add(&mut state, &((), 1), 2).unwrap_err();
    assert_eq!(refusal, dead_letter("the sum is out of its numbers' range"));
    assert_eq!(both.output(&state), (1, i64::MAX));
    let mut host = Host::<Viewed>::open(r#"{"windows":"hopping 4 2 0 0 -1 0"}"#).unwrap();
    host.push(Record::new("k", "9223372036854775807", 0));
    host.push(Record::new("k", "1", 2));
    host.push(Record::new("k", "-1", 2));
    host.run().unwrap();
    assert_eq!(
        host.take_refused(),
        [dead_letter("the sum is out of its numbers' range")]
    );
    let last = host.take_outputs().pop().unwrap().to_string();
    assert_eq!(last, "out k=2..6 1 -1 [-1] @5");
}
