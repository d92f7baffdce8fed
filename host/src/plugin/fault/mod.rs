//! What went wrong in a guest: judged from wasmtime's error, where in the guest's sources it was, and what its memory
//! held then.
//!
//! Owns the reading of what a component says of itself for people who debug it: names of functions, line tables. Never
//! believes it: each part has a limit in bytes, and reading it takes memory and time in proportion to those bytes.
//! Always: a component that says nothing, or nonsense, costs nothing and is shown with the addresses alone.

mod judge;
mod backtrace;
mod source_lines;
mod line_program;
mod demangled;
mod core_dump;
#[cfg(fuzzing)]
mod fuzzing;

pub(super) use core_dump::{CoreDumps, write_core_dump};
pub(super) use demangled::demangled;
#[cfg(fuzzing)]
pub(super) use fuzzing::look_up_lines;
pub(super) use judge::{Fault, FaultKind};
pub(super) use source_lines::SourceLines;
