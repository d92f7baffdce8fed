//! How a version takes over from the one before: what is saved first, and where it begins.

use std::collections::BTreeMap;

use crate::model::Status;
use crate::model::names::Digest;

/// How the current version of a pipeline takes over. By default it goes on at the last commit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Takeover {
    /// The savepoint of the version before: no process starts until it is taken.
    pub(crate) save: Option<SavepointOrder>,
    /// Where the version begins, if not at the last commit.
    pub(crate) begin: Option<BeginOrder>,
    /// Whether it begins although it drops state.
    pub(crate) drops_state: bool,
    /// Whether it was checked just now, so that no other check comes between the two processes.
    pub(crate) is_checked: bool,
    /// Whether a process that is not wanted any more ends by itself, because it was asked to drain: nothing cuts that
    /// short.
    pub(crate) is_draining: bool,
    /// What the status says of it as long as nothing is wrong, and until when (milliseconds since 1970), if not for
    /// ever.
    pub(crate) note: Option<(String, Option<i64>)>,
}

/// A savepoint to take of what a version committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SavepointOrder {
    /// Its name.
    pub(crate) name: String,
    /// The text of that version's pipeline file.
    pub(crate) file: String,
    /// The plugin of each of its operators that has one of the tenant's.
    pub(crate) plugins: BTreeMap<String, Digest>,
}

/// A savepoint to begin from, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BeginOrder {
    /// Its name.
    pub(crate) savepoint: String,
    /// Tells this beginning from another one at the same savepoint: one that was made is not made again.
    pub(crate) order: i64,
}

/// What is there of a takeover.
#[derive(Debug, Clone)]
pub(crate) struct TakeoverSeen {
    /// What the pipeline does.
    pub(crate) status: Status,
    /// The version of the newest process.
    pub(crate) started: i64,
    /// The savepoint that was taken last, and of how many tasks.
    pub(crate) saved: (String, u64),
    /// The savepoint that could not be taken, and why.
    pub(crate) not_saved: Option<(String, String)>,
    /// The order of the beginning that was made last.
    pub(crate) begun: i64,
}

impl Takeover {
    /// What the status says at this moment, if nothing is wrong.
    pub(super) fn said(&self, now: i64) -> String {
        match &self.note {
            Some((text, until)) if until.is_none_or(|until| now < until) => text.clone(),
            _ => String::new(),
        }
    }
}
