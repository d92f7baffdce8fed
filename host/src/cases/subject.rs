//! What the cases of a folder are run on: a plugin alone, or a pipeline of several operators.
//!
//! A plugin alone is a pipeline too: a source for each of its inputs, a sink for each of its outputs. What a pipeline
//! file says of topics does not matter here; its configurations, limits and rules of time do.

use crate::config::{
    BATCH_BYTES, Cluster, CommitOffsets, CompileCache, Delivery, EventTime, Input, KafkaSource, Limits, OnBadTime,
    OnError, OnRefused, OperatorConfig, Otherwise, OutOfRange, Pipeline, RateQuotas, Sink, Source, Start, Subscription,
    Target, TimeSettings, Truth,
};
use crate::error::{Error, Kind, Result};
use crate::plugin::{Engine, Plugin};
use crate::runtime;
use crate::spec;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Records in one call of a plugin, at most, as a pipeline file has it if it says nothing.
const MAX_BATCH: usize = 1000;
/// Bytes of the caches of a run's state.
const STATE_MEMORY: u64 = 8 << 20;
/// The output that stands in `output.jsonl`.
const MAIN_OUTPUT: &str = "out";

/// See the file's header.
#[derive(Debug)]
pub struct Subject {
    pipeline: Pipeline,
    plugins: Vec<Plugin>,
    is_graph: bool,
}

impl Subject {
    /// Finds what the cases in `folder` are for: the component `plugin`, else the folder's `pipeline.toml`, else its
    /// plugin.
    ///
    /// # Errors
    /// `Plugin`: there is no component, or it is refused. `Invalid`: the pipeline file is wrong.
    pub fn find(folder: &Path, plugin: Option<&Path>) -> Result<Self> {
        if let Some(plugin) = plugin {
            return Self::of_plugin(plugin);
        }
        let file = folder.join("pipeline.toml");
        match file.is_file() {
            true => Self::of_pipeline(spec::load(&file, &[])?),
            false => Self::of_plugin(&component(folder)?),
        }
    }

    /// A component alone, without a configuration.
    ///
    /// # Errors
    /// `Plugin`: it is refused.
    pub fn of_plugin(path: &Path) -> Result<Self> {
        Ok(Self::alone(Engine::new(None)?.load(path)?, path))
    }

    /// The same of one that is loaded, from `path`.
    pub(crate) fn alone(plugin: Plugin, path: &Path) -> Self {
        let described = plugin.description();
        let operator = OperatorConfig {
            name: described.name.clone(),
            plugin: path.to_owned(),
            inputs: Vec::new(),
            config: String::new(),
            config_place: String::new(),
            on_error: OnError::Fail,
            limits: Limits::default(),
        };
        let sources = vec![(EventTime::Record, TimeSettings::default(), MAX_BATCH); described.input_count()];
        Self {
            pipeline: around(&plugin, operator, &sources, BATCH_BYTES),
            plugins: vec![plugin],
            is_graph: false,
        }
    }

    /// A pipeline: that of one operator is its plugin alone, as the file configures it.
    ///
    /// # Errors
    /// `Plugin`: a component is missing or refused. `Invalid`: it is wired wrongly.
    pub fn of_pipeline(pipeline: Pipeline) -> Result<Self> {
        // What a run compiled need not be compiled again, nor the other way round.
        let engine = Engine::of(&pipeline)?;
        let (plugins, _routes) = runtime::load(&engine, &pipeline)?;
        if let ([_], [plugin]) = (&pipeline.operators[..], &plugins[..]) {
            return Ok(Self::of_operator(&pipeline, 0, plugin));
        }
        let sources = pipeline.sources.iter();
        let sinks = pipeline.sinks.iter().map(|of| sink(&of.name, of.from.clone()));
        Ok(Self {
            pipeline: Pipeline {
                sources: sources.map(|of| source(of.name(), time_of(of))).collect(),
                sinks: sinks.collect(),
                ..whole(pipeline.name, pipeline.operators, pipeline.batch_bytes)
            },
            plugins,
            is_graph: true,
        })
    }

