//! Guests that sin: the record at fault is found, and nobody else pays.

use super::*;
use crate::config::Recycling;

in_both_worlds! {
    a_trap_is_blamed_on_its_record_with_the_panic_message_and_the_backtrace,
    several_at_fault_are_all_found_in_order,
    where_the_pipeline_stops_at_a_fault_nothing_behind_it_is_tried,
    an_operator_goes_on_after_a_fault_as_before,
    an_instance_is_replaced_when_it_is_worn,
    what_recycling_costs_is_counted_and_an_instance_that_stays_costs_nothing,
}

/// A batch with the sinner at every place: it is found, alone, and the others keep their outputs and order.
fn finds(world: World, name: &str, sinner: &str, limits: Limits) -> (Operator, Refused) {
    let mut operator = guest_in(world, name).operator("op", "", limits).unwrap();
    let mut found = None;
    for place in [0, 1, 6, 12] {
        let mut batch = vec![
            "v00", "v01", "v02", "v03", "v04", "v05", "v06", "v07", "v08", "v09", "v10", "v11", "v12",
        ];
        batch[place] = sinner;
        let outcome = process(&mut operator, &batch).unwrap();
        assert_eq!(
            refusals(&outcome),
            [(place as u32, Refusal::Fault)],
            "{:?}",
            outcome.refused
        );
        batch.remove(place);
        assert_eq!(values(&outcome.outputs[0]), batch);
        assert!(outcome.outputs[0].offsets.is_sorted());
        assert!(!outcome.outputs[0].offsets.contains(&(1000 + place as i64)));
        found = outcome.refused.into_iter().next();
    }
    (operator, found.unwrap())
}

fn a_trap_is_blamed_on_its_record_with_the_panic_message_and_the_backtrace(world: World) {
    let (operator, refused) = finds(world, "traps", "trap here", limits());
    let Refused { reason, backtrace, .. } = refused;
    assert!(
        reason.starts_with("trapped: ") && reason.contains("told to trap by"),
        "{reason}"
    );
    assert!(!reason.contains("traps.wasm!"), "a backtrace in {reason}");
    assert!(backtrace.contains("traps.wasm!"), "no backtrace in {backtrace}");
    assert!(
        !backtrace.contains(" at "),
        "the guest says nothing of its sources: {backtrace}"
    );
    assert!(operator.stats().traps > 0);
    assert_eq!(operator.stats().deadlines, 0);
}

#[test]
fn a_backtrace_has_the_lines_of_the_guests_sources_if_the_component_says_them() {
    let plugin = guest("traps-with-lines");
    assert!(guest("traps").source_lines().is_empty() && !plugin.source_lines().is_empty());
    let mut operator = plugin.operator("op", "", limits()).unwrap();
    let source = include_str!("../../../../tests/guests/traps/src/lib.rs");
    let line = 1 + source.lines().position(|line| line.contains("panic!(")).unwrap();
    // Looked up, and then remembered.
    for _ in 0..2 {
        let outcome = process(&mut operator, &["a", "trap"]).unwrap();
        let backtrace = &outcome.refused[0].backtrace;
        let place = format!("tests/guests/traps/src/lib.rs:{line}:");
        assert!(backtrace.contains(&place), "no {place} in\n{backtrace}");
        assert!(backtrace.contains("core::panicking::panic_fmt\n"), "{backtrace}");
        assert!(backtrace.len() <= 2100, "{} bytes", backtrace.len());
        assert!(backtrace.lines().all(|line| line.starts_with("  ")), "{backtrace}");
    }
}

#[test]
fn a_loop_is_ended_by_the_deadline_and_blamed_on_its_record() {
    let quick = Limits {
        call_time: Duration::from_secs(1),
        ..limits()
    };
    let mut operator = guest("loops-forever").operator("op", "", quick).unwrap();
    let outcome = process(&mut operator, &["a", "loop", "b"]).unwrap();
    assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
    assert_eq!(values(&outcome.outputs[0]), ["a", "b"]);
    assert_eq!(outcome.refused[0].reason, "did not return within its call-time of 1s");
    assert!(outcome.refused[0].backtrace.contains("loops_forever"));
    assert!(operator.stats().deadlines >= 2);
}

