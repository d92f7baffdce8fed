//! Passes records unchanged.
