//! What changes from one build of a plugin to the next, and whether a pipeline could go on with its state.
//!
//! Never a rule of its own for that: what a restore decides, it is asked. Pure, but for the configurations, with which
//! both plugins are opened.

use std::collections::BTreeMap;
use std::path::Path;

use super::form::ConfigForm;
use crate::config::{Limits, OnError, OperatorConfig};
use crate::error::{Error, Kind, Result};
use crate::plugin::{Plugin, Store, TimerClock};
use crate::runtime::{self, StoreFate};
use crate::spec;

/// What changes from one build of a plugin to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    /// All that differs, sorted by what it is.
    pub changes: Vec<PluginChange>,
    /// What becomes of each store that a checkpoint of the old one has, the timers of a clock among them.
    pub stores: Vec<StoreOutlook>,
    /// Whether a pipeline goes on with its state.
    pub goes_on: GoesOn,
    /// What may be in a state, and would stop it all the same; a sentence each.
    pub unless: Vec<String>,
}

/// Something that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginChange {
    /// What it is: `store`, `config`, `size` …
    pub of: &'static str,
    /// Its name; empty if there is one only.
    pub name: String,
    /// What the old one says of it; none: it has none.
    pub old: Option<String>,
    /// What the new one says of it.
    pub new: Option<String>,
}

/// What becomes of a store that a checkpoint of the old plugin has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreOutlook {
    /// Its name, as a restore has it.
    pub name: String,
    /// What a restore makes of it.
    pub fate: StoreFate,
}

/// Whether a pipeline goes on with its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GoesOn {
    /// All of it is restored.
    Yes,
    /// What the new one does not declare is dropped, if a person allows it.
    WithDroppedState,
    /// The new one cannot read what the old one wrote.
    No,
}

/// Whether both plugins take a configuration.
#[derive(Debug)]
pub struct ConfigOutlook {
    /// The operator that has it, or the file.
    pub of: String,
    /// Why the old one does not take it.
    pub old: Result<()>,
    /// Why the new one does not.
    pub new: Result<()>,
}

impl Upgrade {
    /// From one plugin to another.
    pub fn between(old: &Plugin, new: &Plugin) -> Self {
        let stores = outlook(&old.description().kept(), &new.description().kept());
        let goes_on = match &stores {
            all if all.iter().any(|store| matches!(store.fate, StoreFate::Unreadable(_))) => GoesOn::No,
            all if all.iter().any(|store| store.fate == StoreFate::Dropped) => GoesOn::WithDroppedState,
            _ => GoesOn::Yes,
        };
        let mut unless = left_behind(&old.description().kept(), &new.description().kept());
        unless.extend(undeclared_timers(old, new));
        Self {
            changes: changes(old, new),
            stores,
            goes_on,
            unless,
        }
    }
}

impl GoesOn {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            GoesOn::Yes => "yes",
            GoesOn::WithDroppedState => "only with --allow-dropped-state",
            GoesOn::No => "no",
        }
    }
}

impl ConfigOutlook {
    /// Whether the new one refuses what the old one takes.
    pub fn is_lost(&self) -> bool {
        self.old.is_ok() && self.new.is_err()
    }

    /// Opens both plugins with the configurations of a file: those that a pipeline file has for either of them, by the
    /// name of its file, or for its only operator; or the one that a JSON file is.
    ///
    /// # Errors
    /// `Invalid`: the file cannot be read; `Usage`: it is a pipeline that has neither of them.
    pub fn all(file: &Path, (old, old_path): (&Plugin, &Path), (new, new_path): (&Plugin, &Path)) -> Result<Vec<Self>> {
        let configs = match file.extension().is_some_and(|end| end == "json") {
            true => vec![of_json(file)?],
            false => of_pipeline(file, [old_path, new_path])?,
        };
        let opened = configs.into_iter().map(|config| Self {
            old: old.operator_of(&config).map(drop),
            new: new.operator_of(&config).map(drop),
            of: config.name,
        });
        Ok(opened.collect())
    }
}

fn of_json(file: &Path) -> Result<OperatorConfig> {
    let unread = |why: std::io::Error| Error::new(Kind::Invalid, format!("failed to read `{}`", file.display()), why);
    Ok(OperatorConfig {
        name: file.display().to_string(),
        plugin: file.to_owned(),
        inputs: Vec::new(),
        config: std::fs::read_to_string(file).map_err(unread)?,
        config_place: String::new(),
        on_error: OnError::Fail,
        limits: Limits::default(),
    })
}

fn of_pipeline(file: &Path, plugins: [&Path; 2]) -> Result<Vec<OperatorConfig>> {
    let operators = spec::load(file, &[])?.operators;
    if operators.len() == 1 {
        return Ok(operators);
    }
    let names = plugins.map(Path::file_name);
    let is_one = |operator: &OperatorConfig| names.contains(&operator.plugin.file_name());
    let (found, others): (Vec<_>, Vec<_>) = operators.into_iter().partition(is_one);
    if found.is_empty() {
        let others: Vec<String> = others.iter().map(|of| of.plugin.display().to_string()).collect();
        let what = format!("no operator of `{}` has one of the two plugins", file.display());
        let why = format!("its operators have {}", others.join(", "));
        return Err(Error::new(Kind::Usage, what, why).hint("a plugin is known by its file's name"));
    }
    Ok(found)
}

