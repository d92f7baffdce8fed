//! What all fuzzers share: a limit of memory, so that whoever takes a number of its input for a size is found at once.
//!
//! Never part of the program. Always: an allocation beyond the limit ends the process where it is asked for.

#[cfg(not(fuzzing))]
compile_error!("fuzzers are built by `make fuzz`, which counts the branches that they reach: see fuzz/README.md");

use std::alloc::System;

use cap::Cap;

/// Bytes that all that is alive may take: far more than any input needs, far less than a length in one may say.
const MOST_BYTES: usize = 256 << 20;

#[global_allocator]
static MEMORY: Cap<System> = Cap::new(System, MOST_BYTES);
