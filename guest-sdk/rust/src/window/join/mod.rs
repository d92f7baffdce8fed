//! Joins: records of two inputs that have the same key, and times that go together.
//!
//! ```
//! use sandbar_sdk::join::{Join, JoinKind, Joined, Pair};
//! use sandbar_sdk::prelude::*;
//! use sandbar_sdk::window::Span;
//!
//! #[derive(Deserialize)]
//! struct Paid { within: Span, #[serde(skip)] join: Joined<String, String> }
//!
//! impl Plugin for Paid {
//!     fn describe(description: Description) -> Description {
//!         description.inputs(&["orders", "payments"]).outputs(&["out", "late"])
//!     }
//!
//!     fn stores(stores: &mut Stores<Self>) { stores.joined("join", "rows", |paid| &mut paid.join); }
//!
//!     fn open(&mut self) -> Result<(), Refusal> {
//!         self.join.open(Join::within(Span::of_ms(0), self.within).kind(JoinKind::Left))
//!     }
//!
//!     fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
//!         let item = event.text()?.to_owned();
//!         let put = |pair: &Pair<String, String>| put(event, pair, out);
//!         let is_in_time = match event.input() {
//!             0 => self.join.left(event, item, put)?,
//!             _ => self.join.right(event, Some(item), put)?,
//!         };
//!         if !is_in_time { out.pass(event).to(1); }
//!         Ok(())
//!     }
//!
//!     fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
//!         self.join.fire(fired, |pair| put(fired, pair, out))
//!     }
//! }
//!
//! fn put(of: &impl Keyed, pair: &Pair<String, String>, out: &mut Outputs) -> Result<(), Refusal> {
//!     out.emit_json(of.key(), &(pair.left, pair.right))?.timestamp(pair.time);
//!     Ok(())
//! }
//! ```
//!
//! Owns which records are partners, and when a record is given up. Always: a record is kept for as long as a partner
//! can come, and is found by its time; a key has one timer at most; what comes out depends on the records and their
//! order alone.

mod spec;
mod rows;
mod turn;
mod inline;
mod interval;
mod windows;
mod as_of;
mod joined;

#[cfg(test)]
mod tests;

pub use joined::Joined;
pub use rows::JoinItem;
pub use spec::{Join, JoinKind};
pub use turn::Pair;
