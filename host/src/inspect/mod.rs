//! What a person sees and sets of a pipeline beside its runs: positions, committed state and dead letters.
//!
//! Owns the questions of the command line that no run answers. Never: processes a record. Always: what it shows is
//! committed; positions are changed only while nobody runs.

mod positions;
mod rebuilt;
pub mod dead_letters;

pub use positions::{positions, set_positions};
pub use rebuilt::Rebuilt;
