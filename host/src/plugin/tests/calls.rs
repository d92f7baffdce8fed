//! What a call of `process` gives back.

use super::*;

in_both_worlds! {
    no_records_are_no_call,
    a_refused_record_has_no_output,
    a_retry_is_for_the_call_as_a_whole_and_keeps_the_instance,
    nothing_of_a_call_is_kept_when_a_part_of_it_asks_for_another_time,
}

#[test]
fn pass_through_passes_everything_unchanged() {
    let plugin = engine().load(&built("plugins", "pass-through")).unwrap();
    let mut operator = plugin.operator("op", "", limits()).unwrap();
    let mut mine = records(&["a", "", "ccc", "d"]);
    mine.keys = Default::default();
    mine.values = Default::default();
    for at in 0..4u8 {
        mine.keys.push((at % 2 == 0).then_some(&[at][..]));
        mine.values.push((at % 3 == 0).then_some(b"v"));
    }
    mine.timestamps[2] = -1;
    let mut outcome = Outcome::default();
    for _ in 0..3 {
        operator
            .process(
                Call {
                    records: &mut mine,
                    inputs: &[],
                    time: &CallTime::default(),
                    most_timers: 1000,
                    cut_behind: 0..0,
                    partition: 0,
                    room: usize::MAX,
                },
                &mut None,
                &mut outcome,
            )
            .unwrap();
        assert_eq!(outcome.outputs, [mine.clone()]);
    }
    assert_eq!(operator.stats().calls, 3);
    assert_eq!(operator.stats().recycled, 0);
}

#[test]
fn instructions_are_counted_by_an_engine_that_counts_and_are_those_of_the_calls() {
    let count = |engine: &Engine, calls: usize| {
        let plugin = engine.load(&built("plugins", "pass-through")).unwrap();
        let mut operator = plugin.operator("op", "", limits()).unwrap();
        (0..calls).for_each(|_| drop(process(&mut operator, &["a", "b"]).unwrap()));
        (operator.stats().instructions, operator.stats().outputs)
    };
    let counting = Engine::counting().unwrap();
    assert_eq!(count(&counting, 0), (0, 0));
    let (three, outputs) = count(&counting, 3);
    assert_eq!((three, outputs), (count(&counting, 3).0, 6));
    assert!(three > 0 && count(&counting, 4).0 > three);
    assert_eq!(count(engine(), 3), (0, 6));
}

#[test]
fn a_profile_is_taken_by_an_engine_that_samples_and_a_loop_still_ends() {
    let sampling = Engine::sampling().unwrap();
    let plugin = sampling.load(&built("guests", "loops-forever")).unwrap();
    let limits = Limits {
        call_time: Duration::from_millis(50),
        ..limits()
    };
    let mut operator = plugin.operator("op", "", limits).unwrap();
    assert_eq!(plugin.end_profile().unwrap_err().kind, Kind::Bug);
    plugin.begin_profile().unwrap();
    let outcome = process(&mut operator, &["loop"]).unwrap();
    assert_eq!(refusals(&outcome), [(0, Refusal::Fault)]);
    assert!(operator.stats().deadlines > 0);
    let profile = plugin.end_profile().unwrap();
    assert!(!profile.samples.is_empty());
    for sample in &profile.samples {
        let stack = profile.stacks[sample.stack];
        assert!(profile.functions.len() > stack.function && stack.caller < Some(sample.stack));
    }
    let plain = guest("loops-forever");
    assert_eq!(plain.begin_profile().unwrap_err().kind, Kind::Bug);
}

#[test]
fn filter_keeps_refuses_and_drops() {
    let plugin = engine().load(&built("plugins", "filter")).unwrap();
    let mut operator = plugin
        .operator("op", r#"{"field": "/ms", "at-least": 5}"#, limits())
        .unwrap();
    let outcome = process(
        &mut operator,
        &[r#"{"ms":7}"#, r#"{"ms":1}"#, "not json", r#"{"ms":5,"x":1}"#],
    )
    .unwrap();
    assert_eq!(values(&outcome.outputs[0]), [r#"{"ms":7}"#, r#"{"ms":5,"x":1}"#]);
    assert_eq!(outcome.outputs[0].offsets, [1000, 1003]);
    assert_eq!(refusals(&outcome), [(2, Refusal::DeadLetter)]);
    assert!(!outcome.refused[0].reason.is_empty());
}

fn no_records_are_no_call(world: World) {
    let mut operator = operator_in(world, "traps");
    assert_eq!(process(&mut operator, &[]).unwrap().outputs.len(), 1);
    assert_eq!(operator.stats().calls, 0);
}

fn a_refused_record_has_no_output(world: World) {
    let outcome = process(
        &mut operator_in(world, "refuses"),
        &["a", "skip me", "b", "dead one", "fail now", "c"],
    )
    .unwrap();
    assert_eq!(values(&outcome.outputs[0]), ["a", "b", "c"]);
    assert_eq!(
        refusals(&outcome),
        [(1, Refusal::Skip), (3, Refusal::DeadLetter), (4, Refusal::Fail)]
    );
    assert_eq!(outcome.refused[1].reason, "dead one");
}

fn a_retry_is_for_the_call_as_a_whole_and_keeps_the_instance(world: World) {
    let mut operator = operator_in(world, "retries");
    assert_eq!(
        process(&mut operator, &["a"]),
        Err(CallError::Retry("1 more to come".into()))
    );
    assert_eq!(
        process(&mut operator, &["a"]),
        Err(CallError::Retry("0 more to come".into()))
    );
    assert_eq!(values(&process(&mut operator, &["a"]).unwrap().outputs[0]), ["a"]);
    assert_eq!(operator.stats().recycled, 0);
}

fn nothing_of_a_call_is_kept_when_a_part_of_it_asks_for_another_time(world: World) {
    let mut operator = operator_in(world, "traps");
    process(&mut operator, &["a", "trap", "b"]).unwrap();
    let mut outcome = Outcome::default();
    let mut refuses = operator_in(world, "refuses");
    let mut mine = records(&["a", "skip", "retry later"]);
    let error = refuses
        .process(
            Call {
                records: &mut mine,
                inputs: &[],
                time: &CallTime::default(),
                most_timers: 1000,
                cut_behind: 0..0,
                partition: 0,
                room: usize::MAX,
            },
            &mut None,
            &mut outcome,
        )
        .unwrap_err();
    assert!(matches!(error, CallError::Retry(_)), "{error:?}");
    assert!(outcome.refused.is_empty() && outcome.outputs[0].is_empty());
}
