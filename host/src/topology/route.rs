//! The way of a source's batches through operators to sinks.
//!
//! A batch of a source visits the operators behind it in the order of `Route::calls`, each call reading the source's
//! records and what earlier calls put out, and then the sinks of `Route::stages`. So all of a batch is computed before
//! any of it is staged.
//!
//! Always: an operator is called once, behind everything that it reads. What it gets from several sides is in the order
//! of the source's records, so that it does not depend on how these were cut into batches.

use std::collections::BTreeSet;

/// Where records come from inside a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecordsFrom {
    /// The source's batch.
    Source,
    /// An output of an earlier call of the route.
    Call {
        /// Index in `Route::calls`.
        call: usize,
        /// Index of the operator's output.
        output: usize,
    },
}

/// One operator is called, once a batch, with all that its inputs get of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperatorCall {
    /// Index in `Pipeline::operators`.
    pub operator: usize,
    /// What it reads, in the order of its inputs. Empty: no record of the source comes to it, but its timers fire when
    /// the source's records move time.
    pub inputs: Vec<CallInput>,
}

/// What an operator reads at one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallInput {
    /// Index of the operator's input.
    pub input: u8,
    /// What it reads.
    pub from: RecordsFrom,
}

/// One sink takes records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stage {
    /// Index in `Pipeline::sinks`.
    pub sink: usize,
    /// What it takes.
    pub from: RecordsFrom,
}

/// The way of one source's batches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Route {
    /// Operators, each behind what it reads.
    pub calls: Vec<OperatorCall>,
    /// Sinks.
    pub stages: Vec<Stage>,
}

/// What a plugin declares that matters to its place in a pipeline.
#[derive(Debug, Clone, Default)]
pub struct Ports {
    /// Names of its inputs; empty: one without a name.
    pub inputs: Vec<String>,
    /// Names of its outputs; empty: one without a name.
    pub outputs: Vec<String>,
    /// Names of its stores, those of its timers too; empty: it keeps no state.
    pub stores: Vec<String>,
    /// It sets timers.
    pub has_timers: bool,
    /// Its outputs have the key of what caused them.
    pub keeps_key: bool,
}

impl Route {
    /// Whether records of the source come to a call.
    pub(super) fn is_reached(&self, call: usize) -> bool {
        self.calls[call].inputs.iter().any(|input| match input.from {
            RecordsFrom::Source => true,
            RecordsFrom::Call { call, .. } => self.is_reached(call),
        })
    }

    /// The operators that records have passed which come to a call, each once.
    pub(super) fn upstream(&self, call: usize) -> BTreeSet<usize> {
        let mut passed = BTreeSet::new();
        for input in &self.calls[call].inputs {
            if let RecordsFrom::Call { call, .. } = input.from {
                passed.insert(self.calls[call].operator);
                passed.extend(self.upstream(call));
            }
        }
        passed
    }
}
