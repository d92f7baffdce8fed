//! Cases: records that are written down, and what has to come of them, run without Kafka.
//!
//! Owns what a folder of cases means, and the ways to run one: record by record, and for the matrix cut, restored,
//! killed and moved. Never: talks to Kafka, and never decides what a record does: the engine that `run` uses does.
//! Always: a case comes out the same each time; its clock stands where the case sets it.

mod subject;
mod given;
mod expected;
mod meaning;
mod outcome;
mod variant;
mod task;
mod kept;
mod moved;
mod run;
mod matrix;
mod bless;
mod verdict;
mod rerun;
#[cfg(test)]
mod tests;

pub(crate) use given::{GivenCase, StepKind};
pub use outcome::Difference;
pub use rerun::{Rerun, RerunOutcome};
pub(crate) use run::header;
pub use subject::Subject;
pub use verdict::{CaseVerdict, RunVerdict, TestOptions, list, test};
