//! The station `server`.
