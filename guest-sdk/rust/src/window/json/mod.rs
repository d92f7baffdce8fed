//! Aggregates that a configuration names, over values in JSON: `total = { sum = "/price" }`, and what records are
//! ranked by.
//!
//! Owns what a value at a pointer counts as, and what the state of these aggregates is. Always: a value that is missing
//! or null does not count; a record whose value does not fit is refused, and leaves everything as it was.

mod found;
mod named;
mod tally;
mod distinct;
mod quantile;
mod ranking;
mod small_list;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod top_tests;

pub use found::Found;
pub use named::Aggregates;
pub use ranking::{By, Order, Ranking, SortKey};
pub use tally::{Taken, Tallies};
