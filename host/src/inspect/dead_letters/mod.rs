//! The dead letters of a pipeline: read from where they lie, and sent through again.
//!
//! Never runs a plugin. Always: what is sent again is the source's record, to the partition that it came from, or
//! nothing; and a letter that was replayed is known by the mark behind it.

mod letters;
mod replay;
mod through;

pub use letters::{FoundLetter, LetterBox, LetterList, LetterPlace};
pub use replay::{Replay, Replayed};
pub use through::Through;
