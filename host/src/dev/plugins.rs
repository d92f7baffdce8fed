//! The plugins of a session: built if their projects are here, loaded, checked, and copied to where nothing changes
//! them.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::event::DevEvent;
use crate::clock;
use crate::config::{Pipeline, is_ready_made};
use crate::error::{Error, Kind, Result};
use crate::plugin::Engine;
use crate::plugin::shown::hex;
use crate::project::{self, MANIFEST, PluginManifest};
use crate::runtime;

/// The projects of a pipeline's plugins, each once.
pub(super) fn projects(pipeline: &Pipeline) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    for operator in &pipeline.operators {
        let folder = project_of(&operator.plugin);
        found.extend(folder.filter(|folder| !found.contains(folder)));
    }
    found
}

/// The folder of the plugin, if it is the project that makes this plugin.
pub(super) fn project_of(plugin: &Path) -> Option<PathBuf> {
    let folder = plugin.parent()?;
    let folder = if folder.as_os_str().is_empty() {
        Path::new(".")
    } else {
        folder
    };
    let makes = |manifest: PluginManifest| Some(manifest.plugin.as_os_str()) == plugin.file_name();
    // One that is wrong is told by its build.
    let is_its = folder.join(MANIFEST).is_file() && PluginManifest::read(folder).map_or(true, makes);
    is_its.then(|| folder.to_owned())
}

/// Builds the projects, and gives the pipeline with copies of its plugins, which it can run with.
///
/// # Errors
/// As [`project::build`] and as a start of the pipeline: what runs is not touched.
pub(super) fn ready(mut pipeline: Pipeline, folder: &Path, tell: impl Fn(DevEvent)) -> Result<Pipeline> {
    for folder in projects(&pipeline) {
        tell(DevEvent::Building { folder: folder.clone() });
        let begun = clock::now();
        let built = project::build(&folder, false)?;
        tell(DevEvent::Built {
            plugin: built.plugin,
            bytes: built.bytes,
            seconds: clock::now().duration_since(begun).as_secs_f64(),
        });
    }
    tell(DevEvent::Loading);
    for operator in &mut pipeline.operators {
        operator.plugin = copied(&operator.plugin, folder)?;
    }
    let engine = Engine::of(&pipeline)?;
    let (plugins, _routes) = runtime::load(&engine, &pipeline)?;
    for (operator, plugin) in pipeline.operators.iter().zip(&plugins) {
        plugin.operator_of(operator)?;
    }
    Ok(pipeline)
}

/// A copy that is named after its bytes; a plugin that comes with Sandbar changes never.
fn copied(plugin: &Path, folder: &Path) -> Result<PathBuf> {
    if plugin.to_str().is_some_and(is_ready_made) {
        return Ok(plugin.to_owned());
    }
    let failed = |why: std::io::Error| {
        let what = format!("failed to take plugin `{}`", plugin.display());
        Error::new(Kind::Plugin, what, why).hint("build it, or correct its path in the pipeline file")
    };
    let bytes = std::fs::read(plugin).map_err(failed)?;
    let stem = plugin.file_stem().unwrap_or_default().to_string_lossy();
    let copies = folder.join("plugins");
    let copy = copies.join(format!("{stem}-{}.wasm", hex(&Sha256::digest(&bytes))));
    let made = std::fs::create_dir_all(&copies).and_then(|()| std::fs::write(&copy, &bytes));
    made.map_err(failed)?;
    Ok(copy)
}
