//! The way of a source's batches through operators to sinks.
//!
//! A batch of a source visits the operators behind it in the order of `Route::calls`, each call reading the source's
//! records or what an earlier call put out, and then the sinks of `Route::stages`. So all of a batch is computed before
//! any of it is staged.

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

/// One operator reads one of its inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperatorCall {
    /// Index in `Pipeline::operators`.
    pub operator: usize,
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
    /// Names of its stores; empty: it keeps no state.
    pub stores: Vec<String>,
    /// Its outputs have the key of what caused them.
    pub keeps_key: bool,
}

/// The operators that records have passed which come from there, the last one first.
pub(super) fn upstream(route: &Route, from: RecordsFrom) -> impl Iterator<Item = usize> {
    let caller = |from: RecordsFrom| match from {
        RecordsFrom::Source => None,
        RecordsFrom::Call { call, .. } => Some(route.calls[call]),
    };
    std::iter::successors(caller(from), move |call| caller(call.from)).map(|call| call.operator)
}
