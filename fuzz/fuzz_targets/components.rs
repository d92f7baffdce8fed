//! A file that somebody calls a plugin: every check before anything of it is compiled, and its line tables.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar_fuzz as _;

fuzz_target!(|bytes: &[u8]| sandbar::plugin::fuzzing::component(bytes));
