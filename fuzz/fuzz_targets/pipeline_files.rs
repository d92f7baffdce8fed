//! The text of a pipeline file: of a person, and of a tenant under three grants.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sandbar_fuzz as _;

fuzz_target!(|text: &str| sandbar::spec::fuzzing::pipeline_file(text));
