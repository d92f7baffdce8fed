//! What the interface over HTTP and its clients read: bodies, queries, files. The first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| sandbar_control::fuzzing::sent(bytes));
