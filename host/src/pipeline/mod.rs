//! The station `pipeline`.

pub mod spec;
pub mod wiring;
