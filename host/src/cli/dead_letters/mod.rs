//! `sandbar dead-letters`: what went wrong, with its places, and sending it through again.
//!
//! Owns arguments, texts and JSON. Never shows a letter's bytes to a terminal as they are: a record may be anybody's.

mod verb;
mod shown;
mod sent;
mod local;

pub(super) use verb::DeadLettersArgs;
