//! From a file to a plugin.
//!
//! Owns the engine, what is noted of its guests, what a file has to be before anything of it is compiled, compiled
//! plugins on disk, what a plugin says that it is, and the check of a configuration against its schema. Never calls a
//! plugin with a batch. Always: a file that is no plugin is refused with a sentence that says why, and what it imports
//! is looked at before it is compiled.

mod deadlines;
mod watch;
mod engine;
mod component;
mod cache;
mod names;
mod stores;
mod timers;
mod description;
mod configuration;
mod loaded;
mod ready_made;
#[cfg(fuzzing)]
pub(in crate::plugin) mod fuzzing;

pub use component::{BuiltWith, Contents, World, world_of};
pub(in crate::plugin) use deadlines::{TICK, Ticker, ticks};
pub(in crate::plugin) use description::Said;
pub use description::{Description, Metric, MetricKind, Needs};
pub use engine::Engine;
pub(in crate::plugin) use engine::Shared;
pub use loaded::Plugin;
pub use ready_made::READY_MADE;
pub(in crate::plugin) use stores::SaidStore;
pub use stores::{Store, StoreKind, Stored, compatible};
pub use timers::{Timer, TimerClock};
pub use watch::{GuestProfile, GuestSample, GuestStack};
pub(in crate::plugin) use watch::{GuestWatch, LOOK};
