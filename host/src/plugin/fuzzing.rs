//! The doors of this station for the fuzzers.

pub use super::call::fuzzing::answer;
pub use super::load::fuzzing::component;