    /// An operator of a pipeline alone, as the file configures it.
    pub(super) fn of_operator(pipeline: &Pipeline, at: usize, plugin: &Plugin) -> Self {
        let operator = &pipeline.operators[at];
        let settings = |input: &Input| match pipeline.sources.iter().find(|source| source.name() == input.from) {
            Some(source) => time_of(source),
            None => (EventTime::Record, TimeSettings::default(), MAX_BATCH),
        };
        let sources: Vec<_> = operator.inputs.iter().map(settings).collect();
        Self {
            pipeline: around(plugin, operator.clone(), &sources, pipeline.batch_bytes),
            plugins: vec![plugin.clone()],
            is_graph: false,
        }
    }

    /// The name of the plugin, or of the pipeline.
    pub fn name(&self) -> &str {
        &self.pipeline.name
    }

    /// Whether it is a pipeline of several operators.
    pub(super) fn is_graph(&self) -> bool {
        self.is_graph
    }

    /// The plugins of its operators, in their order.
    pub(crate) fn plugins(&self) -> &[Plugin] {
        &self.plugins
    }

    pub(super) fn pipeline(&self) -> &Pipeline {
        &self.pipeline
    }

    /// The index of a source by its name; without one, of the only one.
    pub(super) fn source(&self, input: Option<&str>) -> Result<usize, String> {
        let names: Vec<&str> = self.pipeline.sources.iter().map(Source::name).collect();
        match (input, names.len()) {
            (None, 1) => Ok(0),
            (None, _) => Err(format!("`input` is missing; the inputs are {}", names.join(", "))),
            (Some(name), _) => names
                .iter()
                .position(|known| *known == name)
                .ok_or_else(|| format!("there is no input `{name}`; the inputs are {}", names.join(", "))),
        }
    }

    /// The file of a sink's records: `output.jsonl` of the output `out`, or of the first if none is called so, or of
    /// a pipeline's only sink.
    pub(super) fn file_of(&self, sink: usize) -> String {
        let sinks = &self.pipeline.sinks;
        let main = sinks.iter().position(|of| of.name == MAIN_OUTPUT);
        let main = match self.is_graph && sinks.len() > 1 {
            true => main,
            false => main.or(Some(0)),
        };
        match main == Some(sink) {
            true => "output.jsonl".to_owned(),
            false => format!("{}.jsonl", sinks[sink].name),
        }
    }

    /// The pipeline as a run has it: sinks and dead letters are files in `folder`, named by their indexes.
    pub(crate) fn placed(&self, config: Option<&str>, folder: &Path, max_batch: Option<usize>) -> Pipeline {
        let mut pipeline = self.pipeline.clone();
        let sinks = pipeline.sinks.iter_mut().chain(&mut pipeline.dead_letters);
        for (index, sink) in sinks.enumerate() {
            sink.target = Target::File(Some(folder.join(index.to_string())));
        }
        for operator in &mut pipeline.operators {
            if let Some(config) = config {
                config.clone_into(&mut operator.config);
            }
        }
        for source in &mut pipeline.sources {
            if let (Source::Kafka(source), Some(most)) = (source, max_batch) {
                source.max_batch = most;
            }
        }
        pipeline
    }
}

/// The component of a plugin's folder: the only one in it, or what `make plugins` and the like made of it.
fn component(folder: &Path) -> Result<PathBuf> {
    let listed = std::fs::read_dir(folder).map_err(|why| {
        let what = format!("failed to read the folder {}", folder.display());
        Error::new(Kind::Usage, what, why)
    })?;
    let is_component = |path: &PathBuf| path.extension().is_some_and(|end| end == "wasm");
    let mut found: Vec<PathBuf> = listed
        .flatten()
        .map(|entry| entry.path())
        .filter(is_component)
        .collect();
    found.sort();
    let absolute = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let built = Path::new("target").join("plugins").join(format!("{name}.wasm"));
    match &found[..] {
        [only] => return Ok(only.clone()),
        [] => {}
        several => {
            let names: Vec<_> = several.iter().map(|path| path.display().to_string()).collect();
            let what = format!("{} holds several components", folder.display());
            return Err(Error::new(Kind::Plugin, what, names.join(", ")).hint("say which with --plugin FILE"));
        }
    }
    let made = absolute
        .ancestors()
        .map(|parent| parent.join(&built))
        .find(|path| path.is_file());
    made.ok_or_else(|| {
        let what = format!("found nothing to test in {}", folder.display());
        let why = format!(
            "there is no pipeline.toml, no component (*.wasm), and no {} there or in a folder above",
            built.display()
        );
        Error::new(Kind::Plugin, what, why).hint("build the plugin first, or name its component with --plugin FILE")
    })
}

