//! The text of the file: where each key stands in it, what the values of single keys mean, and how it is complained of.
//!
//! Owns places, units and which lines are never shown. Never knows what a pipeline is. Always: a complaint names file,
//! line and column.

pub(in crate::spec) mod document;
pub(in crate::spec) mod secrets;
pub(in crate::spec) mod scope;
pub(in crate::spec) mod reading;
pub(in crate::spec) mod values;
pub(in crate::spec) mod sets;
pub(in crate::spec) mod json;
pub(in crate::spec) mod near;
