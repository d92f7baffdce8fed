//! Records of dead letters, each run alone through the operator that it died in, with no state: the plugin as the
//! pipeline file names it now.

use super::given::{CaseStep, GivenCase, StepKind};
use super::run::run;
use super::subject::Subject;
use super::variant::RunVariant;
use crate::config::Pipeline;
use crate::error::Result;
use crate::plugin::{Engine, Plugin};
use crate::record::Records;
use crate::runtime;
use std::collections::HashMap;

/// The operators of a pipeline, for single records.
#[derive(Debug)]
pub struct Rerun {
    pipeline: Pipeline,
    plugins: Vec<Plugin>,
    subjects: HashMap<String, Subject>,
}

/// What came of a record.
#[derive(Debug, Default)]
pub struct RerunOutcome {
    /// The outputs, each with the name of the plugin's output.
    pub outputs: Vec<(String, String)>,
    /// How it was refused, and why: as `sandbar-kind` has it, or `fail`.
    pub refused: Option<(String, String)>,
    /// Where the plugin was, if it was at fault.
    pub backtrace: String,
}

impl Rerun {
    /// Loads the plugins of a pipeline.
    ///
    /// # Errors
    /// `Plugin`: one is missing or refused. `Invalid`: they are wired wrongly.
    pub fn new(pipeline: Pipeline, engine: &Engine) -> Result<Self> {
        let (plugins, _routes) = runtime::load(engine, &pipeline)?;
        Ok(Self {
            pipeline,
            plugins,
            subjects: HashMap::new(),
        })
    }

    /// Runs a record of a partition through an operator: at the input that takes `from`, a source, or the only one;
    /// then comes the end of time. The inner error says why it cannot be run.
    ///
    /// # Errors
    /// `Invalid`: the plugin refuses its configuration. `Plugin`: it cannot be opened. `Failed`, `Corrupt`,
    /// `Unwritable`: the disk.
    pub fn run(
        &mut self,
        operator: &str,
        from: Option<&str>,
        partition: i32,
        record: &Records,
    ) -> Result<Result<RerunOutcome, String>> {
        let Some(at) = self.pipeline.operators.iter().position(|known| known.name == operator) else {
            return Ok(Err(format!("the pipeline has no operator `{operator}` any more")));
        };
        let inputs = &self.pipeline.operators[at].inputs;
        let input = match (&inputs[..], from) {
            ([_], _) => Some(0),
            (_, Some(source)) => inputs.iter().position(|input| input.from == source),
            (_, None) => None,
        };
        let Some(input) = input else {
            return Ok(Err(format!(
                "operator `{operator}` has several inputs, and the letter does not say which"
            )));
        };
        if !self.subjects.contains_key(operator) {
            let subject = Subject::of_operator(&self.pipeline, at, &self.plugins[at]);
            self.subjects.insert(operator.to_owned(), subject);
        }
        let subject = &self.subjects[operator];
        let case = alone(input, partition, record);
        let outcome = run(subject, &case, RunVariant::OneByOne, None)?;
        let sinks = subject.pipeline().sinks.iter().zip(outcome.outputs);
        let outputs = sinks.flat_map(|(sink, came)| came.into_iter().map(|came| (sink.name.clone(), came.text)));
        let mut told = RerunOutcome {
            outputs: outputs.collect(),
            ..RerunOutcome::default()
        };
        if let Some(came) = outcome.refused.into_iter().next() {
            let text = |name: &str| came.line[name].as_str().unwrap_or_default().to_owned();
            told.refused = Some((text("how"), text("reason")));
            told.backtrace = came.backtrace;
        } else if let Some((why, _)) = outcome.stopped {
            told.refused = Some(("fail".to_owned(), why));
        }
        Ok(Ok(told))
    }
}

/// A case of one record, which comes at its own time, and the end of time.
fn alone(input: usize, partition: i32, record: &Records) -> GivenCase {
    let clock = record.timestamps.first().copied().unwrap_or(0);
    let offset = record.offsets.first().copied().unwrap_or(0);
    let comes = StepKind::Record {
        source: input,
        partition,
        record: 0,
    };
    let steps = [StepKind::Clock(clock), comes, StepKind::End].into_iter();
    GivenCase {
        config: None,
        steps: (1..).zip(steps).map(|(line, does)| CaseStep { line, does }).collect(),
        records: record.clone(),
        places: HashMap::from([((input, partition, offset), 0)]),
    }
}
