//! The station `source`.

mod contact;
pub mod offsets;
pub mod tail;
