//! A virtual WASI 0.2, for languages whose runtimes need one.
//!
//! Owns what a guest is given of it: clocks that show the record's time, randomness that a replay repeats, standard
//! output that is the plugin's log; no environment, no files, no sockets, and no way to wait. Never asks the machine
//! for anything. Always: what is not granted is an error that the guest can handle, or cannot be called at all, since
//! it takes a file or a socket that nobody can have.

mod interfaces;
mod surroundings;
mod streams;
mod denied;
mod link;

pub(super) use interfaces::{is_granted, is_newer, is_wasi, meaning};
pub(super) use link::grant;
pub(super) use surroundings::Surroundings;
