//! State by key: what a plugin remembers from one event to the next, through restarts, crashes and moves.
//!
//! Owns the typed stores and a batch's own writes, which it lays over what the state held before the call. Never writes
//! anything: a call gives back changes, the last ones of the batch. Always: a read sees every write of the events
//! and firings before, wherever the batch was cut, and none of one that was refused.

pub(crate) mod codec;
pub(crate) mod wire;
mod schema;
mod stores;
mod value;
mod list;
mod map;
mod map_key;
mod end_key;
mod reader;
pub mod expiring;

pub use codec::{Codec, Postcard, Raw};
pub use list::List;
pub use map::{Map, Scan};
pub use map_key::MapKey;
pub use stores::{Declared, Store, Stores, Timed};
pub use value::Value;

pub(crate) use end_key::EndKey;
pub(crate) use stores::{Changes, Kept};
