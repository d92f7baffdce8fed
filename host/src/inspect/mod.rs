//! What a person sees and sets of a pipeline beside its runs: positions and committed state.
//!
//! Owns the questions of the command line that no run answers. Never: processes a record. Always: what it shows is
//! committed; what it changes is changed only while nobody runs.

mod positions;
mod rebuilt;

pub use positions::{positions, set_positions};
pub use rebuilt::Rebuilt;
