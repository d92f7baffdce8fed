//! The ways of the matrix, and whether a run of one came out as the run record by record.

use super::given::GivenCase;
use super::outcome::{CameOut, CaseOutcome, Difference, ordered};
use super::subject::Subject;
use super::variant::RunVariant;
use crate::topology;
use serde_json::Value;
use std::collections::BTreeSet;

/// Runs that are cut by chance.
const CUTS: u64 = 5;

/// Every way beside the one record by record. `seed`: what chance begins with.
pub(super) fn variants(seed: u64) -> Vec<RunVariant> {
    let mut all = vec![
        RunVariant::AllAtOnce,
        RunVariant::CallsOfOne,
        RunVariant::Restored,
        RunVariant::Killed,
        RunVariant::Moved,
    ];
    all.extend((0..CUTS).map(|at| RunVariant::Cut {
        seed: seed.wrapping_add(at),
    }));
    all
}

/// Why a case is not run in a way; `None`: it is.
pub(super) fn left_out(variant: RunVariant, subject: &Subject, case: &GivenCase) -> Option<String> {
    let numbers: BTreeSet<i32> = case.partitions().into_iter().map(|(_, number)| number).collect();
    let groups = topology::subtopologies(subject.pipeline()).len();
    match variant {
        RunVariant::Moved if numbers.len() > 1 => Some("its records are in several partitions already".to_owned()),
        RunVariant::Moved if groups > 1 => Some("its sources do not meet, and so have tasks of their own".to_owned()),
        _ => None,
    }
}

/// Where a run parts from the one that it is compared with.
pub(super) fn compare(
    subject: &Subject,
    variant: RunVariant,
    whole: &CaseOutcome,
    other: &CaseOutcome,
) -> Vec<Difference> {
    let mut found = Vec::new();
    if whole.stopped.is_some() != other.stopped.is_some() {
        let told = |of: &CaseOutcome| match &of.stopped {
            Some((why, line)) => format!("it stopped at input.jsonl:{line}: {why}"),
            None => "it went on to the end".to_owned(),
        };
        found.push(Difference {
            place: "the run".to_owned(),
            what: "ends in another way".to_owned(),
            expected: Some(told(whole)),
            got: Some(told(other)),
            after: None,
        });
        return found;
    }
    let sinks = &subject.pipeline().sinks;
    for (index, (whole_lines, other_lines)) in whole.outputs.iter().zip(&other.outputs).enumerate() {
        let (mut one, mut two) = (by_reference(whole_lines), by_reference(other_lines));
        if variant == RunVariant::Moved {
            one.sort_by_cached_key(|came| (came.after, came.line["key"].to_string(), came.text.clone()));
            two.sort_by_cached_key(|came| (came.after, came.line["key"].to_string(), came.text.clone()));
        } else if sinks[index].from.len() > 1 {
            // What comes of one record by several ways follows each other; of a batch, one way follows the other.
            one.sort_by_cached_key(|came| came.text.clone());
            two.sort_by_cached_key(|came| came.text.clone());
        }
        if whole.stopped.is_some() {
            // What stands in the batch that stopped the run is put out as a whole or not at all.
            one.truncate(two.len());
        }
        found.extend(first_difference(&subject.file_of(index), &one, &two));
    }
    if whole.stopped.is_none() {
        let (mut one, mut two) = (by_reference(&whole.refused), by_reference(&other.refused));
        one.sort_by_cached_key(|came| (came.line["record"].as_u64(), came.text.clone()));
        two.sort_by_cached_key(|came| (came.line["record"].as_u64(), came.text.clone()));
        found.extend(first_difference("refused.jsonl", &one, &two));
        found.extend(state_differs(&whole.state, &other.state));
    }
    found
}

fn by_reference(lines: &[CameOut]) -> Vec<&CameOut> {
    lines.iter().collect()
}

fn first_difference(file: &str, whole: &[&CameOut], other: &[&CameOut]) -> Option<Difference> {
    let line = |of: &[&CameOut], at: usize| of.get(at).map(|came| came.text.clone());
    let at = (0..whole.len().max(other.len())).find(|at| line(whole, *at) != line(other, *at))?;
    let after = whole.get(at).or(other.get(at)).map(|came| came.after);
    Some(Difference {
        place: format!("{file}, line {}", at + 1),
        what: match (whole.get(at), other.get(at)) {
            (Some(_), None) => "is missing".to_owned(),
            (None, Some(_)) => "is too much".to_owned(),
            _ => "is another".to_owned(),
        },
        expected: line(whole, at),
        got: line(other, at),
        after,
    })
}

fn state_differs(whole: &[Value], other: &[Value]) -> Option<Difference> {
    let lost = whole.iter().find(|line| !other.contains(line));
    let new = other.iter().find(|line| !whole.contains(line));
    let is_same = lost.is_none() && new.is_none() && whole.len() == other.len();
    (!is_same).then(|| Difference {
        place: "the state in the end".to_owned(),
        what: format!("has {} entries, and had {}", other.len(), whole.len()),
        expected: lost.map(ordered),
        got: new.map(ordered),
        after: None,
    })
}
