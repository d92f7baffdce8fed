//! Deduplication: of the records of a key that are the same, one comes out.
//!
//! ```
//! use sandbar_sdk::deduplicate::{Deduplicated, Keep, Sighting};
//! use sandbar_sdk::prelude::*;
//! use sandbar_sdk::window::Span;
//!
//! #[derive(Deserialize)]
//! struct Once { within: Span, #[serde(skip)] seen: Deduplicated }
//!
//! impl Plugin for Once {
//!     fn stores(stores: &mut Stores<Self>) { stores.deduplicated("groups", "ends", |once| &mut once.seen); }
//!
//!     fn open(&mut self) -> Result<(), Refusal> { self.seen.open(self.within, Keep::First) }
//!
//!     fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
//!         if self.seen.add(event, event.bytes()?)? == Sighting::First { out.pass(event); }
//!         Ok(())
//!     }
//!
//!     fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
//!         self.seen.fire(fired, |last| { last.emit(fired.key(), out); })
//!     }
//! }
//! ```
//!
//! Owns which records are one group, and when a group is forgotten. Always: of a group one record comes out, and a
//! record whose group may be forgotten already is called late, and begins none.

mod group;
mod deduplicated;

#[cfg(test)]
mod tests;

pub use deduplicated::{Deduplicated, Keep, Sighting};
pub use group::LastRecord;
