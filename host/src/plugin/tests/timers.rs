//! Timers of a real plugin, over a task's real state: how they fire, and what becomes of one that is at fault.

use super::kept::{Kept, keyed};
use super::*;

in_both_worlds! {
    timers_fire_between_the_records_and_what_they_put_out_has_the_offset_that_moved_time,
    no_call_fires_more_than_it_may_and_the_rest_follows_in_order,
    a_batch_with_rows_behind_more_timers_than_fire_is_cut_there_or_called_in_parts,
    a_timer_at_fault_is_refused_alone_and_its_neighbours_fire,
    timers_of_the_clock_fire_by_the_clock_alone,
    a_timer_that_the_plugin_no_longer_declares_is_named,
}

fn timed(world: World) -> Operator {
    operator_in(world, "timed")
}

/// Source records from offset 1000 on move time to these watermarks.
fn moved(watermarks: &[i64]) -> CallTime {
    let rows: Vec<i64> = (1000..).take(watermarks.len()).collect();
    let advance = |(offset, watermark): (&i64, &i64)| Advance {
        before: 0,
        watermark: *watermark,
        offset: *offset,
    };
    let moves: Vec<Advance> = rows.iter().zip(watermarks).map(advance).collect();
    CallTime::of(&rows, i64::MIN, 999, &moves)
}

fn call(
    operator: &mut Operator,
    kept: &mut Kept,
    records: &mut Records,
    time: &CallTime,
    most_timers: usize,
) -> Result<(Reached, Outcome), CallError> {
    call_cut(operator, kept, records, time, most_timers, 0..0)
}

fn call_cut(
    operator: &mut Operator,
    kept: &mut Kept,
    records: &mut Records,
    time: &CallTime,
    most_timers: usize,
    cut_behind: std::ops::Range<i64>,
) -> Result<(Reached, Outcome), CallError> {
    let mut outcome = Outcome::default();
    let asked = Call {
        records,
        inputs: &[],
        time,
        most_timers,
        cut_behind,
        partition: 0,
        room: usize::MAX,
    };
    let reached = operator.process(asked, &mut kept.state, &mut outcome)?;
    Ok((reached, outcome))
}

/// The same until nothing is due any more: what is put out, in order.
fn all(operator: &mut Operator, kept: &mut Kept, records: &mut Records, time: &CallTime) -> Outcome {
    let (mut reached, mut whole) = call(operator, kept, records, time, 1000).unwrap();
    let mut time = time.clone();
    while !reached.is_complete {
        time = time.behind(reached.watermark);
        let (next, outcome) = call(operator, kept, &mut Records::default(), &time, 1000).unwrap();
        let out = &outcome.outputs[0];
        (0..out.len()).for_each(|row| whole.outputs[0].push_from(out, row));
        whole.refused_timers.extend(outcome.refused_timers);
        reached = next;
    }
    assert_eq!(reached.watermark, time.last());
    whole
}

fn set(words: &[&str]) -> Records {
    keyed(&words.iter().map(|words| (Some("k"), *words)).collect::<Vec<_>>())
}

fn timers_fire_between_the_records_and_what_they_put_out_has_the_offset_that_moved_time(world: World) {
    let (mut operator, mut kept) = (timed(world), Kept::new());
    let mut records = set(&["a:5 b:5 b:4", "-b:4 a:20", ""]);
    let outcome = all(&mut operator, &mut kept, &mut records, &moved(&[1, 3, 9]));
    let out = &outcome.outputs[0];
    assert_eq!(
        values(out),
        ["a:5 b:5 b:4 at none", "-b:4 a:20 at 1", " at 3", "a@5 #1", "b@5 #2"]
    );
    assert_eq!(out.offsets, [1000, 1001, 1002, 1002, 1002]);
    assert_eq!(out.timestamps[3..], [5, 5]);
    assert!(operator.has_timer(kept.state()).unwrap(), "a:20 is set still");
}

fn no_call_fires_more_than_it_may_and_the_rest_follows_in_order(world: World) {
    let (mut operator, mut kept) = (timed(world), Kept::new());
    let words: Vec<String> = (0..7).map(|at| format!("a:{at}")).collect();
    let mut records = set(&[&words.join(" ")]);
    let (mut time, mut fired) = (moved(&[6]), Vec::new());
    let (mut reached, outcome) = call(&mut operator, &mut kept, &mut records, &time, 3).unwrap();
    fired.extend(values(&outcome.outputs[0]).iter().map(|value| (*value).to_owned()));
    assert_eq!(
        fired.len(),
        1,
        "they are set in this very call, and none was due before it"
    );
    while !reached.is_complete {
        time = time.behind(reached.watermark);
        let (next, outcome) = call(&mut operator, &mut kept, &mut Records::default(), &time, 3).unwrap();
        let some = values(&outcome.outputs[0]);
        assert!((1..=3).contains(&some.len()), "{some:?}");
        fired.extend(some.iter().map(|value| (*value).to_owned()));
        reached = next;
    }
    assert_eq!(
        fired[1..],
        (0..7).map(|at| format!("a@{at} #{}", at + 1)).collect::<Vec<_>>()
    );
}

