//! `sandbar check`: everything that can be known before a pipeline runs.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::granted;
use super::output::Output;
use crate::config::{Pipeline, Sink, Source, Target};
use crate::error::Result;
use crate::kafka::admin;
use crate::kafka::group_offsets;
use crate::plugin::{Engine, Plugin};
use crate::runtime;

/// Arguments of `sandbar check`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sandbar check pipeline.toml --connect")]
pub struct Check {
    /// The pipeline file
    pipeline: PathBuf,
    /// Override a key of the file, such as source.views.start=earliest; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Also ask Kafka: whether it is reachable, and has the topics and partitions
    #[arg(long)]
    connect: bool,
}

/// Something that was found to be in order.
struct CheckedPart {
    what: &'static str,
    name: String,
    details: String,
}

impl Check {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let pipeline = granted::load(&self.pipeline, &self.sets)?;
        let mut found = vec![file(&pipeline)];
        let engine = Engine::of(&pipeline)?;
        let (loaded, routes) = runtime::load(&engine, &pipeline)?;
        found.extend(plugins(&pipeline, &loaded)?);
        if self.connect {
            found.extend(sources(&pipeline)?);
            runtime::check_topics(&pipeline, &loaded, &routes)?;
            found.extend(sinks(&pipeline)?);
        }
        report(&pipeline.name, &found, out)
    }
}

fn file(pipeline: &Pipeline) -> CheckedPart {
    let (sources, operators, sinks) = (pipeline.sources.len(), pipeline.operators.len(), pipeline.sinks.len());
    CheckedPart {
        what: "pipeline",
        name: pipeline.name.clone(),
        details: format!(
            "sources {sources}, operators {operators}, sinks {sinks}, workers {}",
            pipeline.workers
        ),
    }
}

/// Opens each operator's plugin with its configuration.
fn plugins(pipeline: &Pipeline, plugins: &[Plugin]) -> Result<Vec<CheckedPart>> {
    let operators = pipeline.operators.iter().zip(plugins);
    let found = operators.map(|(operator, plugin)| {
        plugin.operator_of(operator)?;
        let described = plugin.description();
        let details = format!(
            "plugin {} {} from {}",
            described.name,
            described.version,
            operator.plugin.display()
        );
        Ok(CheckedPart {
            what: "operator",
            name: operator.name.clone(),
            details,
        })
    });
    found.collect()
}

fn sources(pipeline: &Pipeline) -> Result<Vec<CheckedPart>> {
    let mut found = Vec::new();
    for source in &pipeline.sources {
        let Source::Kafka(source) = source else { continue };
        let positions = group_offsets::read(std::slice::from_ref(source))?;
        let records: i64 = positions.iter().map(|position| position.end - position.begin).sum();
        found.push(CheckedPart {
            what: "source",
            name: source.name.clone(),
            details: format!(
                "{} partitions, {records} offsets in their logs, group {}",
                positions.len(),
                source.group
            ),
        });
    }
    Ok(found)
}

fn sinks(pipeline: &Pipeline) -> Result<Vec<CheckedPart>> {
    let each = pipeline.sinks.iter().chain(&pipeline.dead_letters);
    each.filter_map(|sink| sink_topic(sink).transpose()).collect()
}

fn sink_topic(sink: &Sink) -> Result<Option<CheckedPart>> {
    let Target::Kafka { cluster, topic, .. } = &sink.target else {
        return Ok(None);
    };
    let topic = admin::find(cluster, topic)?;
    Ok(Some(CheckedPart {
        what: "sink",
        name: sink.name.clone(),
        details: format!("topic {} with {} partitions", topic.name, topic.partitions),
    }))
}

fn report(pipeline: &str, found: &[CheckedPart], out: &Output) -> Result<()> {
    let values = found
        .iter()
        .map(|found| json!({ "what": found.what, "name": found.name, "details": found.details }));
    let value = json!({ "pipeline": pipeline, "ok": true, "found": Value::Array(values.collect()) });
    out.show(&value, || {
        let lines = found
            .iter()
            .map(|found| format!("ok  {} {}: {}\n", found.what, found.name, found.details));
        lines.collect()
    })
}
