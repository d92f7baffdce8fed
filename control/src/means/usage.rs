//! What pipelines used of the machine, so that a platform team can bill it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::names::Name;

/// What a pipeline used since it was told last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct UsageDelta {
    /// Milliseconds of CPU.
    pub cpu_ms: u64,
    /// Records read.
    pub records_in: u64,
    /// Records written.
    pub records_out: u64,
    /// Bytes of the records read.
    pub bytes_in: u64,
    /// Bytes of the records written.
    pub bytes_out: u64,
    /// Bytes of state, times the seconds that they were there.
    pub state_byte_seconds: u64,
}

impl UsageDelta {
    /// Adds what was used besides.
    pub(crate) fn add(&mut self, more: &Self) {
        for (sum, more) in [
            (&mut self.cpu_ms, more.cpu_ms),
            (&mut self.records_in, more.records_in),
            (&mut self.records_out, more.records_out),
            (&mut self.bytes_in, more.bytes_in),
            (&mut self.bytes_out, more.bytes_out),
            (&mut self.state_byte_seconds, more.state_byte_seconds),
        ] {
            *sum = sum.saturating_add(more);
        }
    }
}

/// What a pipeline used in a span of time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PipelineUsage {
    /// Whose it is.
    pub tenant: Name,
    /// Its name; it may be deleted since.
    pub pipeline: Name,
    /// Milliseconds of CPU.
    pub cpu_ms: u64,
    /// Records read.
    pub records_in: u64,
    /// Records written.
    pub records_out: u64,
    /// Bytes of the records read.
    pub bytes_in: u64,
    /// Bytes of the records written.
    pub bytes_out: u64,
    /// Bytes of state, times the hours that they were there.
    pub state_byte_hours: u64,
}
