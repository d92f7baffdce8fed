//! The processes of all pipelines: a process each, of the program's own `sandbar run`.
//!
//! Never ends one because the daemon ends: they go on, and are found again by the locks that they hold. Always: the
//! state of a pipeline is derived from its process, and none runs twice.

mod home;
mod ending;
mod grants;
mod asking;
mod process;
mod takeover;
mod derive;
mod used;
mod meter;
mod keeper;
mod saving;
mod keep;
mod compare;
mod shadow;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;

pub(crate) use asking::{Answered, Question};
pub(crate) use compare::PluginComparison;
pub use compare::{StateOutcome, StoreOutcome};
pub(crate) use home::PipelineLog;
pub use keep::Fleet;
pub use meter::PipelineUse;
pub(crate) use shadow::CanaryOrder;
pub(crate) use takeover::{BeginOrder, SavepointOrder, Takeover, TakeoverSeen};
