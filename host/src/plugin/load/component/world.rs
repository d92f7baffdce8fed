//! The worlds of the plugin interface: how they are told apart, and what each of them grants.

use std::fmt;

use crate::plugin::wasi;

/// The package of the interface, and the version of it that this host serves.
pub(in crate::plugin::load) const PACKAGE: &str = "sandbar:plugin/";
pub(in crate::plugin::load) const VERSION: &str = "0.1.0";

/// The world that a component was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It takes a batch at a time, in columns.
    Processor,
    /// It takes an event, or a timer, at a time.
    RecordProcessor,
}

/// An interface that a plugin is granted, and what it means, in a sentence.
pub(in crate::plugin::load) struct GrantedInterface {
    pub(in crate::plugin::load) name: &'static str,
    means: &'static str,
}

const fn granted(name: &'static str, means: &'static str) -> GrantedInterface {
    GrantedInterface { name, means }
}

/// `types` and `batches` are words only; the Rust SDK names both in either world.
const WORDS: &str = "words that the interfaces share; nothing in it can be called";
const LOG: &str = "it writes lines to its operator's log; too many of them are dropped, and counted";

const OF_PROCESSOR: &[GrantedInterface] = &[
    granted("types", WORDS),
    granted("batches", WORDS),
    granted(
        "state-reader",
        "it reads its own stores, those entries of a key that do not come with the batch",
    ),
    granted("log", LOG),
];

const OF_RECORD_PROCESSOR: &[GrantedInterface] = &[
    granted("types", WORDS),
    granted("batches", WORDS),
    granted(
        "state",
        "it reads and changes its own stores, under the key of the event or the timer at hand",
    ),
    granted(
        "timers",
        "it sets and clears its own timers of the key at hand, and is told event time and the host's clock",
    ),
    granted("output", "it puts records out, and adds to its own metrics"),
    granted(
        "chance",
        "it gets a number of chance, the same in a replay of the event",
    ),
    granted("log", LOG),
];

impl World {
    /// What a component imports or exports tells it: both worlds have names that the other one has not.
    pub(in crate::plugin::load) fn of(imports: &[String], exports: &[String]) -> Self {
        let mut imports = imports.iter().filter_map(|name| ours(name));
        let asks = imports.any(|(name, _)| ["state", "timers", "output", "chance"].contains(&name));
        match asks || exports.iter().any(|name| name == "fire") {
            true => Self::RecordProcessor,
            false => Self::Processor,
        }
    }

    /// Its name in the interface, with the version that this host serves: `sandbar:plugin/processor@0.1.0`.
    pub fn interface(self) -> String {
        format!("{PACKAGE}{self}@{VERSION}")
    }

    /// The interfaces that a plugin is granted.
    pub(in crate::plugin::load) fn granted(self) -> &'static [GrantedInterface] {
        match self {
            Self::Processor => OF_PROCESSOR,
            Self::RecordProcessor => OF_RECORD_PROCESSOR,
        }
    }

    /// Whether a plugin is granted an import of the interface's package.
    pub(in crate::plugin::load) fn grants(self, import: &str) -> bool {
        self.means(import).is_some()
    }

    fn means(self, import: &str) -> Option<&'static str> {
        let (name, _) = ours(import)?;
        self.granted()
            .iter()
            .find(|granted| granted.name == name)
            .map(|granted| granted.means)
    }

    /// What a plugin may do by an import that it is granted, in a sentence.
    pub(in crate::plugin::load) fn meaning(self, import: &str) -> &'static str {
        self.means(import).or_else(|| wasi::meaning(import)).unwrap_or_default()
    }

    /// What a plugin exports at least.
    pub(in crate::plugin::load) fn exported(self) -> &'static [&'static str] {
        match self {
            Self::Processor => &["describe", "open", "process"],
            Self::RecordProcessor => &["describe", "open", "process", "fire"],
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Processor => "processor",
            Self::RecordProcessor => "record-processor",
        })
    }
}

/// The interface's name and version in `sandbar:plugin/log@0.1.0`.
pub(in crate::plugin::load) fn ours(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}
