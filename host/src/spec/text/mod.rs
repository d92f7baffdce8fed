//! The text of the file: where each key stands in it, and what the values of single keys mean.
//!
//! Owns places and units. Never knows what a pipeline is. Always: a complaint names file, line and column.

pub(in crate::spec) mod document;
pub(in crate::spec) mod reading;
pub(in crate::spec) mod values;
pub(in crate::spec) mod sets;
