//! What a case expects: the files beside its input.

use super::given::{numbered, read_if_there, wrong_line};
use super::meaning::{RECORD_FIELDS, REFUSED_FIELDS, STATE_FIELDS};
use super::subject::Subject;
use crate::error::{Error, Kind, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Files of a case that expect nothing of an output.
const OWN_FILES: &[&str] = &["input.jsonl", "refused.jsonl", "state.jsonl"];

/// See the file's header.
#[derive(Debug, Default)]
pub(super) struct Expected {
    /// For each sink of the pipeline what has to come out there; `None`: it is not looked at.
    pub(super) outputs: Vec<Option<ExpectedLines>>,
    pub(super) refused: Option<ExpectedLines>,
    pub(super) state: Option<ExpectedLines>,
}

/// A file's lines.
#[derive(Debug, Default)]
pub(super) struct ExpectedLines {
    /// Its name.
    pub(super) file: String,
    pub(super) lines: Vec<ExpectedLine>,
}

/// A line of what is expected.
#[derive(Debug)]
pub(super) struct ExpectedLine {
    /// Its number, from 1.
    pub(super) number: usize,
    pub(super) says: Value,
    /// As it is written.
    pub(super) text: String,
}

impl Expected {
    /// Reads what a case's folder expects.
    ///
    /// # Errors
    /// `Invalid`: a line is wrong, or a file belongs to no output.
    pub(super) fn read(folder: &Path, subject: &Subject) -> Result<Self> {
        let sinks = &subject.pipeline().sinks;
        let mut expected = Self {
            refused: lines(folder, "refused.jsonl", REFUSED_FIELDS)?,
            state: lines(folder, "state.jsonl", STATE_FIELDS)?,
            ..Self::default()
        };
        let mut known: Vec<String> = OWN_FILES.iter().map(|name| (*name).to_owned()).collect();
        for (index, sink) in sinks.iter().enumerate() {
            let (file, own) = (subject.file_of(index), format!("{}.jsonl", sink.name));
            let found = match lines(folder, &file, RECORD_FIELDS)? {
                None if own != file && !OWN_FILES.contains(&&own[..]) => lines(folder, &own, RECORD_FIELDS)?,
                found => found,
            };
            expected.outputs.push(found);
            known.extend([file, own]);
        }
        match stray(folder, &known)? {
            None => Ok(expected),
            Some(name) => {
                let names: Vec<&str> = sinks.iter().map(|sink| sink.name.as_str()).collect();
                let what = format!("{} belongs to no output", folder.join(name).display());
                let why = format!("the outputs are {}", names.join(", "));
                Err(Error::new(Kind::Invalid, what, why))
            }
        }
    }

    /// Whether nothing is looked at.
    pub(super) fn is_empty(&self) -> bool {
        self.refused.is_none() && self.state.is_none() && self.outputs.iter().all(Option::is_none)
    }
}

fn lines(folder: &Path, file: &str, fields: &[&str]) -> Result<Option<ExpectedLines>> {
    let path = folder.join(file);
    let Some(text) = read_if_there(&path)? else {
        return Ok(None);
    };
    let read = |(number, line): (usize, String)| {
        let value: Value = serde_json::from_str(&line).map_err(|why| wrong_line(&path, number, &why.to_string()))?;
        let object = value
            .as_object()
            .ok_or_else(|| wrong_line(&path, number, "it is no JSON object"))?;
        match object.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(key) => {
                let why = format!("it has no field `{key}`; the fields are {}", fields.join(", "));
                Err(wrong_line(&path, number, &why))
            }
            None => Ok(ExpectedLine {
                number,
                says: value,
                text: line,
            }),
        }
    };
    Ok(Some(ExpectedLines {
        file: file.to_owned(),
        lines: numbered(&text).into_iter().map(read).collect::<Result<_>>()?,
    }))
}

/// A file of lines that is not known.
fn stray(folder: &Path, known: &[String]) -> Result<Option<String>> {
    let failed = |why| Error::new(Kind::Invalid, format!("failed to read {}", folder.display()), why);
    for entry in fs::read_dir(folder).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".jsonl") && !known.contains(&name) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}
