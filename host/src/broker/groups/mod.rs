//! Consumer groups: who is a member, who has which partitions, and the positions that they committed.
//!
//! Owns the classic group protocol. Never looks into an assignment. Always: a commit of a member is taken in its own
//! generation only.

pub(in crate::broker) mod requests;
pub(in crate::broker) mod group;
pub(in crate::broker) mod rebalance;
pub(in crate::broker) mod member;
pub(in crate::broker) mod offsets;
