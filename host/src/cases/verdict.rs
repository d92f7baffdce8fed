//! A case's folder, run and judged.

use super::bless::bless;
use super::expected::{Expected, ExpectedLines};
use super::given::GivenCase;
use super::matrix;
use super::meaning::{fields_differ, record_differs};
use super::outcome::{CameOut, CaseOutcome, Difference, ordered};
use super::run::run;
use super::subject::Subject;
use super::variant::RunVariant;
use crate::clock;
use crate::error::{Error, Kind, Result};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How cases are tested.
#[derive(Debug, Clone, Copy, Default)]
pub struct TestOptions {
    /// Each case is repeated in every way, with chance that begins with this.
    pub matrix: Option<u64>,
    /// What comes is written as what is expected.
    pub bless: bool,
}

/// What became of a case.
#[derive(Debug)]
pub struct CaseVerdict {
    /// The folder's name.
    pub name: String,
    /// Its runs: record by record first.
    pub runs: Vec<RunVerdict>,
    /// Files that were written.
    pub blessed: Vec<String>,
    /// Records and timers that they say the plugin fails at.
    pub blessed_faults: usize,
    /// The case expects nothing.
    pub expects_nothing: bool,
}

/// What became of a run.
#[derive(Debug)]
pub struct RunVerdict {
    /// How the case was run.
    pub name: String,
    /// What is not as it should be.
    pub differences: Vec<Difference>,
    /// Why it could not be run.
    pub error: Option<Error>,
    /// Why it was not run, if there is a reason to leave it out.
    pub left_out: Option<String>,
    /// How long it took.
    pub took: Duration,
}

impl CaseVerdict {
    /// Whether all is as it should be.
    pub fn is_ok(&self) -> bool {
        self.runs.iter().all(RunVerdict::is_ok)
    }
}

impl RunVerdict {
    /// Whether all is as it should be.
    pub fn is_ok(&self) -> bool {
        self.error.is_none() && self.differences.is_empty()
    }

    fn of(variant: RunVariant, judge: impl FnOnce() -> Result<Vec<Difference>>) -> Self {
        let begun = clock::now();
        let (differences, error) = match judge() {
            Ok(differences) => (differences, None),
            Err(error) => (Vec::new(), Some(error)),
        };
        Self {
            name: variant.to_string(),
            differences,
            error,
            left_out: None,
            took: clock::now().duration_since(begun),
        }
    }
}

/// The folders of the cases in `folder`, in order of their names; those of `only`, if it names any.
///
/// # Errors
/// `Usage`: there are none, or not one of a name.
pub fn list(folder: &Path, only: &[String]) -> Result<Vec<PathBuf>> {
    let cases = folder.join("cases");
    let nothing = |why: String| {
        Error::new(Kind::Usage, format!("found no cases in {}", cases.display()), why)
            .hint("a case is a folder cases/NAME with an input.jsonl: see `sandbar test --help`")
    };
    let entries = fs::read_dir(&cases).map_err(|why| nothing(why.to_string()))?;
    let is_case = |path: &PathBuf| path.join("input.jsonl").is_file() || path.join("output.jsonl").is_file();
    let mut found: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(is_case).collect();
    found.sort();
    let name_of = |path: &PathBuf| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let known: Vec<String> = found.iter().map(name_of).collect();
    if let Some(unknown) = only.iter().find(|name| !known.contains(name)) {
        return Err(nothing(format!(
            "there is no case `{unknown}`; the cases are {}",
            known.join(", ")
        )));
    }
    found.retain(|path| only.is_empty() || only.contains(&name_of(path)));
    match found.is_empty() {
        true => Err(nothing("no folder there has an input.jsonl".to_owned())),
        false => Ok(found),
    }
}

/// Runs the case in a folder, and judges what came.
pub fn test(subject: &Subject, folder: &Path, options: TestOptions) -> CaseVerdict {
    let mut verdict = CaseVerdict {
        name: folder.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        runs: Vec::new(),
        blessed: Vec::new(),
        blessed_faults: 0,
        expects_nothing: false,
    };
    let mut whole = None;
    let first = RunVerdict::of(RunVariant::OneByOne, || {
        let case = GivenCase::read(folder, subject)?;
        let expected = if options.bless {
            Expected::default()
        } else {
            Expected::read(folder, subject)?
        };
        let outcome = run(subject, &case, RunVariant::OneByOne, None)?;
        verdict.expects_nothing = !options.bless && expected.is_empty();
        let differences = match options.bless {
            true => {
                verdict.blessed = bless(folder, subject, &outcome)?;
                verdict.blessed_faults = outcome
                    .refused
                    .iter()
                    .filter(|came| came.line["how"] == "fault")
                    .count();
                Vec::new()
            }
            false => judge(&expected, &outcome),
        };
        whole = Some((case, outcome));
        Ok(differences)
    });
    verdict.runs.push(first);
    if let (Some(seed), Some((case, whole))) = (options.matrix, &whole) {
        let variants = matrix::variants(seed).into_iter();
        verdict
            .runs
            .extend(variants.map(|variant| repeat(subject, case, variant, whole)));
    }
    verdict
}

