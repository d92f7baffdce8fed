//! State with a time to live: a value, or each entry of a map, that is gone so long after it was written.
//!
//! ```
//! use sandbar_sdk::expiring::{ExpiringValue, Refresh};
//! use sandbar_sdk::prelude::*;
//! use sandbar_sdk::window::Span;
//!
//! /// How many pages a visitor saw in a row, without a pause of the configured length.
//! #[derive(Deserialize)]
//! struct Visits { pause: Span, #[serde(skip)] pages: ExpiringValue<u32> }
//!
//! impl Plugin for Visits {
//!     fn stores(stores: &mut Stores<Self>) { stores.expiring("pages", |visits| &mut visits.pages); }
//!
//!     fn open(&mut self) -> Result<(), Refusal> { self.pages.open(self.pause, Refresh::OnWrite) }
//!
//!     fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
//!         let pages = self.pages.get(event)?.unwrap_or(0) + 1;
//!         self.pages.set(event, &pages)?;
//!         out.emit_text(event.key(), pages);
//!         Ok(())
//!     }
//! }
//! # use sandbar_sdk::testing::{Host, Record};
//! # let mut host = Host::<Visits>::open(r#"{"pause": "30m"}"#).unwrap();
//! # for minute in [0, 29, 58, 88] { host.push(Record::new("ann", "", minute * 60_000)); }
//! # host.run().unwrap();
//! # let said: Vec<_> = host.take_outputs().iter().map(ToString::to_string).collect();
//! # assert_eq!(said, ["out ann=1 @0", "out ann=2 @1740000", "out ann=3 @3480000", "out ann=1 @5280000"]);
//! ```
//!
//! Owns when a value or an entry ends, and the timer that takes it away. Time is event time: a record's own, or where
//! event time stands if the record is late. Always: what has ended is never read, and is gone from the state once event
//! time has reached its end, or the end that it had before a later version made its life shorter; it is looked at once
//! in a life, however often it is written; its bytes are those that a [`Value`](crate::Value) or a [`Map`](crate::Map)
//! keeps. When it was written stands in a store of its own, so either kind of field reads what the other wrote, and
//! what has no such entry yet counts as written when the plugin first gets or sets it.

mod life;
mod value;
mod map;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod map_tests;

pub use life::Refresh;
pub use map::{ExpiringMap, ExpiringScan};
pub use value::ExpiringValue;
