//! librdkafka's producer, called directly: everything of this station that the compiler cannot check.
//!
//! Never decides anything: errors leave as librdkafka's code and text, and [`super::producer`] judges them. Always: a
//! handle's topics are released before the handle, and its reports (which callbacks point at) after it.
//!
//! The `rdkafka` crate's own producer is not used because it makes an event of each delivered record; here a success
//! costs nothing (`delivery.report.only.error`), and what is in flight is librdkafka's own count.

mod handle;
mod reports;
mod limits;

#[cfg(test)]
pub(super) use handle::no_membership;
pub(super) use handle::{Failure, Handle, Message, Setback, set_leader_epoch};
pub(super) use reports::Undelivered;
