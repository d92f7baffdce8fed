//! The station `pipeline`.
