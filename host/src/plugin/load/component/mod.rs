//! What a file is, before anything of it is compiled: a plugin, or in a sentence why it is none.

mod world;
mod contents;
mod extent;
mod recognised;
mod features;

pub use contents::{BuiltWith, Contents};
pub(super) use features::check as check_features;
pub use recognised::world_of;
pub(super) use recognised::{Recognised, read, recognise, refused};
pub use world::World;