#[test]
fn a_memory_limit_is_told_as_such_and_blamed_on_its_record() {
    let (operator, refused) = finds(World::Processor, "eats-memory", "eat", limits());
    assert_eq!(refused.reason, "reached its memory limit of 64MiB");
    assert!(operator.stats().memory_limits > 0);
    assert_eq!(operator.stats().traps, 0);
    assert!(operator.stats().memory_bytes <= 64 << 20);
}

#[test]
fn a_flood_of_outputs_ends_at_the_limit() {
    let outcome = process(&mut operator("floods-output"), &["a", "flood-records", "b"]).unwrap();
    assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
    assert_eq!(values(&outcome.outputs[0]), ["a", "b"]);
}

#[test]
fn what_there_is_no_room_for_is_not_taken_in() {
    let mut operator = operator("floods-output");
    let (mut outcome, mut given) = (Outcome::default(), records(&["fan 8 1024 x"; 8]));
    let mut process = |room, outcome: &mut Outcome| {
        let call = Call {
            records: &mut given,
            inputs: &[],
            time: &CallTime::default(),
            most_timers: 1000,
            cut_behind: 0..0,
            partition: 3,
            room,
        };
        operator.process(call, &mut None, outcome)
    };
    let CallError::NoRoom(how) = process(20 << 20, &mut outcome).unwrap_err() else {
        panic!("there was room for 64 MiB")
    };
    assert!(how.contains("of the 256MiB that a batch may take on its way"), "{how}");
    assert!(outcome.outputs[0].is_empty(), "what parts of the call came to is gone");
    process(80 << 20, &mut outcome).unwrap();
    assert_eq!(outcome.outputs[0].len(), 64);
    assert!((64 << 20..65 << 20).contains(&outcome.memory()), "{}", outcome.memory());
}

#[test]
fn every_lie_is_found_out_and_blamed_on_its_record() {
    for (lie, sentence) in [
        ("ends-fall", "value"),
        ("ends-beyond", "bytes of values, but they end at"),
        ("ends-huge", "value"),
        ("bytes-left-over", "bytes of values, but they end at"),
        ("key-ends-unequal", "outputs, but"),
        ("cause-beyond", "has an output caused by event"),
        ("cause-timer", "has an output caused by event 4294967295"),
        ("output-beyond", "emits to output 1, but the plugin declares 1"),
        ("unequal", "timestamps"),
        ("absent-beyond", "absent key at"),
        ("absent-falls", "has absent keys that do not ascend"),
        ("absent-not-empty", "has bytes for the absent value at"),
        ("header-beyond", "has a header of output"),
        ("header-falls", "has headers that are not in the order of the outputs"),
        ("header-unequal", "headers, but"),
        ("refused-beyond", "refuses event"),
        ("refused-twice", "twice"),
        ("change", "changes state, but the plugin declares no store"),
        ("change-key-beyond", "changes state"),
        ("change-unequal", "has 1 changes, but 0 kinds of changes"),
        ("timer", "sets timer 0, but the plugin declares 0"),
        ("metric-beyond", "measures metric 7, but the plugin declares 0"),
    ] {
        let mut operator = operator("lies");
        let outcome = process(&mut operator, &["a", "b", lie, "c"]).unwrap();
        assert_eq!(refusals(&outcome), [(2, Refusal::Fault)], "{lie}");
        let reason = &outcome.refused[0].reason;
        assert!(
            reason.starts_with("returned an outcome that ") && reason.contains(sentence),
            "{lie}: {reason}"
        );
        assert_eq!(values(&outcome.outputs[0]), ["a", "a", "b", "b", "c", "c"], "{lie}");
        assert!(operator.stats().bad_outcomes > 0);
    }
}

fn several_at_fault_are_all_found_in_order(world: World) {
    let mut operator = operator_in(world, "traps");
    let batch: Vec<String> = (0..200)
        .map(|at| {
            if at % 41 == 7 {
                format!("trap{at}")
            } else {
                format!("v{at}")
            }
        })
        .collect();
    let batch: Vec<&str> = batch.iter().map(String::as_str).collect();
    let outcome = process(&mut operator, &batch).unwrap();
    let blamed: Vec<u32> = outcome.refused.iter().map(|refused| refused.record).collect();
    assert_eq!(blamed, [7, 48, 89, 130, 171]);
    let good: Vec<&str> = batch
        .iter()
        .copied()
        .filter(|value| !value.starts_with("trap"))
        .collect();
    assert_eq!(values(&outcome.outputs[0]), good);
}

