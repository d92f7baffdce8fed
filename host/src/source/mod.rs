//! The station `source`.
