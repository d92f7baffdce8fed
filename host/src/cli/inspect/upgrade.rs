//! What differs between two plugins, for people and for programs.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::inspect::{ConfigOutlook, GoesOn, PluginChange, StoreOutlook, Upgrade};
use crate::plugin::{Plugin, TimerClock};
use crate::runtime::StoreFate;

/// Two plugins, and what was found.
pub(super) struct Compared<'a> {
    pub(super) old: &'a Plugin,
    pub(super) new: &'a Plugin,
    pub(super) upgrade: &'a Upgrade,
    pub(super) configs: &'a [ConfigOutlook],
}

impl Compared<'_> {
    /// How many there are.
    pub(super) fn differences(&self) -> usize {
        self.upgrade.changes.len() + self.configs.iter().filter(|config| config.is_lost()).count()
    }

    /// For a program.
    pub(super) fn as_json(&self) -> Value {
        json!({
            "old": named(self.old),
            "new": named(self.new),
            "differences": self.upgrade.changes.iter().map(change_json).collect::<Vec<_>>(),
            "stores": self.upgrade.stores.iter().map(store_json).collect::<Vec<_>>(),
            "configs": self.configs.iter().map(config_json).collect::<Vec<_>>(),
            "goes-on": match self.upgrade.goes_on {
                GoesOn::Yes => "yes",
                GoesOn::WithDroppedState => "allow-dropped-state",
                GoesOn::No => "no",
            },
            "unless": self.upgrade.unless,
        })
    }

    /// For a person.
    pub(super) fn as_text(&self) -> String {
        let mut text = String::new();
        let changes = &self.upgrade.changes;
        let width = changes
            .iter()
            .map(|change| title(change).chars().count())
            .max()
            .unwrap_or(0)
            .min(40);
        for change in changes {
            let says = match (&change.old, &change.new) {
                (Some(old), Some(new)) => format!("~ {:<width$}  {} → {}", title(change), some(old), some(new)),
                (old, Some(new)) if old.is_none() => format!("+ {:<width$}  {}", title(change), some(new)),
                (old, _) => format!("- {:<width$}  {}", title(change), old.as_deref().map_or("", some)),
            };
            let _cannot_fail = writeln!(text, "{}", says.trim_end());
        }
        if changes.is_empty() {
            text.push_str("nothing differs: the files are the same\n");
        }
        self.stores_text(&mut text);
        self.configs_text(&mut text);
        let goes_on = self.upgrade.goes_on.as_str();
        let _cannot_fail = writeln!(text, "\na pipeline could go on with its state: {goes_on}");
        for sentence in &self.upgrade.unless {
            let _cannot_fail = writeln!(text, "  unless {sentence}");
        }
        text
    }

    fn stores_text(&self, text: &mut String) {
        if self.upgrade.stores.is_empty() {
            text.push_str("\nthe old one keeps no state\n");
            return;
        }
        text.push_str("\nof a checkpoint of the old one\n");
        for store in &self.upgrade.stores {
            let becomes = match &store.fate {
                StoreFate::Restored => "restored",
                StoreFate::Dropped => "not restored: the new one does not declare it",
                StoreFate::Unreadable(why) => &format!("not restored: {why}"),
            };
            let _cannot_fail = writeln!(text, "  {}: {becomes}", kept(store));
        }
    }

    fn configs_text(&self, text: &mut String) {
        for config in self.configs {
            let _cannot_fail = writeln!(text, "\nthe config of `{}`", config.of);
            for (whose, taken) in [("old", &config.old), ("new", &config.new)] {
                let says = taken.as_ref().err().map_or("takes it".to_owned(), |error| {
                    format!("does not take it: {}", error.why.replace('\n', "\n    "))
                });
                let _cannot_fail = writeln!(text, "  the {whose} one {says}");
            }
        }
    }
}

fn title(change: &PluginChange) -> String {
    format!("{} {}", change.of, change.name).trim_end().to_owned()
}

/// A name that the state has for the timers of a clock is not one that a person gave.
fn kept(store: &StoreOutlook) -> String {
    match TimerClock::of_store(&store.name) {
        Some(clock) => format!("timers on {}", clock.as_str()),
        None => format!("store `{}`", store.name),
    }
}

fn some(says: &str) -> &str {
    if says.is_empty() { "none" } else { says }
}

fn named(plugin: &Plugin) -> Value {
    let described = plugin.description();
    json!({ "name": described.name, "version": described.version, "digest": plugin.digest() })
}

fn change_json(change: &PluginChange) -> Value {
    json!({ "of": change.of, "name": change.name, "old": change.old, "new": change.new })
}

fn store_json(store: &StoreOutlook) -> Value {
    let (fate, why) = match &store.fate {
        StoreFate::Restored => ("restored", None),
        StoreFate::Dropped => ("dropped", None),
        StoreFate::Unreadable(why) => ("unreadable", Some(why)),
    };
    json!({ "store": store.name, "fate": fate, "why": why })
}

fn config_json(config: &ConfigOutlook) -> Value {
    let taken = |taken: &Result<()>| {
        let why = taken
            .as_ref()
            .err()
            .map(|Error { what, why, .. }| format!("{what}: {why}"));
        json!({ "accepted": taken.is_ok(), "why": why })
    };
    json!({ "of": config.of, "old": taken(&config.old), "new": taken(&config.new) })
}
