//! What a plugin declares about itself.

use crate::bindings::sandbar::plugin::types;

/// What a plugin is, without running it on data. Its stores and timers are those of
/// [`Plugin::stores`](crate::Plugin::stores) and [`Plugin::timers`](crate::Plugin::timers).
#[derive(Debug, Clone)]
pub struct Description(types::Description);

impl Description {
    /// One input `in`, one output `out`, headers are sent along.
    #[must_use]
    pub fn new(name: &str, version: &str) -> Self {
        Self(types::Description {
            name: name.to_owned(),
            version: version.to_owned(),
            inputs: vec!["in".to_owned()],
            outputs: vec!["out".to_owned()],
            stores: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
            config_schema: String::new(),
            needs: types::Needs::HEADERS,
        })
    }

    /// Names the inputs; [`crate::Event::input`] is an index into them.
    #[must_use]
    pub fn inputs(mut self, names: &[&str]) -> Self {
        self.0.inputs = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Names the outputs; [`crate::Emitted::to`] takes an index into them.
    #[must_use]
    pub fn outputs(mut self, names: &[&str]) -> Self {
        self.0.outputs = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    /// Declares the next metric, a sum; [`Outputs::count`](crate::Outputs::count) takes its index.
    #[must_use]
    pub fn counter(self, name: &str, help: &str) -> Self {
        self.metric(name, types::MetricKind::Counter, help)
    }

    /// Declares the next metric, a figure that stands until the next one; [`Outputs::gauge`](crate::Outputs::gauge)
    /// takes its index.
    #[must_use]
    pub fn gauge(self, name: &str, help: &str) -> Self {
        self.metric(name, types::MetricKind::Gauge, help)
    }

    fn metric(mut self, name: &str, kind: types::MetricKind, help: &str) -> Self {
        self.0.metrics.push(types::Metric {
            name: name.to_owned(),
            kind,
            help: help.to_owned(),
        });
        self
    }

    /// The JSON schema of the configuration: the host checks it before the plugin is opened, and shows it.
    #[must_use]
    pub fn config_schema(mut self, schema: &str) -> Self {
        self.0.config_schema = schema.to_owned();
        self
    }

    /// Without a schema the host takes whatever `open` does, if there is anything to take.
    pub(crate) fn takes_config(mut self, taken: bool) -> Self {
        if taken && self.0.config_schema.is_empty() {
            "{}".clone_into(&mut self.0.config_schema);
        }
        self
    }

    /// Headers are neither sent nor, by `pass`, kept: for plugins that make new records only.
    #[must_use]
    pub fn without_headers(mut self) -> Self {
        self.0.needs.remove(types::Needs::HEADERS);
        self
    }

    /// Asks for the partition and the offset of each event.
    #[must_use]
    pub fn coordinates(mut self) -> Self {
        self.0.needs.insert(types::Needs::COORDINATES);
        self
    }

    /// Promises that every output has the key of the event that caused it.
    #[must_use]
    pub fn keeps_key(mut self) -> Self {
        self.0.needs.insert(types::Needs::KEEPS_KEY);
        self
    }

    pub(crate) fn with_stores(mut self, stores: Vec<types::Store>) -> Self {
        self.0.stores = stores;
        self
    }

    pub(crate) fn with_timers(mut self, timers: Vec<types::Timer>) -> Self {
        self.0.timers = timers;
        self
    }

    /// As the interface has it.
    #[must_use]
    pub fn into_bindings(self) -> types::Description {
        self.0
    }
}
