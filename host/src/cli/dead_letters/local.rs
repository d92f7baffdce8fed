//! `sandbar dead-letters replay --local`: what comes of each record here and now.

use std::fmt::Write;

use serde_json::{Value, json};

use super::shown::{below, tamed};
use crate::cases::{Rerun, RerunOutcome};
use crate::cli::output::Output;
use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::inspect::dead_letters::{FoundLetter, Through};
use crate::plugin::Engine;

/// Runs the records of letters through the operators that they died in, with plugins of this engine, and tells what
/// came of each.
pub(super) fn run(pipeline: Pipeline, engine: &Engine, letters: &[FoundLetter], out: &Output) -> Result<()> {
    let through: Vec<_> = letters.iter().map(|letter| letter.through(&pipeline)).collect();
    let mut rerun = Rerun::new(pipeline, engine)?;
    let (mut dead, mut not_run) = (0, 0);
    for (letter, through) in letters.iter().zip(through) {
        let came = match through {
            Ok(Through { operator, from }) => {
                rerun.run(&operator, from.as_deref(), letter.text.partition, &letter.content())?
            }
            Err(why) => Err(why),
        };
        match &came {
            Ok(came) => dead += usize::from(came.refused.is_some()),
            Err(_) => not_run += 1,
        }
        out.show(&as_json(letter, &came), || as_text(letter, &came))?;
    }
    if !out.is_json() {
        let fine = letters.len() - dead - not_run;
        out.line(&format!("{fine} processed, {dead} died again, {not_run} not run"))?;
    }
    match dead + not_run {
        0 => Ok(()),
        failed => {
            let what = format!(
                "{failed} of {} records of dead letters did not come through",
                letters.len()
            );
            Err(Error::new(Kind::CaseFailed, what, "what came of each stands above"))
        }
    }
}

fn as_text(letter: &FoundLetter, came: &Result<RerunOutcome, String>) -> String {
    let mut text = format!("{}  {} offset {}: ", letter.place, letter.source(), letter.text.offset);
    match came {
        Err(why) => text.push_str(&format!("not run: {why}")),
        Ok(came) => {
            match &came.refused {
                None => text.push_str("processed"),
                Some((how, reason)) => text.push_str(&format!("{how}: {}", below(reason))),
            }
            if !came.backtrace.is_empty() {
                let _cannot_fail = write!(text, "\n    {}", below(&came.backtrace));
            }
            for (output, line) in &came.outputs {
                let _cannot_fail = write!(text, "\n    {output}: {line}");
            }
        }
    }
    tamed(&text)
}

fn as_json(letter: &FoundLetter, came: &Result<RerunOutcome, String>) -> Value {
    let mut value = json!({ "partition": letter.place.partition, "offset": letter.place.offset });
    match came {
        Err(why) => value["not-run"] = json!(why),
        Ok(came) => {
            let outputs = came.outputs.iter().map(|(output, line)| {
                let record: Value = serde_json::from_str(line).unwrap_or_else(|_| json!(line));
                json!({ "output": output, "record": record })
            });
            value["outputs"] = outputs.collect();
            value["how"] = json!(came.refused.as_ref().map_or("processed", |(how, _)| how.as_str()));
            value["reason"] = json!(came.refused.as_ref().map(|(_, reason)| reason));
            value["backtrace"] = json!((!came.backtrace.is_empty()).then_some(&came.backtrace));
        }
    }
    value
}
