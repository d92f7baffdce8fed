//! Writes what came of a case as what is expected of it.

use super::outcome::{CameOut, CaseOutcome, ordered};
use super::subject::Subject;
use crate::error::{Error, Kind, Result};
use std::fs;
use std::path::Path;

/// Writes the files: `output.jsonl`, the others that are there or that have something to hold, and `state.jsonl` if it
/// is there. Their names.
pub(super) fn bless(folder: &Path, subject: &Subject, outcome: &CaseOutcome) -> Result<Vec<String>> {
    let mut written = Vec::new();
    let mut write = |name: &str, lines: Vec<String>, always: bool| {
        let path = folder.join(name);
        if !always && lines.is_empty() && !path.exists() {
            return Ok(());
        }
        let text: String = lines.into_iter().map(|line| line + "\n").collect();
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
        write("state.jsonl", outcome.state.iter().map(ordered).collect(), true)?;
    }
    Ok(written)
}

fn lines(came: &[CameOut]) -> Vec<String> {
    came.iter().map(|came| came.text.clone()).collect()
}
