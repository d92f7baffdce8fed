//! What a plugin says that it is, in the host's own words, checked.

use super::names::{name, names};
use super::stores::{self, SaidStore, Store};
use super::timers::{self, Timer};
use crate::plugin::limits::{NAME_CHARS, SCHEMA_BYTES, tame};

/// What a plugin is, known without running it on data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its inputs by name; empty: one that has no name.
    pub inputs: Vec<String>,
    /// Its outputs by name; may be none.
    pub outputs: Vec<String>,
    /// The state that it keeps; a change names a store by its index here.
    pub stores: Vec<Store>,
    /// The timers that it sets; a change names one by its index here.
    pub timers: Vec<Timer>,
    /// What it counts or measures.
    pub metrics: Vec<Metric>,
    /// JSON schema of its configuration; empty: it takes none.
    pub config_schema: String,
    /// What it wants to be sent, and what it promises.
    pub needs: Needs,
}

/// Something that a plugin counts or measures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metric {
    /// Its name.
    pub name: String,
    /// What its values mean.
    pub kind: MetricKind,
    /// A sentence for people.
    pub help: String,
}

/// What the values of a metric mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// Each value is added.
    Counter,
    /// The last value stands.
    Gauge,
}

impl MetricKind {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        }
    }
}

/// What a plugin wants to be sent, and what it promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Needs {
    /// Partitions and offsets are sent.
    pub coordinates: bool,
    /// Headers are sent.
    pub headers: bool,
    /// Outputs have the key of the event that caused them.
    pub keeps_key: bool,
}

impl Needs {
    /// The names of those that are set.
    pub fn names(self) -> Vec<&'static str> {
        let each = [
            (self.coordinates, "coordinates"),
            (self.headers, "headers"),
            (self.keeps_key, "keeps-key"),
        ];
        let set = each.into_iter().filter_map(|(is_set, name)| is_set.then_some(name));
        set.collect()
    }
}

/// What a guest says that it is: the same, and not a word of it checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Said {
    pub(in crate::plugin) name: String,
    pub(in crate::plugin) version: String,
    pub(in crate::plugin) inputs: Vec<String>,
    pub(in crate::plugin) outputs: Vec<String>,
    pub(in crate::plugin) stores: Vec<SaidStore>,
    pub(in crate::plugin) timers: Vec<Timer>,
    pub(in crate::plugin) metrics: Vec<Metric>,
    pub(in crate::plugin) config_schema: String,
    pub(in crate::plugin) needs: Needs,
}

impl Description {
    /// Number of inputs; one without a name is one.
    pub fn input_count(&self) -> usize {
        self.inputs.len().max(1)
    }

    /// All that the state keeps for it: its stores, and behind them one for the timers of each clock that it uses.
    pub fn kept(&self) -> Vec<Store> {
        self.stores
            .iter()
            .cloned()
            .chain(timers::stores(&self.timers))
            .collect()
    }

    /// Takes over what a guest said, or says what is wrong with it.
    pub(super) fn check(said: Said) -> Result<Self, String> {
        name("its name", &said.name)?;
        version(&said.version)?;
        names("timer", said.timers.iter().map(|timer| &timer.name))?;
        names("input", said.inputs.iter())?;
        names("output", said.outputs.iter())?;
        names("metric", said.metrics.iter().map(|metric| &metric.name))?;
        if said.config_schema.len() > SCHEMA_BYTES {
            return Err(format!(
                "its configuration schema has {} bytes; {SCHEMA_BYTES} are the most",
                said.config_schema.len()
            ));
        }
        Ok(Self {
            name: said.name,
            version: said.version,
            inputs: said.inputs,
            outputs: said.outputs,
            stores: stores::check(said.stores)?,
            timers: said.timers,
            metrics: said.metrics.into_iter().map(metric).collect(),
            config_schema: said.config_schema,
            needs: said.needs,
        })
    }
}

fn metric(said: Metric) -> Metric {
    Metric {
        help: tame(&said.help, 512),
        ..said
    }
}

fn version(said: &str) -> Result<(), String> {
    let sane = said.chars().count() <= NAME_CHARS && !said.chars().any(char::is_control);
    if sane {
        return Ok(());
    }
    Err(format!(
        "its version is longer than {NAME_CHARS} characters or has control characters: `{}`",
        tame(said, NAME_CHARS)
    ))
}

#[cfg(test)]
mod tests {
    use super::super::timers::TimerClock;
    use super::*;

    fn said() -> Said {
        Said {
            name: "filter".into(),
            version: "0.1.0".into(),
            inputs: vec![],
            outputs: vec!["kept".into(), "rest".into()],
            stores: vec![],
            timers: vec![],
            metrics: vec![],
            config_schema: String::new(),
            needs: Needs {
                coordinates: false,
                headers: true,
                keeps_key: false,
            },
        }
    }

    #[test]
    fn a_plain_description_is_taken() {
        let description = Description::check(said()).unwrap();
        assert_eq!(description.input_count(), 1);
        assert_eq!(
            description.needs,
            Needs {
                coordinates: false,
                headers: true,
                keeps_key: false
            }
        );
    }

    #[test]
    fn a_name_that_is_empty_long_twice_or_odd_is_refused() {
        let wrong = |change: fn(&mut Said)| {
            let mut said = said();
            change(&mut said);
            Description::check(said).unwrap_err()
        };
        assert_eq!(wrong(|said| said.name.clear()), "its name is empty");
        assert!(wrong(|said| said.outputs[0] = "x".repeat(65)).contains("more than 64 characters"));
        assert_eq!(
            wrong(|said| said.outputs[0] = "rest".into()),
            "it declares two outputs of the name `rest`"
        );
        assert!(wrong(|said| said.inputs = vec!["a b".into()]).contains("other characters"));
        assert!(wrong(|said| said.version = "\u{1b}[2J".into()).contains("control characters"));
        assert!(wrong(|said| said.outputs = (0..65).map(|n| n.to_string()).collect()).contains("64 are the most"));
        assert!(wrong(|said| said.config_schema = " ".repeat(SCHEMA_BYTES + 1)).contains("schema"));
    }

    #[test]
    fn timers_are_kept_behind_the_stores_a_clock_each() {
        let timer = |name: &str, clock| Timer {
            name: name.to_owned(),
            clock,
        };
        let mut timed = said();
        timed.timers = vec![
            timer("close", TimerClock::EventTime),
            timer("poll", TimerClock::ProcessingTime),
            timer("emit", TimerClock::EventTime),
        ];
        let described = Description::check(timed.clone()).unwrap();
        let kept: Vec<String> = described.kept().into_iter().map(|store| store.name).collect();
        assert_eq!(kept, ["timers:event-time", "timers:processing-time"]);
        timed.timers[1].name = "close".to_owned();
        assert!(
            Description::check(timed)
                .unwrap_err()
                .contains("two timers of the name `close`")
        );
    }
}
