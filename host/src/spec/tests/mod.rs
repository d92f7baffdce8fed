//! What a pipeline file may say, and what it is told when it may not.

mod accepted;
mod refused;
mod together;
mod granted;
mod schema;
mod reference;

use std::path::Path;

use crate::config::Pipeline;
use crate::error::Result;

/// Parses a text that stands at `pages.toml`, in no folder.
fn parse(text: &str, sets: &[&str]) -> Result<Pipeline> {
    let sets: Vec<_> = sets.iter().map(|set| (*set).to_owned()).collect();
    super::parse(text, Path::new("pages.toml"), &sets)
}