fn where_the_pipeline_stops_at_a_fault_nothing_behind_it_is_tried(world: World) {
    let mut operator = operator_in(world, "traps").stop_at_fault();
    let outcome = process(&mut operator, &["a", "trap", "trap", "trap", "trap", "trap", "b", "c"]).unwrap();
    assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
    assert_eq!(values(&outcome.outputs[0]), ["a"]);
}

fn an_operator_goes_on_after_a_fault_as_before(world: World) {
    let mut operator = operator_in(world, "traps");
    process(&mut operator, &["trap"]).unwrap();
    let recycled = operator.stats().recycled;
    assert_eq!(values(&process(&mut operator, &["a"]).unwrap().outputs[0]), ["a"]);
    assert_eq!(operator.stats().recycled, recycled + 1);
}

fn what_recycling_costs_is_counted_and_an_instance_that_stays_costs_nothing(world: World) {
    let mut operator = operator_in(world, "traps");
    process(&mut operator, &["a"]).unwrap();
    assert_eq!(operator.stats().recycle_nanos, 0);
    process(&mut operator, &["trap"]).unwrap();
    process(&mut operator, &["a"]).unwrap();
    let stats = operator.stats();
    assert!(stats.recycled > 0 && stats.recycle_nanos > 0, "{stats:?}");
    process(&mut operator, &["a"]).unwrap();
    assert_eq!(operator.stats().recycle_nanos, stats.recycle_nanos);
}

#[test]
fn a_flood_of_log_messages_is_cut_and_counted() {
    let mut operator = operator("big-log");
    let outcome = process(&mut operator, &["a", "shout", "long", "b"]).unwrap();
    assert_eq!(values(&outcome.outputs[0]), ["a", "shout", "long", "b"]);
    assert!(
        operator.stats().log_dropped > 50_000,
        "{}",
        operator.stats().log_dropped
    );
}

/// In world `processor` nobody knows which record of a batch it was, and halves are tried.
#[test]
fn a_plugin_that_is_called_a_record_at_a_time_is_at_fault_at_a_record_that_is_known() {
    let mut operator = operator_in(World::RecordProcessor, "traps");
    let mut batch = vec!["fine"; 1000];
    batch[700] = "trap";
    let outcome = process(&mut operator, &batch).unwrap();
    assert_eq!(refusals(&outcome), [(700, Refusal::Fault)]);
    assert_eq!(outcome.outputs[0].len(), 999);
    // In the batch, and alone in a new instance; then what stands behind it.
    let stats = operator.stats();
    assert_eq!((stats.traps, stats.calls, stats.recycled), (2, 3, 2));
}

fn an_instance_is_replaced_when_it_is_worn(world: World) {
    let replaced = |recycling: Recycling| {
        let limits = Limits { recycling, ..limits() };
        let mut operator = guest_in(world, "traps").operator("op", "", limits).unwrap();
        for _ in 0..4 {
            process(&mut operator, &["a", "b"]).unwrap();
        }
        operator.stats().recycled
    };
    let never = Limits::default().recycling;
    assert_eq!(replaced(never), 0);
    let records = Some(3);
    assert_eq!(
        replaced(Recycling { records, ..never }),
        1,
        "behind the second and the fourth call"
    );
    let age = Some(Duration::ZERO);
    assert_eq!(replaced(Recycling { age, ..never }), 3);
    let memory_bytes = 0;
    assert_eq!(replaced(Recycling { memory_bytes, ..never }), 0, "it did not grow");
}

/// The search for them takes neither memory nor stack for each.
#[test]
fn a_batch_full_of_records_at_fault_is_gone_through() {
    let mut operator = operator_in(World::RecordProcessor, "traps");
    let batch = ["trap", "fine"].repeat(150);
    let outcome = process(&mut operator, &batch).unwrap();
    let all: Vec<_> = (0..300).step_by(2).map(|at| (at, Refusal::Fault)).collect();
    assert_eq!(refusals(&outcome), all);
    assert_eq!(outcome.outputs[0].len(), 150);
}
