//! What a case is given: its configuration, and the lines of `input.jsonl`.

use super::subject::Subject;
use crate::config::Source;
use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::record::Records;
use serde::Deserialize;
use std::collections::{BTreeSet, HashMap};
use std::path::Path;

/// A case, read.
#[derive(Debug)]
pub(crate) struct GivenCase {
    /// The text of `config.json`.
    pub(super) config: Option<String>,
    /// What its lines do, in their order.
    pub(crate) steps: Vec<CaseStep>,
    /// All of its records; a record's offset is its place in its partition.
    pub(crate) records: Records,
    /// The place among the records, by source, partition and offset.
    pub(super) places: HashMap<(usize, i32, i64), usize>,
}

/// A line of the input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CaseStep {
    /// The line's number, from 1.
    pub(super) line: usize,
    /// What it does.
    pub(crate) does: StepKind,
}

/// What a line does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StepKind {
    /// A record of a source's partition comes: its index among the case's.
    Record {
        source: usize,
        partition: i32,
        record: usize,
    },
    /// Event time moves.
    Watermark(i64),
    /// The host's clock is set, and its timers fire.
    Clock(i64),
    /// A checkpoint, and a restart from it.
    Restore,
    /// The end of time.
    End,
}

/// What a line says beside a record.
#[derive(Deserialize)]
struct LineMarks {
    #[serde(default)]
    input: Option<String>,
    #[serde(default)]
    partition: Option<i32>,
    #[serde(default)]
    watermark: Option<i64>,
    #[serde(default)]
    clock: Option<i64>,
    #[serde(default)]
    restore: Option<bool>,
    #[serde(default)]
    end: Option<bool>,
}

impl GivenCase {
    /// Reads a case's folder.
    ///
    /// # Errors
    /// `Invalid`: a file is missing or wrong, with its line.
    pub(super) fn read(folder: &Path, subject: &Subject) -> Result<Self> {
        let config = config(&folder.join("config.json"))?;
        if config.is_some() && subject.is_graph() {
            let what = format!("{} belongs to no plugin", folder.join("config.json").display());
            let why = "the pipeline has several operators, and configures them itself";
            return Err(Error::new(Kind::Invalid, what, why));
        }
        let input = Self::read_input(&folder.join("input.jsonl"), subject)?;
        Ok(Self { config, ..input })
    }

    /// Reads the lines of an input.
    ///
    /// # Errors
    /// As `read`.
    pub(crate) fn read_input(path: &Path, subject: &Subject) -> Result<Self> {
        let mut case = Self {
            config: None,
            steps: Vec::new(),
            records: Records::default(),
            places: HashMap::new(),
        };
        let (mut clock, mut next) = (0, HashMap::new());
        for (number, line) in lines(path)? {
            let does = case
                .read_line(&line, subject, &mut clock, &mut next)
                .map_err(|why| wrong_line(path, number, &why))?;
            case.steps.push(CaseStep { line: number, does });
        }
        Ok(case)
    }

    fn read_line(
        &mut self,
        line: &str,
        subject: &Subject,
        clock: &mut i64,
        next: &mut HashMap<(usize, i32), i64>,
    ) -> Result<StepKind, String> {
        let marks: LineMarks = serde_json::from_str(line).map_err(|why| why.to_string())?;
        let said = [
            marks.watermark.map(StepKind::Watermark),
            marks.clock.map(StepKind::Clock),
            marks.restore.map(|_| StepKind::Restore),
            marks.end.map(|_| StepKind::End),
        ];
        let said: Vec<StepKind> = said.into_iter().flatten().collect();
        if let [does, ..] = said[..] {
            return self.read_mark(line, does, clock);
        }
        let source = subject.source(marks.input.as_deref())?;
        let partition = marks.partition.unwrap_or(0);
        if partition < 0 {
            return Err(format!("`partition` is {partition}; the first is 0"));
        }
        let record = self.records.len();
        json_lines::read(line.as_bytes(), *clock, &mut self.records)?;
        let offset = next.entry((source, partition)).or_insert(0);
        if let Some(own) = self.records.offsets.last_mut() {
            *own = *offset;
        }
        self.places.insert((source, partition, *offset), record);
        *offset += 1;
        Ok(StepKind::Record {
            source,
            partition,
            record,
        })
    }

    fn read_mark(&self, line: &str, does: StepKind, clock: &mut i64) -> Result<StepKind, String> {
        let whole: serde_json::Map<_, _> = serde_json::from_str(line).map_err(|why| why.to_string())?;
        if whole.len() != 1 {
            return Err("a line is a record, or one of watermark, clock, restore and end alone".to_owned());
        }
        if whole.values().any(|value| value == &serde_json::Value::Bool(false)) {
            return Err("`restore` and `end` are true, or the line is not there".to_owned());
        }
        if let StepKind::Clock(ms) = does {
            *clock = ms;
        }
        Ok(does)
    }

    /// Whether the case itself says how event time moves.
    pub(super) fn says_time(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step.does, StepKind::Watermark(_)))
    }

    /// The source and the partition of each record, each pair once.
    pub(super) fn partitions(&self) -> BTreeSet<(usize, i32)> {
        let place = |step: &CaseStep| match step.does {
            StepKind::Record { source, partition, .. } => Some((source, partition)),
            _ => None,
        };
        self.steps.iter().filter_map(place).collect()
    }

    /// The place among the records of one that is known by its source's name, partition and offset.
    pub(super) fn place(&self, sources: &[Source], topic: &str, partition: i32, offset: i64) -> Option<usize> {
        let source = sources.iter().position(|source| source.name() == topic)?;
        self.places.get(&(source, partition, offset)).copied()
    }
}

fn config(path: &Path) -> Result<Option<String>> {
    let Some(text) = read_if_there(path)? else {
        return Ok(None);
    };
    match serde_json::from_str::<serde::de::IgnoredAny>(&text) {
        Ok(_) => Ok(Some(text)),
        Err(why) => Err(Error::new(
            Kind::Invalid,
            format!("{} is not JSON", path.display()),
            why,
        )),
    }
}

/// The text of a file; `None`: it is not there.
pub(super) fn read_if_there(path: &Path) -> Result<Option<String>> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(why) if why.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(why) => Err(Error::new(
            Kind::Invalid,
            format!("failed to read {}", path.display()),
            why,
        )),
    }
}

/// The lines of a file that are not blank, with their numbers from 1.
fn lines(path: &Path) -> Result<Vec<(usize, String)>> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| Error::new(Kind::Invalid, format!("failed to read {}", path.display()), why))?;
    Ok(numbered(&text))
}

/// The lines of a text that are not blank, with their numbers from 1.
pub(super) fn numbered(text: &str) -> Vec<(usize, String)> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(at, line)| (at + 1, line.to_owned())).collect()
}

/// What is told of a wrong line.
pub(super) fn wrong_line(path: &Path, number: usize, why: &str) -> Error {
    Error::new(Kind::Invalid, format!("{}:{number} is wrong", path.display()), why)
}