fn repeat(subject: &Subject, case: &GivenCase, variant: RunVariant, whole: &CaseOutcome) -> RunVerdict {
    let left_out = matrix::left_out(variant, subject, case);
    let is_left_out = left_out.is_some();
    let verdict = RunVerdict::of(variant, || match is_left_out {
        true => Ok(Vec::new()),
        false => {
            let other = run(subject, case, variant, Some(whole))?;
            Ok(matrix::compare(subject, variant, whole, &other))
        }
    });
    RunVerdict { left_out, ..verdict }
}

/// Where what came is not what is expected: the first place of each file.
fn judge(expected: &Expected, outcome: &CaseOutcome) -> Vec<Difference> {
    let mut found = Vec::new();
    for (expected, came) in expected.outputs.iter().zip(&outcome.outputs) {
        if let Some(expected) = expected {
            found.extend(lines_differ(expected, came, record_differs));
        }
    }
    match &expected.refused {
        Some(expected) => found.extend(lines_differ(expected, &outcome.refused, fields_differ)),
        None => found.extend(outcome.refused.iter().find(|came| is_fault(came)).map(unexpected_fault)),
    }
    if let Some(expected) = &expected.state {
        found.extend(state_differs(expected, &outcome.state));
    }
    found
}

/// Whether the plugin failed on a record, and did not refuse it.
fn is_fault(came: &CameOut) -> bool {
    came.line["how"] == "fault" || came.line["how"] == "fail"
}

fn unexpected_fault(came: &CameOut) -> Difference {
    Difference {
        place: format!("input.jsonl:{}", came.after),
        what: "is a record on which the plugin fails, and no refused.jsonl expects it".to_owned(),
        expected: None,
        got: Some(came.shown()),
        after: None,
    }
}

fn lines_differ(
    expected: &ExpectedLines,
    came: &[CameOut],
    differs: impl Fn(&Value, &Value) -> Option<String>,
) -> Option<Difference> {
    let file = &expected.file;
    for (at, line) in expected.lines.iter().enumerate() {
        let place = format!("{file}:{}", line.number);
        let Some(got) = came.get(at) else {
            return Some(Difference {
                place,
                what: "did not come".to_owned(),
                expected: Some(line.text.clone()),
                got: None,
                after: None,
            });
        };
        if let Some(field) = differs(&line.says, &got.line) {
            return Some(Difference {
                place,
                what: format!("differs at {field}"),
                expected: Some(line.text.clone()),
                got: Some(got.shown()),
                after: Some(got.after),
            });
        }
    }
    let more = came.get(expected.lines.len())?;
    Some(Difference {
        place: file.clone(),
        what: format!("ends after {} lines, and {} came", expected.lines.len(), came.len()),
        expected: None,
        got: Some(more.shown()),
        after: Some(more.after),
    })
}

/// The state is in no order. Timers are looked at if one is expected.
fn state_differs(expected: &ExpectedLines, state: &[Value]) -> Option<Difference> {
    let is_timer = |line: &Value| line.get("timer").is_some();
    let looks_at_timers = expected.lines.iter().any(|line| is_timer(&line.says));
    let mut left: Vec<&Value> = state.iter().filter(|line| looks_at_timers || !is_timer(line)).collect();
    for line in &expected.lines {
        match left.iter().position(|kept| fields_differ(&line.says, kept).is_none()) {
            Some(at) => drop(left.remove(at)),
            None => {
                let same_key = |kept: &&&Value| kept.get("key") == line.says.get("key");
                return Some(Difference {
                    place: format!("{}:{}", expected.file, line.number),
                    what: "is not kept in the end".to_owned(),
                    expected: Some(line.text.clone()),
                    got: left.iter().find(same_key).map(|kept| ordered(kept)),
                    after: None,
                });
            }
        }
    }
    left.first().map(|kept| Difference {
        place: expected.file.clone(),
        what: format!("does not have all that is kept in the end: {} more", left.len()),
        expected: None,
        got: Some(ordered(kept)),
        after: None,
    })
}