/// A pipeline that is one operator.
fn around(
    plugin: &Plugin,
    operator: OperatorConfig,
    sources: &[(EventTime, TimeSettings, usize)],
    batch_bytes: u64,
) -> Pipeline {
    let described = plugin.description();
    let named = |names: &[String], one: &str| match names.is_empty() {
        true => vec![one.to_owned()],
        false => names.to_vec(),
    };
    let inputs = named(&described.inputs, "in");
    let outputs = &described.outputs;
    // A pipeline's names are distinct, those of a plugin's inputs and outputs need not be.
    let placed = match inputs.contains(&operator.name) {
        true => format!("plugin {}", operator.name),
        false => operator.name.clone(),
    };
    let input = |from: &str, output: Option<&str>| Input {
        from: from.to_owned(),
        output: output.map(str::to_owned),
    };
    let operator = OperatorConfig {
        inputs: inputs.iter().map(|name| input(name, None)).collect(),
        name: placed.clone(),
        ..operator
    };
    let sinks = outputs.iter().map(|name| sink(name, vec![input(&placed, Some(name))]));
    let settings = sources.iter().cloned();
    Pipeline {
        sources: inputs.iter().zip(settings).map(|(name, of)| source(name, of)).collect(),
        sinks: sinks.collect(),
        ..whole(described.name.clone(), vec![operator], batch_bytes)
    }
}

/// A pipeline that reads and writes nothing yet. A fault ends no case and is not passed over: it is told, with its
/// record.
fn whole(name: String, mut operators: Vec<OperatorConfig>, batch_bytes: u64) -> Pipeline {
    for operator in &mut operators {
        operator.on_error = OnError::DeadLetter;
    }
    Pipeline {
        name,
        delivery: Delivery::None,
        workers: 1,
        instance: None,
        queue_bytes: 1 << 20,
        batch_bytes,
        sources: Vec::new(),
        operators,
        sinks: Vec::new(),
        dead_letters: Some(sink("dead-letters", Vec::new())),
        checkpoint: None,
        state_dir: PathBuf::new(),
        compile_cache: CompileCache::own(PathBuf::new()),
        state_memory: STATE_MEMORY,
        allow_dropped_state: false,
        core_dumps: None,
        quotas: RateQuotas::default(),
        keeps_outputs: None,
    }
}

fn sink(name: &str, from: Vec<Input>) -> Sink {
    Sink {
        name: name.to_owned(),
        from,
        target: Target::File(None),
        on_refused: OnRefused::Fail,
    }
}

/// What matters of a source here.
fn time_of(source: &Source) -> (EventTime, TimeSettings, usize) {
    match source {
        Source::Kafka(source) => (source.event_time.clone(), source.time, source.max_batch),
        Source::File(source) => (source.event_time.clone(), source.time, source.max_batch),
    }
}

/// A source as the engine knows it; nobody opens it.
fn source(name: &str, (event_time, time, max_batch): (EventTime, TimeSettings, usize)) -> Source {
    let time = TimeSettings {
        // The clock of a case stands still, mostly at 0: everything is ahead of it.
        max_ahead: None,
        // There are dead letters here, whatever the pipeline has.
        on_bad_time: time.on_bad_time.map(|way| match way {
            OnBadTime::Fail => OnBadTime::DeadLetter,
            way => way,
        }),
        ..time
    };
    Source::Kafka(KafkaSource {
        name: name.to_owned(),
        cluster: Cluster {
            brokers: String::new(),
            properties: Default::default(),
            login: Default::default(),
        },
        subscription: Subscription::Topics(vec![name.to_owned()]),
        group: name.to_owned(),
        start: Start::Earliest,
        otherwise: Otherwise::Earliest,
        stop: None,
        on_out_of_range: OutOfRange::Fail,
        truth: Truth::Group,
        commit_offsets: CommitOffsets::Never,
        auto_commit_interval: Duration::ZERO,
        session_timeout: Duration::ZERO,
        max_batch,
        discovery_interval: Duration::ZERO,
        event_time,
        time,
    })
}