fn a_batch_with_rows_behind_more_timers_than_fire_is_cut_there_or_called_in_parts(world: World) {
    let (mut operator, mut kept) = (timed(world), Kept::new());
    let words: Vec<String> = (10..17).map(|at| format!("a:{at}")).collect();
    all(&mut operator, &mut kept, &mut set(&[&words.join(" ")]), &moved(&[6]));
    let (mut records, time) = (set(&["one", "two", "three"]), moved(&[7, 20, 30]).from(6));
    for cut_behind in [1000..1002, 1001..1002] {
        let cut = call_cut(&mut operator, &mut kept, &mut records, &time, 3, cut_behind);
        assert_eq!(cut.unwrap_err(), CallError::TimersBetween(1001));
        assert!(!operator.left_changes(), "nothing was called");
    }
    let (_, outcome) = call_cut(&mut operator, &mut kept, &mut records, &time, 3, 1002..1003).unwrap();
    let out = values(&outcome.outputs[0]);
    assert_eq!(
        (out.len(), out[1].starts_with("two"), out[9].starts_with("three")),
        (10, true, true),
        "{out:?}"
    );
}

fn a_timer_at_fault_is_refused_alone_and_its_neighbours_fire(world: World) {
    let (mut operator, mut kept) = (timed(world), Kept::new());
    let words = ["a:1 a:2! a:3", "a:4! b:4", "refuse a:1"];
    let mut records = set(&words);
    let outcome = all(&mut operator, &mut kept, &mut records, &moved(&[0, 0, 9]));
    let out = values(&outcome.outputs[0]);
    assert_eq!(out[2..], ["a@1 #1", "a@3 #2", "b@4 #3"], "{out:?}");
    let refused: Vec<_> = (outcome.refused_timers.iter())
        .map(|timer| (&*timer.name, &*timer.key, timer.at))
        .collect();
    assert_eq!(refused, [("a", &b"k"[..], 2), ("a", b"k", 4)]);
    assert!(
        outcome.refused_timers[0].reason.contains("told to trap"),
        "{:?}",
        outcome.refused_timers[0]
    );
    assert_eq!(refusals(&outcome), [(2, Refusal::DeadLetter)]);
    assert!(!operator.has_timer(kept.state()).unwrap(), "one at fault is gone, too");
}

fn timers_of_the_clock_fire_by_the_clock_alone(world: World) {
    let (mut operator, mut kept) = (timed(world), Kept::new());
    let mut records = set(&["p:50 a:1 p:60"]);
    let (_, outcome) = call(&mut operator, &mut kept, &mut records, &moved(&[9]), 1000).unwrap();
    assert_eq!(values(&outcome.outputs[0]), ["p:50 a:1 p:60 at none"]);
    let clock = |now| CallTime {
        watermark: 9,
        clock: Some(now),
        ..CallTime::default()
    };
    assert!(!operator.may_fire_by_clock(i64::MIN, kept.state()) || operator.may_fire_by_clock(50, kept.state()));
    let mut fired = |now| {
        let (reached, outcome) = call(&mut operator, &mut kept, &mut Records::default(), &clock(now), 1000).unwrap();
        assert!(reached.is_complete);
        outcome.outputs[0]
            .values
            .iter()
            .flatten()
            .map(|value| String::from_utf8_lossy(value).into_owned())
            .collect()
    };
    let (early, first, last): (Vec<String>, Vec<String>, Vec<String>) = (fired(49), fired(50), fired(100));
    assert_eq!(
        (early.len(), &*first, &*last),
        (0, &["p@50 #1".to_owned()][..], &["p@60 #2".to_owned()][..])
    );
}

fn a_timer_that_the_plugin_no_longer_declares_is_named(world: World) {
    let (mut operator, mut kept) = (timed(world), Kept::new());
    let gone = crate::state::KeptTimer {
        at: 1,
        name: "gone",
        key: b"k",
    };
    kept.state()
        .set_timer(crate::state::store_id("op", "timers:event-time"), gone);
    let error = call(&mut operator, &mut kept, &mut set(&[""]), &moved(&[5]), 1000).unwrap_err();
    let CallError::State(error) = error else {
        panic!("{error:?}")
    };
    assert_eq!(error.kind, Kind::Corrupt);
    assert!(error.what.contains("timer `gone` of operator `op`"), "{error}");
}
