//! Writes what came of a case as what is expected of it.

use super::outcome::{CameOut, CaseOutcome};
use super::subject::Subject;
use crate::error::{Error, Kind, Result};
use serde_json::{Map, Value};
use std::fs;
use std::path::Path;

/// Fields in the order in which a person reads them; others stand behind these.
const ORDER: &[&str] = &[
    "record",
    "how",
    "reason",
    "store",
    "timer",
    "clock",
    "at",
    "key",
    "key-base64",
    "user-key",
    "value",
    "value-base64",
    "timestamp",
    "headers",
];

/// Writes the files: `output.jsonl`, the others that are there or that have something to hold, and `state.jsonl` if it
/// is there. Their names.
pub(super) fn bless(folder: &Path, subject: &Subject, outcome: &CaseOutcome) -> Result<Vec<String>> {
    let mut written = Vec::new();
    let mut write = |name: &str, lines: Vec<&Value>, always: bool| {
        let path = folder.join(name);
        if !always && lines.is_empty() && !path.exists() {
            return Ok(());
        }
        let text: String = lines.into_iter().map(|line| ordered(line) + "\n").collect();
        written.push(name.to_owned());
        fs::write(&path, text)
            .map_err(|why| Error::new(Kind::Failed, format!("failed to write {}", path.display()), why))
    };
    for (index, outputs) in outcome.outputs.iter().enumerate() {
        let name = subject.file_of(index);
        write(&name, lines(outputs), name == "output.jsonl")?;
    }
    write("refused.jsonl", lines(&outcome.refused), false)?;
    if folder.join("state.jsonl").exists() {
        write("state.jsonl", outcome.state.iter().collect(), true)?;
    }
    Ok(written)
}

fn lines(came: &[CameOut]) -> Vec<&Value> {
    came.iter().map(|came| &came.line).collect()
}

/// A line with its fields in order; values of records as they are.
fn ordered(line: &Value) -> String {
    let none = Map::new();
    let object = line.as_object().unwrap_or(&none);
    let known = ORDER.iter().filter_map(|name| object.get_key_value(*name));
    let others = object.iter().filter(|(name, _)| !ORDER.contains(&name.as_str()));
    let fields = known
        .chain(others)
        .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}
