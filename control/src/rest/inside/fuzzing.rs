//! The doors for the fuzzers: what is asked about the inside of a pipeline, and what its process answers.

use serde_json::json;

use super::checkpoints::NewSavepoint;
use super::dead_letters::{LetterAt, LettersAsked, Replaying, replay_question};
use super::exposition::Exposition;
use super::positions::{ProducedRecord, completion};
use super::seek::{Seeking, moves};
use super::state::{StateAsked, question};
use super::stopping::Stopping;
use crate::model::PartitionPosition;
use crate::rest::fuzzing::{body, query};

/// Reads what somebody sent, as this.
pub(in crate::rest) fn sent(which: u8, bytes: &[u8]) {
    match which {
        22 => drop(body::<Stopping>(bytes)),
        23 => drop(body::<NewSavepoint>(bytes)),
        24 => drop(body::<Seeking>(bytes).map(|seeking| moves(&positions(), &seeking.to))),
        25 => drop(body::<ProducedRecord>(bytes).map(|record| completion(&record, &positions()))),
        26 => drop(body::<Replaying>(bytes).map(|replaying| replay_question(&replaying))),
        27 => drop(query::<StateAsked>(bytes).map(question)),
        28 => drop(query::<LettersAsked>(bytes)),
        29 => letter(&String::from_utf8_lossy(bytes)),
        30 => drop(crate::fuzzing::read::<PartitionPosition>(bytes)),
        _ => exposition(&String::from_utf8_lossy(bytes)),
    }
}

fn positions() -> Vec<PartitionPosition> {
    let position = json!({ "source": "s", "topic": "t", "partition": 0, "committed": 5, "origin": null, "begin": 3,
        "end": 9, "lag": null, "watermark": null, "idle": null });
    vec![serde_json::from_value(position).expect("a position")]
}

/// As the program gets it: it is no option, whatever the path of the request was.
fn letter(text: &str) {
    if let Ok(at) = text.parse::<LetterAt>() {
        let word = at.to_string();
        assert!(
            word.bytes().all(|byte| byte.is_ascii_digit() || byte == b'/'),
            "{word:?}"
        );
    }
}

/// Each sample is that of its owner, whatever the process said.
fn exposition(text: &str) {
    let mut exposition = Exposition::default();
    exposition.add(text, &[("tenant", "team")]);
    let bytes = exposition.bytes();
    let shown = exposition.into_text();
    assert!(
        shown.len() <= 4 * bytes + 64,
        "{bytes} bytes were to be {}",
        shown.len()
    );
    for line in shown.lines().filter(|line| !line.starts_with('#')) {
        assert_eq!(line.matches("tenant=\"team\"").count(), 1, "{line:?}");
    }
}
