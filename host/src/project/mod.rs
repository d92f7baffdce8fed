//! A plugin's project: a folder with `plugin.toml`, which `sandbar new` makes and `sandbar build` builds.
//!
//! Owns the templates of each language, the tool chains' commands, and the way from a core module to a component. Never
//! runs a plugin. Always: all that is known about a language stands in its template, and a component that is there is
//! replaced by a whole one or not at all.

mod template;
mod create;
mod manifest;
mod build;
mod wrap;
mod watch;

pub use build::{Built, build, wrap_file};
pub use create::{Created, create};
pub use manifest::{MANIFEST, MissingTool, PluginManifest};
pub use template::{languages, templates};
pub use watch::WatchedFiles;
