//! `sandbar test`: the cases of a plugin or a pipeline.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::case_report::{case_json, case_text};
use super::junit;
use super::topic_case::{TopicRecords, write};
use crate::cases::{self, CaseVerdict, Subject, TestOptions};
use crate::cli::cluster::ClusterArgs;
use crate::cli::consume::place;
use crate::cli::output::Output;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::kafka::topic_reader::ReadFrom;

const HELP: &str = r#"The cases are the folders cases/NAME of DIR. What is tested is the component --plugin, else
DIR/pipeline.toml, else the only *.wasm of DIR, or target/plugins/NAME.wasm of DIR or of a folder above, where NAME is
DIR's. A pipeline of one operator is its plugin with the configuration, limits and rules of time that the file has; one
of several is tested as a whole: its inputs are its sources, its outputs its sinks. No topic is read or written.

A case:
  config.json    the plugin's configuration; absent: that of the pipeline file, or none
  input.jsonl    a line each, in the order in which they come:
                 {"key":"a","value":{"n":1},"timestamp":1000}, also "headers", "key-base64", "value-base64",
                 "partition" (0, if not given) and "input" (may be left out if there is one);
                 {"watermark":60000}      event time moves there, in every task
                 {"clock":1700000000000}  the host's clock is set, and its timers fire
                 {"restore":true}         a checkpoint, and a restart that begins at it
                 {"end":true}             the end of time: all windows close. The end of the file is not
  output.jsonl   what the output `out` has to be, in order; or the first, if none is called so
  NAME.jsonl     the same for each other output
  refused.jsonl  what is refused: {"record":3,"how":"dead-letter","reason":"…"}, where the record is its number in the
                 input from 0; how: dead-letter, fault (a trap, a broken limit), bad-time, fail (the run stops there)
  state.jsonl    what is kept in the end, in any order: {"store":"total","key":"a","value":3}, with "user-key" or
                 "items" as `sandbar state scan -o json` prints it; timers, if one is listed:
                 {"timer":"close","clock":"event-time","at":9999,"key":"a"}
A file that is absent is not looked at, and neither is a field that a line leaves out. Text that is JSON equals JSON. A
record on which the plugin fails fails the case, unless refused.jsonl expects it.

Event time moves as in `run`, by the records with max-out-of-orderness (5s, or what the source says), unless the case
has a {"watermark":…}: then only these lines move it. The clock stands at 0 until a {"clock":…} sets it; a record
without a timestamp has its time.

--matrix compares each case, run record by record, with itself in one batch of everything, in calls of one record, with
a checkpoint and restore after every line, with the instance killed before every call, with its keys moved from 1 to 3
to 2 tasks, and cut by chance. Where they part, the plugin keeps what is no state, or depends on how records are cut.

Exit code 7 if a case fails. -o human, json, or junit.

Examples:
  sandbar test plugins/count
  sandbar test plugins/count --matrix
  sandbar test plugins/count --case late --bless
  sandbar test plugins/count --from-topic views --case morning --max 50"#;

/// Arguments of `sandbar test`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub struct TestArgs {
    /// The folder that holds cases/, beside a plugin or a pipeline.toml
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// The component to test
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Only this case; may be given again
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Also run each case in every other way, and compare
    #[arg(long)]
    matrix: bool,
    /// What the chance of the matrix begins with; random, if not given
    #[arg(long, value_name = "N", requires = "matrix")]
    seed: Option<u64>,
    /// Write what comes as what is expected
    #[arg(long)]
    bless: bool,
    /// Make a case of records that are in this topic, named by --case or after the topic
    #[arg(long, value_name = "TOPIC")]
    from_topic: Option<String>,
    /// The input that its records come in at
    #[arg(long, value_name = "NAME", requires = "from_topic")]
    input: Option<String>,
    /// Where to begin in the topic: earliest, latest, an offset, or a time such as 2026-11-22T00:00:00Z
    #[arg(long, value_name = "WHERE", default_value = "earliest", value_parser = place, requires = "from_topic")]
    from: ReadFrom,
    /// Take so many of its records
    #[arg(long, value_name = "N", default_value_t = 100, requires = "from_topic")]
    max: u64,
    /// Take those of this partition only; may be given again
    #[arg(
        long = "partition",
        value_name = "N",
        value_parser = clap::value_parser!(i32).range(0..),
        requires = "from_topic"
    )]
    partitions: Vec<i32>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl TestArgs {
    pub(in crate::cli) fn run(mut self, out: &Output) -> Result<()> {
        let is_made = self.from_topic.is_some();
        let only = match self.from_topic.take() {
            Some(topic) => vec![self.make_case(topic)?],
            None => std::mem::take(&mut self.cases),
        };
        // A case that cannot be had is told before a plugin is compiled for it.
        let folders = cases::list(&self.dir, &only)?;
        let subject = Subject::find(&self.dir, self.plugin.as_deref())?;
        let seed = self.seed.unwrap_or_else(|| clock::random() >> 32);
        let options = TestOptions {
            matrix: self.matrix.then_some(seed),
            bless: self.bless || is_made,
        };
        let mut verdicts = Vec::new();
        for folder in folders {
            let verdict = cases::test(&subject, &folder, options);
            if !out.is_json() && !out.is_junit() {
                out.line(case_text(&verdict).trim_end())?;
            }
            verdicts.push(verdict);
        }
        self.tell(&subject, &verdicts, options, out)?;
        judged(&verdicts)
    }

    fn tell(&self, subject: &Subject, verdicts: &[CaseVerdict], options: TestOptions, out: &Output) -> Result<()> {
        if out.is_junit() {
            return out.line(&junit::report(subject.name(), verdicts));
        }
        let passed = verdicts.iter().filter(|verdict| verdict.is_ok()).count();
        let failed = verdicts.len() - passed;
        let value = json!({
            "subject": subject.name(),
            "folder": self.dir.display().to_string(),
            "seed": options.matrix,
            "passed": passed,
            "failed": failed,
            "cases": verdicts.iter().map(case_json).collect::<Vec<_>>(),
        });
        out.show(&value, || {
            let seed = options.matrix.map_or_else(String::new, |seed| format!(", seed {seed}"));
            format!("{}: {passed} passed, {failed} failed{seed}", subject.name())
        })
    }

    /// Writes the case of a topic's records. Its name.
    fn make_case(&mut self, topic: String) -> Result<String> {
        let name = match &self.cases[..] {
            [] => topic.clone(),
            [name] => name.clone(),
            _ => {
                let what = "`--case` is given more than once";
                return Err(Error::new(
                    Kind::Usage,
                    what,
                    "with `--from-topic` it names the one case that is made",
                ));
            }
        };
        let records = TopicRecords {
            topic,
            from: self.from,
            max: self.max,
            partitions: std::mem::take(&mut self.partitions),
            input: self.input.take(),
        };
        write(
            &self.dir.join("cases").join(&name),
            records,
            &self.cluster.clone().checked()?,
        )?;
        Ok(name)
    }
}

fn judged(verdicts: &[CaseVerdict]) -> Result<()> {
    let failed: Vec<&str> = verdicts
        .iter()
        .filter(|of| !of.is_ok())
        .map(|of| of.name.as_str())
        .collect();
    match failed.len() {
        0 => Ok(()),
        count => {
            let what = format!("{count} of {} cases failed", verdicts.len());
            Err(Error::new(Kind::CaseFailed, what, failed.join(", ")))
        }
    }
}
