//! What a person sees and sets of a pipeline beside its runs: positions, committed state, dead letters, and its
//! plugins.
//!
//! Owns the questions of the command line that no run answers. Never: processes a record. Always: what it shows is
//! committed, or is what a plugin's file says; positions are changed only while nobody runs.

mod positions;
mod rebuilt;
pub mod dead_letters;
mod form;
mod upgrade;

pub use form::{ConfigForm, FormKey};
pub use positions::{positions, set_positions};
pub use rebuilt::Rebuilt;
pub use upgrade::{ConfigOutlook, GoesOn, PluginChange, StoreOutlook, Upgrade};
