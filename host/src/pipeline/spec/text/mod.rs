//! The text of the file: where each key stands in it, and what the values of single keys mean.
//!
//! Owns places and units. Never knows what a pipeline is. Always: a complaint names file, line and column.

pub(in crate::pipeline::spec) mod document;
pub(in crate::pipeline::spec) mod reading;
pub(in crate::pipeline::spec) mod values;
pub(in crate::pipeline::spec) mod sets;
