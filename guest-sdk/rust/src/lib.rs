#![doc = include_str!("../README.md")]
//!
//! # The parts
//!
//! Owns the author's side of the interface in `wit/`: what a batch and an outcome are in Rust, and the glue between
//! them and the author's code. Never does I/O: a plugin reaches nothing but the batch, its own state and its log.
//! Always: a record is either processed or refused, and what a refused record had emitted or written to the state is
//! taken back.

mod plugin;
mod description;
mod batch;
mod event;
mod column;
mod outputs;
mod refusal;
mod state;
mod time;
pub mod window;
pub mod json;
pub mod log;
#[cfg(not(target_family = "wasm"))]
pub mod testing;
mod glue;

#[cfg(test)]
mod tests;

pub use batch::Batch;
pub use column::{Bytes, Column, Headers, NULL};
pub use description::Description;
pub use event::Event;
pub use glue::bindings;
#[doc(hidden)]
pub use glue::{described_state, guest};
#[cfg(feature = "record-processor")]
pub use glue::{one_by_one, record_bindings};
pub use outputs::{Emitted, Outputs};
pub use plugin::{BatchPlugin, Plugin};
pub use refusal::{Failure, Refusal, dead_letter, fail, retry, skip};
pub use serde;
pub use serde_json;
pub use state::expiring;
pub use state::{Codec, Declared, List, Map, MapKey, Postcard, Raw, Scan, Store, Stores, Timed, Value};
pub use time::{Fired, Keyed, Timer, Timers};
pub use window::{deduplicate, join};

/// What nearly every plugin needs, for `use sandbar_sdk::prelude::*`.
pub mod prelude {
    pub use crate::json::{self, LazyValue, Pointer};
    pub use crate::{
        Batch, BatchPlugin, Description, Event, Failure, Fired, Keyed, List, Map, NULL, Outputs, Plugin, Raw, Refusal,
        Stores, Timer, Timers, Value, dead_letter, fail, log, retry, skip,
    };
    pub use serde::{Deserialize, Serialize};
}
