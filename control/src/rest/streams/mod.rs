//! Answers that go on: what a pipeline logs, and each change of its state.
//!
//! Always: a stream ends soon after its token or its pipeline does, and a tenant has so many of them at most.

mod watching;
mod logs;
mod events;
#[cfg(fuzzing)]
pub(super) mod fuzzing;

pub(super) use events::routes as event_routes;
pub(super) use logs::{last_lines, routes as log_routes};
pub(super) use watching::Watchers;
