//! The station `cli`.
