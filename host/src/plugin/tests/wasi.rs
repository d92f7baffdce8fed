//! The virtual WASI against a guest that asks for all of it.

use super::*;

fn asks() -> Operator {
    guest("wasi").operator("op", "", limits()).unwrap()
}

/// What came of asking, in one batch.
fn answers(operator: &mut Operator, asked: &[&str]) -> Vec<String> {
    let outcome = process(operator, asked).unwrap();
    assert_eq!(refusals(&outcome), []);
    values(&outcome.outputs[0]).into_iter().map(str::to_owned).collect()
}

#[test]
fn what_is_not_granted_is_an_answer_and_no_trap() {
    let asked = [
        "environment",
        "files",
        "socket",
        "name",
        "input",
        "print hello",
        "sleep",
    ];
    let expected = [
        "[]",
        "0 folders",
        "access denied",
        "access denied",
        "Err(\"closed\")",
        "true",
        "3600 s",
    ];
    assert_eq!(answers(&mut asks(), &asked), expected);
}

#[test]
fn the_clock_shows_the_time_of_the_record() {
    let expected = ["1700000000.000", "1700000000.001", "1700000000.002"];
    assert_eq!(answers(&mut asks(), &["clock"; 3]), expected);
}

#[test]
fn randomness_belongs_to_the_record_however_batches_are_cut() {
    let whole = answers(&mut asks(), &["random"; 4]);
    assert_eq!(answers(&mut asks(), &["random"; 4]), whole, "a replay");
    let mut one = asks().take_new_instances();
    let mut records = records(&["random"; 4]);
    let behind = records.split_off(2);
    let cut = [records, behind].map(|mut part| {
        let outcome = process_records(&mut one, &mut part).unwrap();
        values(&outcome.outputs[0])
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>()
    });
    assert_eq!(cut.concat(), whole);
    let distinct: std::collections::HashSet<_> = whole.iter().collect();
    assert_eq!(distinct.len(), 4, "each record has its own");
}

#[test]
fn a_guest_that_ends_itself_is_a_fault_with_its_last_words() {
    let outcome = process(&mut asks(), &["files", "exit", "files"]).unwrap();
    assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
    assert!(
        outcome.refused[0].reason.contains("about to end"),
        "{}",
        outcome.refused[0].reason
    );
    assert_eq!(values(&outcome.outputs[0]), ["0 folders", "0 folders"]);
}
