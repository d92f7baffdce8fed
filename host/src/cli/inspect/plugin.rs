//! What a plugin exports, imports, declares and would be granted, and how it was made.

use std::fmt::Write;

use serde_json::{Value, json};

use super::form::{form_json, form_text};
use crate::config::Limits;
use crate::inspect::ConfigForm;
use crate::plugin::{BuiltWith, Contents, Plugin, Store, Timer};

/// For a program.
pub(super) fn as_json(plugin: &Plugin) -> Value {
    let described = plugin.description();
    let limits = Limits::default();
    let metrics = described.metrics.iter();
    let metrics =
        metrics.map(|metric| json!({ "name": metric.name, "kind": metric.kind.as_str(), "help": metric.help }));
    let grants = plugin.imports().iter();
    let grants = grants.map(|import| json!({ "import": import, "means": plugin.meaning(import) }));
    json!({
        "name": described.name,
        "version": described.version,
        "digest": plugin.digest(),
        "world": plugin.world().to_string(),
        "interface": plugin.world().interface(),
        "file": file(plugin.contents()),
        "exports": plugin.exports(),
        "imports": plugin.imports(),
        "granted": grants.collect::<Vec<_>>(),
        "inputs": described.inputs,
        "outputs": described.outputs,
        "stores": described.stores.iter().map(store).collect::<Vec<_>>(),
        "timers": described.timers.iter().map(timer).collect::<Vec<_>>(),
        "metrics": metrics.collect::<Vec<_>>(),
        "needs": described.needs.names(),
        "config-schema": schema(&described.config_schema),
        "config": ConfigForm::of(&described.config_schema).as_ref().map(form_json),
        "limits": {
            "memory-bytes": limits.memory_bytes,
            "call-time-ms": limits.call_time.as_millis() as u64,
            "batch-memory-bytes": limits.batch_bytes,
            "recycle-memory-bytes": limits.recycling.memory_bytes,
        },
    })
}

fn file(contents: &Contents) -> Value {
    let all = |of: &[BuiltWith]| -> Vec<Value> {
        let each = of.iter();
        each.map(|of| json!({ "name": of.name, "version": of.version }))
            .collect()
    };
    json!({
        "bytes": contents.bytes,
        "languages": all(&contents.languages),
        "tools": all(&contents.tools),
        "sdks": all(&contents.sdks),
        "function-names": contents.has_function_names,
        "source-lines": contents.has_source_lines,
        "memory-bytes": contents.memory_bytes,
        "memory-most-bytes": contents.memory_most_bytes,
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

/// For a person.
pub(super) fn as_text(plugin: &Plugin) -> String {
    let described = plugin.description();
    let mut text = format!("{} {}\n", described.name, described.version);
    let mut line = |title: &str, value: String| {
        let value = if value.is_empty() { "none" } else { &value };
        let _cannot_fail = writeln!(text, "  {title:<10}{value}");
    };
    about_file(plugin, &mut line);
    line("inputs", described.inputs.join(", "));
    line("outputs", described.outputs.join(", "));
    let stores = described.stores.iter();
    line("stores", names(stores.map(|store| format!("{} ({store})", store.name))));
    let timers = described.timers.iter();
    line(
        "timers",
        names(timers.map(|timer| format!("{} ({})", timer.name, timer.clock.as_str()))),
    );
    line(
        "metrics",
        names(described.metrics.iter().map(|metric| metric.name.clone())),
    );
    line("needs", described.needs.names().join(", "));
    line("limits", limits());
    granted(plugin, &mut text);
    configuration(plugin, &mut text);
    text
}

fn about_file(plugin: &Plugin, line: &mut impl FnMut(&str, String)) {
    let contents = plugin.contents();
    line("size", format!("{} bytes", contents.bytes));
    line("digest", plugin.digest().to_owned());
    line("world", plugin.world().interface());
    let unsaid = |of: &[BuiltWith]| match of {
        [] => "not said".to_owned(),
        of => names(of.iter().map(built_with)),
    };
    line("language", unsaid(&contents.languages));
    line("tools", unsaid(&contents.tools));
    if !contents.sdks.is_empty() {
        line("sdk", unsaid(&contents.sdks));
    }
    line("traps", shown_by_traps(contents).to_owned());
    line("memory", memory(contents));
    line("exports", plugin.exports().join(", "));
}

fn built_with(of: &BuiltWith) -> String {
    format!("{} {}", of.name, of.version).trim_end().to_owned()
}

fn shown_by_traps(contents: &Contents) -> &'static str {
    match (contents.has_function_names, contents.has_source_lines) {
        (true, true) => "name their functions; the file also has source lines",
        (true, false) => "name their functions; the file has no source lines",
        (false, true) => "name no functions, though the file has source lines",
        (false, false) => "name no functions: the file has neither their names nor source lines",
    }
}

fn memory(contents: &Contents) -> String {
    let most = match contents.memory_most_bytes {
        Some(most) => format!("{} at most", kib(most)),
        None => "and what its limit lets it have".to_owned(),
    };
    format!("{} at first, {most}", kib(contents.memory_bytes))
}

fn kib(bytes: u64) -> String {
    format!("{} KiB", bytes >> 10)
}

fn limits() -> String {
    let limits = Limits::default();
    format!(
        "memory {} MiB, call time {:?}, a batch on its way through a worker {} MiB; recycled at {} MiB (defaults)",
        limits.memory_bytes >> 20,
        limits.call_time,
        limits.batch_bytes >> 20,
        limits.recycling.memory_bytes >> 20
    )
}

/// Each import with what the plugin may do by it.
fn granted(plugin: &Plugin, text: &mut String) {
    let imports = plugin.imports();
    let width = imports.iter().map(String::len).max().unwrap_or(0);
    text.push_str(if imports.is_empty() {
        "  imports   none\n"
    } else {
        "  imports\n"
    });
    for import in imports {
        let _cannot_fail = writeln!(text, "    {import:<width$}  {}", plugin.meaning(import));
    }
}

fn configuration(plugin: &Plugin, text: &mut String) {
    match ConfigForm::of(&plugin.description().config_schema) {
        None => text.push_str("  config    none\n"),
        Some(form) => {
            text.push_str("  config\n");
            text.push_str(&form_text(&form));
        }
    }
}

fn names(names: impl Iterator<Item = String>) -> String {
    names.collect::<Vec<_>>().join(", ")
}
