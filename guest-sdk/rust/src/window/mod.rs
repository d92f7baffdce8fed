//! Windows: records of a key that belong together by their times, or by their number, and what is made of them.
//!
//! ```
//! use sandbar_sdk::prelude::*;
//! use sandbar_sdk::window::{Count, Max, Span, Windowed, WindowResult, Windows};
//!
//! #[derive(Deserialize)]
//! struct SlowPages { size: Span, #[serde(skip)] views: Windowed<(Count, Max<u64>)> }
//!
//! #[derive(Deserialize)]
//! struct View { ms: u64 }
//!
//! impl Plugin for SlowPages {
//!     fn stores(stores: &mut Stores<Self>) { stores.windowed("views", |pages| &mut pages.views); }
//!
//!     fn open(&mut self) -> Result<(), Refusal> { self.views.open(Windows::tumbling(self.size)) }
//!
//!     fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
//!         let ms = event.json::<View>()?.ms;
//!         self.views.add(event, &((), ms), |window| put(event, window, out))?;
//!         Ok(())
//!     }
//!
//!     fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
//!         self.views.fire(fired, |window| put(fired, window, out))
//!     }
//! }
//!
//! fn put(of: &impl Keyed, window: &WindowResult<(Count, Max<u64>)>, out: &mut Outputs) -> Result<(), Refusal> {
//!     let (views, slowest) = window.value();
//!     out.emit_json(of.key(), &(window.start, views, slowest))?.timestamp(window.time);
//!     Ok(())
//! }
//! ```
//!
//! Owns which windows a record belongs to, when they are put out and when they are given up. Always: all windows of a
//! key are one value, read at most once a batch and written once; a key has one timer at most; what came out depends on
//! the records and their order alone.

mod span;
mod spec;
mod config;
mod aggregate;
mod top;
mod held;
mod turn;
mod windowed;
pub mod deduplicate;
pub mod join;
pub mod gaps;
pub mod json;

#[cfg(test)]
mod tests;

pub use aggregate::{Aggregate, Avg, Collect, Count, First, Last, Max, Min, Sum, Summed};
pub use span::Span;
pub use spec::{Emit, Windows};
pub use top::{Entered, Ranked, Top};
pub use turn::WindowResult;
pub use windowed::Windowed;

pub(crate) use spec::closed_at;
