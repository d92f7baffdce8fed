//! The time that something takes.

use crate::clock;
use std::ops::AddAssign;
use std::time::Duration;

/// See the file's header.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Spent {
    /// While the thread had a processor.
    pub cpu: Duration,
    /// By the clock on the wall.
    pub wall: Duration,
}

impl Spent {
    /// Adds what `work` takes.
    pub(super) fn add<T>(&mut self, work: impl FnOnce() -> T) -> T {
        let (wall, cpu) = (clock::now(), clock::thread_cpu());
        let done = work();
        *self += Self {
            cpu: clock::thread_cpu().saturating_sub(cpu),
            wall: wall.elapsed(),
        };
        done
    }
}

impl AddAssign for Spent {
    fn add_assign(&mut self, other: Self) {
        self.cpu += other.cpu;
        self.wall += other.wall;
    }
}
