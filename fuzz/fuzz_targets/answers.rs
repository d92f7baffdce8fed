//! What a plugin answers to a call: its columns, their ends and indexes, and what is made of them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| sandbar::plugin::fuzzing::answer(bytes));
