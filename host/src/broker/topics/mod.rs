//! Topics: which there are, what they may be called, and how many partitions they have.
//!
//! Owns their coming and going. Never makes a topic that nobody asked for. Always: a topic is in the journal before it
//! is answered.

pub(super) mod requests;
pub(super) mod refusal;
