//! The station `plugin`.
