//! Where records come from.

pub mod file;
pub mod event_time;
