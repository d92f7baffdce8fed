//! What a guest may ask of the host, whatever world it was built for: to write to its log, and to read of the task's
//! state what cannot travel with the batch.

use std::sync::Arc;

use super::call::StateReader;
use super::guest_log::Log;
use super::limits::Ceiling;
use super::load::Ticker;
use super::turns::Driven;
use super::wasi::Surroundings;

/// What the host keeps for one instance.
pub(super) struct Guest {
    pub(super) ceiling: Ceiling,
    pub(super) log: Log,
    pub(super) reader: StateReader,
    /// The batch on its way, of a plugin that is called for a turn at a time.
    pub(super) driven: Driven,
    /// What it sees of WASI.
    pub(super) surroundings: Surroundings,
    /// The trap that ended a batch before its end; the instance is not called again.
    pub(super) spoilt: Option<wasmtime::Error>,
    /// How often it is still looked at until its call has taken its time, if a profile is taken of it.
    pub(super) looks_left: Option<u64>,
    /// Makes the deadlines of its calls pass.
    pub(super) ticker: Arc<Ticker>,
}