/// What a restore makes of each store of the old one, if the old one wrote all of its entries.
fn outlook(old: &[Store], new: &[Store]) -> Vec<StoreOutlook> {
    let each = old.iter().map(|store| StoreOutlook {
        name: store.name.clone(),
        fate: runtime::fate(&runtime::shape("", store), of_name(new, &store.name)),
    });
    each.collect()
}

/// Entries that the old one can read although it did not write them may be too old for the new one.
fn left_behind(old: &[Store], new: &[Store]) -> Vec<String> {
    let mut sentences = Vec::new();
    for store in old.iter().filter(|store| store.readable_from < store.schema_version) {
        let mut shape = runtime::shape("", store);
        let declared = of_name(new, &store.name);
        if runtime::fate(&shape, declared) != StoreFate::Restored {
            continue;
        }
        let mut versions = store.readable_from..store.schema_version;
        let is_too_old = |version: &u32| {
            shape.oldest_version = Some(*version);
            runtime::fate(&shape, declared) != StoreFate::Restored
        };
        if let Some(newest) = versions.by_ref().take_while(is_too_old).last() {
            sentences.push(format!(
                "store `{}` has entries still that were written with schema version {newest} or before",
                store.name
            ));
        }
    }
    sentences
}

/// A timer that waits in the state, and that nobody declares, stops a run when it is due.
fn undeclared_timers(old: &Plugin, new: &Plugin) -> Vec<String> {
    let (old, new) = (&old.description().timers, &new.description().timers);
    let is_kept = |clock: TimerClock| new.iter().any(|timer| timer.clock == clock);
    let gone = old.iter().filter(|timer| !new.iter().any(|of| of.name == timer.name));
    let gone = gone.filter(|timer| is_kept(timer.clock));
    gone.map(|timer| {
        format!(
            "timer `{}` is set for a key: nobody declares it when it is due",
            timer.name
        )
    })
    .collect()
}

fn of_name<'a>(stores: &'a [Store], name: &str) -> Option<&'a Store> {
    stores.iter().find(|store| store.name == name)
}

/// What is compared of a plugin: by what it is and its name, what is said of it.
type PluginFacts = BTreeMap<(&'static str, String), String>;

fn changes(old: &Plugin, new: &Plugin) -> Vec<PluginChange> {
    let (mut old_facts, mut new_facts) = (facts(old), facts(new));
    if old.description().config_schema != new.description().config_schema {
        old_facts.extend(config_facts(old));
        new_facts.extend(config_facts(new));
        let key = ("config", String::new());
        if old_facts
            .iter()
            .filter(|(key, _)| key.0 == "config")
            .eq(new_facts.iter().filter(|(key, _)| key.0 == "config"))
        {
            old_facts.insert(key.clone(), "the schema differs where no form shows it".to_owned());
            new_facts.insert(key, "or only in its descriptions".to_owned());
        }
    }
    let mut changes = Vec::new();
    for (key, old) in &old_facts {
        let new = new_facts.get(key);
        if new != Some(old) {
            changes.push(change(key, Some(old), new));
        }
    }
    let added = new_facts.iter().filter(|(key, _)| !old_facts.contains_key(key));
    changes.extend(added.map(|(key, new)| change(key, None, Some(new))));
    changes.sort_by(|one, other| (one.of, &one.name).cmp(&(other.of, &other.name)));
    changes
}

fn change((of, name): &(&'static str, String), old: Option<&String>, new: Option<&String>) -> PluginChange {
    PluginChange {
        of,
        name: name.clone(),
        old: old.cloned(),
        new: new.cloned(),
    }
}

fn facts(plugin: &Plugin) -> PluginFacts {
    let (described, contents) = (plugin.description(), plugin.contents());
    let mut facts = PluginFacts::new();
    let mut one = |of: &'static str, says: String| facts.insert((of, String::new()), says);
    one("code", plugin.digest().to_owned());
    one("size", format!("{} bytes", contents.bytes));
    one("memory", format!("{} bytes at first", contents.memory_bytes));
    one("world", plugin.world().interface());
    one("version", described.version.clone());
    one("plugin", described.name.clone());
    one("needs", described.needs.names().join(", "));
    for (of, names) in [("inputs", &described.inputs), ("outputs", &described.outputs)] {
        // A pipeline file gives inputs by their order.
        one(of, names.join(", "));
    }
    let mut each = |of: &'static str, name: &str, says: String| facts.insert((of, name.to_owned()), says);
    for store in &described.stores {
        each("store", &store.name, store.to_string());
    }
    for timer in &described.timers {
        each("timer", &timer.name, timer.clock.as_str().to_owned());
    }
    for metric in &described.metrics {
        let help = metric.help.replace('\n', " ");
        each("metric", &metric.name, format!("{}: {help}", metric.kind.as_str()));
    }
    for import in plugin.imports() {
        each("import", import, plugin.meaning(import).to_owned());
    }
    for export in plugin.exports() {
        each("export", export, "there".to_owned());
    }
    facts
}

fn config_facts(plugin: &Plugin) -> PluginFacts {
    let Some(form) = ConfigForm::of(&plugin.description().config_schema) else {
        return PluginFacts::new();
    };
    let keys = form
        .flat()
        .into_iter()
        .map(|(path, key)| (("config", path), key.says()));
    let mut facts: PluginFacts = keys.collect();
    if !form.rules.is_empty() {
        facts.insert(("config", "(all keys)".to_owned()), form.rules.join("; "));
    }
    facts
}
