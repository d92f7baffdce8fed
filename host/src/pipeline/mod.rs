//! The station `pipeline`.

pub mod spec;
