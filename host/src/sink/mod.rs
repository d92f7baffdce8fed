//! The station `sink`.
