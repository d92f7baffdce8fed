//! From the text of `pipeline.toml` to [`crate::config::Pipeline`].
//!
//! Owns: every key, its default and its range; the sentences in which a file is refused; the schema of the file, made
//! from the same structs. Never: asks Kafka, opens a plugin, or writes anything. It reads the pipeline file and the
//! files that this one names, and nothing else. Always: a value that leaves here is valid and of a combination that is
//! built; a secret stands in no error, no schema and no `Debug` text.

mod load;
mod granted;
mod check;
mod delivery;
mod source;
mod places;
mod location;
mod graph;
mod properties;

mod file;
mod text;
mod position;
mod property;
mod schema;

#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

pub use load::{load, parse};
pub use schema::schema;
pub use text::values::duration;
