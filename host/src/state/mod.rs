//! Keyed state: what a task's operators remember, on this machine. The home of RocksDB.
//!
//! ```text
//! a batch's reads → overlay (changes since the last commit) → cache
//!   → RocksDB (one multi-get for what these do not know)
//! a batch's changes → overlay, kept or undone as a whole
//! … commit: the overlay, encoded, is the delta that a checkpoint stores;
//!   once committed it is applied in one write batch with its pointer
//! ```
//!
//! Always: what RocksDB holds is exactly the state that its pointer names, never ahead of what Kafka committed; a
//! task's state is touched by one thread (a [`View`] reads what is applied, from any thread); stored bytes, keys and
//! deltas, are versioned and have golden tests.
//!
//! Never: it knows no plugin and no checkpoint store; which pointer counts, and where a delta comes from, is said to
//! it.
//!
//! Errors: [`Kind::Corrupt`](crate::error::Kind::Corrupt) from a task means that its local files are damaged or of
//! another layout: `forget` them and restore. A full disk or a file that may not be written is
//! [`Kind::Unwritable`](crate::error::Kind::Unwritable): nothing is lost, nothing to forget.

mod directory;
mod batch_lookup;
mod task;
mod apply;
mod overlay;
mod cache;
mod scan;
mod timers;
mod view;
mod delta;
mod keys;
mod lists;
mod files;
mod rocks;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod model;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod bounds;

pub use delta::{dropping, unchanged};
pub use directory::StateDirectory;
pub use keys::{StoreId, store_id};
pub use lists::LIST_BYTES;
pub use scan::Most;
pub use task::{TaskState, TaskStats};
pub use timers::KeptTimer;
pub use view::{View, look};
