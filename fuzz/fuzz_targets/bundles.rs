//! The objects of a checkpoint store: bundles, bases and savepoints, by their bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| sandbar::checkpoint::fuzzing::stored(bytes));
