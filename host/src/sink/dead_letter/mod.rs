//! Dead letters: what they look like, and how one is read again.
//!
//! Owns their headers, whose names are a promise to programs that read them. Never decides what becomes a dead letter,
//! and never sends one. Always: a letter fits its topic, whatever its record was; what a letter says is not believed to
//! be ours beyond its form.

mod append;
mod read;

pub use append::{By, DeathReason, LEAST_BYTES, RefusalKind, USUAL_BYTES, append};
pub use read::{DiedIn, LetterText, REPLAYED, REPLAYED_KIND, own_headers, read};
