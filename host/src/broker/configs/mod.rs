//! Settings: those that topics have and the broker keeps to, and those that it tells of itself.
//!
//! What always holds: a setting that a topic has is in force. One that this broker can't keep to is refused by its
//! name, and never kept.

pub(super) mod known;
pub(super) mod topic;
pub(super) mod own;
pub(super) mod describe;
pub(super) mod alter;
