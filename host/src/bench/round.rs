//! What a round of one plugin came to.

use super::spent::Spent;
use std::time::Duration;

/// See the file's header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct BenchRound {
    /// Records that the plugin was called with.
    pub records: u64,
    /// Calls of the plugin; a timer's too.
    pub calls: u64,
    /// What all of it took: calls, the host's part of them, state, and the commit at the round's end.
    pub spent: Spent,
    /// What the calls took of it by the clock on the wall: the guest, with the copies into and out of it.
    pub called: Duration,
}

impl BenchRound {
    /// CPU time of the worker's thread a record, in nanoseconds.
    pub fn cpu_ns_per_record(&self) -> f64 {
        each(self.spent.cpu, self.records)
    }

    /// The same by the clock on the wall.
    pub fn wall_ns_per_record(&self) -> f64 {
        each(self.spent.wall, self.records)
    }

    /// What a call takes of the wall clock's a record, in nanoseconds.
    pub fn called_ns_per_record(&self) -> f64 {
        each(self.called, self.records)
    }

    /// CPU time of the worker's thread a call, in nanoseconds.
    pub fn cpu_ns_per_call(&self) -> f64 {
        each(self.spent.cpu, self.calls)
    }

    /// The same by the clock on the wall.
    pub fn wall_ns_per_call(&self) -> f64 {
        each(self.spent.wall, self.calls)
    }

    /// Records a second, by the clock on the wall.
    pub fn records_per_second(&self) -> f64 {
        self.records as f64 / self.spent.wall.as_secs_f64().max(1e-9)
    }
}

fn each(time: Duration, count: u64) -> f64 {
    time.as_nanos() as f64 / count.max(1) as f64
}
