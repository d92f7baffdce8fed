//! The process itself: what a daemon granted it, the walls around it, and how many files it may have open.
//!
//! Never knows what a pipeline does. Always: what is taken or given up here is so for the whole process, until it ends.

pub mod grant;
pub mod isolation;
pub mod open_files;
