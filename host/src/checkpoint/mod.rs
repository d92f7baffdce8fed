//! The station `checkpoint`.
