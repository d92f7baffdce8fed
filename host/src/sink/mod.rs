//! The station `sink`.

pub mod topics;
