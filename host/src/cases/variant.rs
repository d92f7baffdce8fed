//! The ways in which a case is run.

use std::fmt;

/// See the file's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RunVariant {
    /// Record by record: what the expectations are compared with, and every other way.
    OneByOne,
    /// All records that follow each other in a partition at once.
    AllAtOnce,
    /// The same, and one record in each call of a plugin.
    CallsOfOne,
    /// Checkpoint and restore after every line, with the local files lost.
    Restored,
    /// A new instance for every call.
    Killed,
    /// The keys on one task, then on three, then on two.
    Moved,
    /// Batches, calls, checkpoints and batches that are given up, by chance.
    Cut {
        /// What the chance begins with.
        seed: u64,
    },
}

impl RunVariant {
    /// Records in a call, at most; `None`: as the pipeline has it.
    pub(super) fn max_batch(self) -> Option<usize> {
        match self {
            RunVariant::CallsOfOne => Some(1),
            RunVariant::Cut { seed } => Some(1 + Chance::of(!seed).below(7) as usize),
            _ => None,
        }
    }

    /// Records in the next batch, at most.
    pub(super) fn batch(self, chance: &mut Chance) -> usize {
        match self {
            RunVariant::AllAtOnce | RunVariant::CallsOfOne => usize::MAX,
            RunVariant::Cut { .. } => 1 + chance.below(12) as usize,
            _ => 1,
        }
    }

    /// How many tasks there are when `step` of `steps` comes; `None`: one a partition.
    pub(super) fn tasks(self, step: usize, steps: usize) -> Option<i32> {
        match (self, 3 * step / steps.max(1)) {
            (RunVariant::Moved, 0) => Some(1),
            (RunVariant::Moved, 1) => Some(3),
            (RunVariant::Moved, _) => Some(2),
            _ => None,
        }
    }
}

impl fmt::Display for RunVariant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RunVariant::OneByOne => out.write_str("batches of 1"),
            RunVariant::AllAtOnce => out.write_str("one batch of everything"),
            RunVariant::CallsOfOne => out.write_str("one batch of everything, calls of 1"),
            RunVariant::Restored => out.write_str("checkpoint and restore after every line"),
            RunVariant::Killed => out.write_str("the instance killed before every call"),
            RunVariant::Moved => out.write_str("the keys moved from 1 to 3 to 2 tasks"),
            RunVariant::Cut { seed } => write!(out, "cut by chance, seed {seed}"),
        }
    }
}

/// Numbers that look like chance, the same for a seed.
#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    /// That of a seed.
    pub(super) fn of(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % end.max(1)
    }
}
