//! `sandbar inspect`: what a plugin exports, imports, declares and would be granted.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use crate::config::Limits;
use crate::error::Result;
use crate::plugin::{Engine, Plugin, READY_MADE, Store, Timer};

/// Arguments of `sandbar inspect`.
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  sandbar inspect count.wasm\n  sandbar inspect window\n  sandbar inspect --ready-made"
)]
pub struct Inspect {
    /// The component's file, or the name of a plugin that comes with Sandbar
    #[arg(required_unless_present = "ready_made")]
    plugin: Option<PathBuf>,
    /// List the plugins that come with Sandbar
    #[arg(long, conflicts_with = "plugin")]
    ready_made: bool,
}

impl Inspect {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let Some(plugin) = &self.plugin else {
            return list_ready_made(out);
        };
        let plugin = Engine::new(None)?.load(plugin)?;
        out.show(&as_json(&plugin), || as_text(&plugin))
    }
}

fn list_ready_made(out: &Output) -> Result<()> {
    let each = READY_MADE.iter();
    let rows = each.map(|of| json!({ "name": of.name, "does": of.does }));
    let width = READY_MADE.iter().map(|of| of.name.len()).max().unwrap_or(0);
    out.show(&json!({ "ready-made": rows.collect::<Vec<_>>() }), || {
        let lines = READY_MADE
            .iter()
            .map(|of| format!("{:<width$}  {}\n", of.name, of.does));
        lines.collect()
    })
}

fn as_json(plugin: &Plugin) -> Value {
    let described = plugin.description();
    let limits = Limits::default();
    let metrics = described.metrics.iter();
    let metrics = metrics.map(|metric| json!({ "name": metric.name, "help": metric.help }));
    json!({
        "name": described.name,
        "version": described.version,
        "digest": plugin.digest(),
        "world": plugin.world().to_string(),
        "exports": plugin.exports(),
        "imports": plugin.imports(),
        "inputs": described.inputs,
        "outputs": described.outputs,
        "stores": described.stores.iter().map(store).collect::<Vec<_>>(),
        "timers": described.timers.iter().map(timer).collect::<Vec<_>>(),
        "metrics": metrics.collect::<Vec<_>>(),
        "needs": needs(plugin),
        "config-schema": schema(&described.config_schema),
        "limits": {
            "memory-bytes": limits.memory_bytes,
            "call-time-ms": limits.call_time.as_millis() as u64,
            "batch-memory-bytes": limits.batch_bytes,
            "recycle-memory-bytes": limits.recycling.memory_bytes,
        },
    })
}

fn store(store: &Store) -> Value {
    json!({
        "name": store.name,
        "kind": store.kind.as_str(),
        "codec": store.codec,
        "schema-version": store.schema_version,
        "readable-from": store.readable_from,
    })
}

fn timer(timer: &Timer) -> Value {
    json!({ "name": timer.name, "clock": timer.clock.as_str() })
}

/// The schema as JSON, as text if it is none, null if the plugin takes no configuration.
fn schema(text: &str) -> Value {
    if text.is_empty() {
        return Value::Null;
    }
    serde_json::from_str(text).unwrap_or_else(|_| Value::from(text))
}

fn as_text(plugin: &Plugin) -> String {
    let described = plugin.description();
    let limits = Limits::default();
    let mut text = format!("{} {}\n", described.name, described.version);
    let mut line = |title: &str, value: String| {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {title:<10}{}", if value.is_empty() { "none" } else { &value });
    };
    line("digest", plugin.digest().to_owned());
    line("world", plugin.world().to_string());
    line("exports", names(plugin.exports()));
    line("imports", names(plugin.imports()));
    line("inputs", names(&described.inputs));
    line("outputs", names(&described.outputs));
    let stores: Vec<String> = described.stores.iter().map(store_text).collect();
    line("stores", names(&stores));
    let timers = described.timers.iter();
    let timers: Vec<String> = timers
        .map(|timer| format!("{} ({})", timer.name, timer.clock.as_str()))
        .collect();
    line("timers", names(&timers));
    let metrics: Vec<String> = described.metrics.iter().map(|metric| metric.name.clone()).collect();
    line("metrics", names(&metrics));
    line("needs", needs(plugin).join(", "));
    line(
        "config",
        if described.config_schema.is_empty() {
            String::new()
        } else {
            schema(&described.config_schema).to_string()
        },
    );
    line(
        "limits",
        format!(
            "memory {} MiB, call time {:?}, a batch on its way through a worker {} MiB; recycled at {} MiB (defaults)",
            limits.memory_bytes >> 20,
            limits.call_time,
            limits.batch_bytes >> 20,
            limits.recycling.memory_bytes >> 20
        ),
    );
    text
}

/// Such as `total (value, postcard, schema 2, reads 1 and later)`.
fn store_text(store: &Store) -> String {
    let Store {
        name,
        kind,
        codec,
        schema_version,
        readable_from,
    } = store;
    let reads = match readable_from {
        from if from == schema_version => String::new(),
        from => format!(", reads {from} and later"),
    };
    format!("{name} ({kind}, {codec}, schema {schema_version}{reads})")
}

fn names(names: &[String]) -> String {
    names.join(", ")
}

/// What the plugin asks to be sent beside keys, values and times, and what it promises.
fn needs(plugin: &Plugin) -> Vec<&'static str> {
    let needs = plugin.description().needs;
    let each = [
        (needs.coordinates, "coordinates"),
        (needs.headers, "headers"),
        (needs.keeps_key, "keeps-key"),
    ];
    each.into_iter()
        .filter_map(|(is_set, name)| is_set.then_some(name))
        .collect()
}
