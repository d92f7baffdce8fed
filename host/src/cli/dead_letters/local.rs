//! `sandbar dead-letters replay --local`: what comes of each record here and now.

use std::fmt::Write;

use serde_json::{Value, json};

use super::shown::{below, tamed};
use crate::cases::{Rerun, RerunOutcome};
use crate::cli::output::Output;
use crate::config::{Pipeline, Source, Subscription};
use crate::error::{Error, Kind, Result};
use crate::inspect::dead_letters::FoundLetter;
use crate::sink::dead_letter::DiedIn;

/// Runs the records of letters through the operators that they died in, and tells what came of each.
pub(super) fn run(pipeline: Pipeline, letters: &[FoundLetter], out: &Output) -> Result<()> {
    let places: Vec<Result<(String, Option<String>), String>> =
        letters.iter().map(|letter| operator_of(&pipeline, letter)).collect();
    let mut rerun = Rerun::new(pipeline)?;
    let (mut dead, mut not_run) = (0, 0);
    for (letter, place) in letters.iter().zip(places) {
        let came = match place {
            Ok((operator, from)) => rerun.run(&operator, from.as_deref(), &letter.content())?,
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

/// The operator that a letter's record is for, and the source that it comes from there, if that is known; or why it
/// cannot be run.
fn operator_of(pipeline: &Pipeline, letter: &FoundLetter) -> Result<(String, Option<String>), String> {
    let text = &letter.text;
    if text.timer.is_some() {
        return Err("it is of a timer, and there is no record".to_owned());
    }
    if text.is_cut {
        return Err("it has only a part of the record".to_owned());
    }
    let reads = |source: &&Source| match source {
        Source::Kafka(source) => match &source.subscription {
            Subscription::Topics(topics) => topics.contains(&text.topic),
            Subscription::Partitions(partitions) => partitions.contains_key(&text.topic),
            Subscription::Pattern(pattern) => pattern.is_match(&text.topic),
        },
        Source::File(source) => source.name == text.topic,
    };
    let from = pipeline
        .sources
        .iter()
        .find(reads)
        .map(|source| source.name().to_owned());
    match &text.died_in {
        DiedIn::Operator(name) => Ok((name.clone(), from)),
        DiedIn::Sink(_) => Err("it is an output that a topic refused: no plugin was at fault".to_owned()),
        DiedIn::Source(source) => {
            let takes = |name: &String| {
                let operator = pipeline.operators.iter().find(|operator| operator.name == *name);
                operator.is_some_and(|operator| operator.inputs.iter().any(|input| input.from == *source))
            };
            let names = pipeline.operators.iter().map(|operator| operator.name.clone());
            let first = names.into_iter().find(takes);
            first
                .map(|name| (name, Some(source.clone())))
                .ok_or_else(|| format!("no operator reads source `{source}` any more"))
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
