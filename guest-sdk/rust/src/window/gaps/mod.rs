//! Time without gaps: one record an interval of each key, or something in the place of one.
//!
//! Owns which interval a record belongs to, and when intervals are put out. Always: all that is kept of a key is one
//! value, and a timer for each interval from the next one to that of its newest record; the intervals of a key come in
//! order, each once; what came out depends on the records and their order alone.

mod kept;
mod fill;
mod filled;

#[cfg(test)]
mod tests;

pub use fill::Fill;
pub use filled::{GapFill, IntervalResult};
