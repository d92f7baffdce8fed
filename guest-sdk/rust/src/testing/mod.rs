//! A plugin's tests without a sandbox: its code runs as it is, in calls that are cut as the test says.
//!
//! ```
//! use sandbar_sdk::prelude::*;
//! use sandbar_sdk::testing::{Host, Record};
//!
//! #[derive(Deserialize)]
//! struct Quiet { after: i64, #[serde(skip)] silence: Timer, #[serde(skip)] last: Value<i64> }
//!
//! impl Plugin for Quiet {
//!     fn stores(stores: &mut Stores<Self>) { stores.add("last", |quiet| &mut quiet.last); }
//!     fn timers(timers: &mut Timers<Self>) { timers.event_time("silence", |quiet| &mut quiet.silence); }
//!
//!     fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
//!         if let Some(last) = self.last.get(event)? { self.silence.clear(event, last + self.after)?; }
//!         self.last.set(event, &event.timestamp())?;
//!         self.silence.set(event, event.timestamp() + self.after)
//!     }
//!
//!     fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
//!         self.last.delete(fired)?;
//!         out.emit(fired.key(), "is quiet");
//!         Ok(())
//!     }
//! }
//!
//! let mut host = Host::<Quiet>::open(r#"{"after": 10}"#).unwrap();
//! host.push(Record::new("a", "x", 100));
//! host.push(Record::new("a", "y", 105));
//! host.advance(200);
//! host.run().unwrap();
//! assert_eq!(host.take_outputs()[0].to_string(), "out a=is quiet @115");
//! ```
//!
//! Owns a model of the host: state and timers in memory, a call for what was pushed since the last one, and calls until
//! nothing is due any more. Always: what a call changes is applied whole, or not at all if it fails.

mod host;
mod record;
mod state;
pub(crate) mod served;
#[cfg(test)]
pub(crate) mod chance;

pub use host::Host;
pub use record::{Output, Record};
pub use state::Snapshot;
