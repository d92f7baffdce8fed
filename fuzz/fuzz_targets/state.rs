//! What is kept of keyed state: deltas, keys of maps, frames of lists, timers.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| sandbar::state::fuzzing::kept(bytes));
