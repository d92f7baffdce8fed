//! `sandbar dev`: a pipeline at work while a person changes it, on a broker that comes along.
//!
//! ```text
//! files, typed lines → topics of an embedded broker → the run, as ever → topics → what a person sees
//!                                  ↑ stopped with a checkpoint and begun again with the new plugin
//! sources of the plugins → watched → built → loaded and checked
//! ```
//!
//! Owns the folder `.sandbar/dev/NAME` beside the pipeline file, begun anew by each session. Never writes to a cluster
//! that the file names, and leaves nothing there. Always: what runs is a copy of a plugin that was built, loaded and
//! took its configuration; state and positions of a swap are those of a checkpoint.

mod event;
mod local;
mod plugins;
mod running;
mod session;
mod signal;
mod tail;
mod topics;
mod typed;

pub use event::{DevEvent, DevObserver, Way};
pub use session::{DevSettings, run};
