//! What the runs of a case found, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::cases::{CaseVerdict, Difference, RunVerdict};
use crate::cli::output::error_json;

/// A line for a case that passed; for one that did not, what its runs found.
pub(super) fn case_text(verdict: &CaseVerdict) -> String {
    let mut text = match verdict.is_ok() {
        true => format!("ok    {}", verdict.name),
        false => format!("FAIL  {}", verdict.name),
    };
    if verdict.runs.len() > 1 {
        let run = verdict.runs.iter().filter(|run| run.left_out.is_none()).count();
        let _cannot_fail = write!(text, "  ({run} runs)");
    }
    if !verdict.blessed.is_empty() {
        let _cannot_fail = write!(text, "  wrote {}", verdict.blessed.join(", "));
    }
    if verdict.blessed_faults > 0 {
        let faults = verdict.blessed_faults;
        let _cannot_fail = write!(
            text,
            "; refused.jsonl expects {faults} fault(s) of the plugin now: read it"
        );
    }
    if verdict.expects_nothing {
        text.push_str("  it expects nothing: --bless writes what comes as what is expected");
    }
    text.push('\n');
    for run in &verdict.runs {
        if let Some(why) = &run.left_out {
            let _cannot_fail = writeln!(text, "  left out: {}: {why}", run.name);
        }
        if !run.is_ok() {
            if verdict.runs.len() > 1 {
                let _cannot_fail = writeln!(text, "  in {}:", run.name);
            }
            text.push_str(&found(run));
        }
    }
    text
}

/// What a run found, a paragraph each.
pub(super) fn found(run: &RunVerdict) -> String {
    let mut text = String::new();
    if let Some(error) = &run.error {
        for line in error.to_string().lines() {
            let _cannot_fail = writeln!(text, "  {line}");
        }
    }
    for difference in &run.differences {
        let Difference { place, what, .. } = difference;
        let after = difference
            .after
            .map_or_else(String::new, |line| format!(", after input.jsonl:{line}"));
        let _cannot_fail = writeln!(text, "  {place} {what}{after}");
        let said = [("expected", &difference.expected), ("got", &difference.got)];
        for (title, line) in said {
            let _cannot_fail = writeln!(text, "    {title:<9}{}", line.as_deref().unwrap_or("nothing"));
        }
    }
    text
}

pub(super) fn case_json(verdict: &CaseVerdict) -> Value {
    json!({
        "name": verdict.name,
        "ok": verdict.is_ok(),
        "blessed": verdict.blessed,
        "blessed-faults": verdict.blessed_faults,
        "expects-nothing": verdict.expects_nothing,
        "runs": verdict.runs.iter().map(run_json).collect::<Vec<_>>(),
    })
}

fn run_json(run: &RunVerdict) -> Value {
    let differences = run.differences.iter().map(|difference| {
        json!({
            "place": difference.place,
            "what": difference.what,
            "expected": difference.expected,
            "got": difference.got,
            "input-line": difference.after,
        })
    });
    json!({
        "name": run.name,
        "ok": run.is_ok(),
        "left-out": run.left_out,
        "seconds": run.took.as_secs_f64(),
        "differences": differences.collect::<Vec<_>>(),
        "error": run.error.as_ref().map(|error| error_json(error)["error"].clone()),
    })
}
