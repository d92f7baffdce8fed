//! `sandbar inspect`: what a plugin is, and what differs between two.

mod form;
mod plugin;
mod upgrade;
mod verb;

pub(super) use verb::Inspect;
