//! Where records come from.

mod contact;
pub mod file;
pub mod event_time;
pub mod offsets;
pub mod tail;
