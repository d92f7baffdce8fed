//! A plugin as the rest of the host holds it: a file that was read, checked, compiled and asked what it is.

use std::path::Path;
use std::sync::Arc;

use jsonschema::Validator;
use sha2::{Digest, Sha256};
use wasmtime::component::Component;

use super::cache::hex;
use super::component::{self, Contents, Recognised, World, refused};
use super::configuration;
use super::description::Description;
use super::engine::{Engine, Shared};
use super::ready_made;
use super::watch::{GuestProfile, GuestWatch};
use crate::config::Limits;
use crate::error::{Error, Kind, Result};
use crate::plugin::fault::SourceLines;
use crate::plugin::guest_log::Log;
use crate::plugin::instance::{DESCRIBE_STATE, Instance};
use crate::plugin::limits::{STATE_SCHEMA_BYTES, tame};
use crate::plugin::wasi;
use crate::plugin::world::Linked;

/// A compiled, checked plugin. Cheap to clone; every clone is the same plugin.
#[derive(Clone)]
pub struct Plugin {
    loaded: Arc<Loaded>,
}

struct Loaded {
    /// Holds the deadlines' thread: a plugin keeps them passing, whoever drops the engine.
    engine: Arc<Shared>,
    linked: Linked,
    recognised: Recognised,
    description: Description,
    state_schemas: Vec<String>,
    schema: Option<Validator>,
    digest: String,
    lines: SourceLines,
}

impl Engine {
    /// Reads, checks and compiles a plugin, and asks it what it is: a file, or one that comes with Sandbar by its name.
    /// Every way in which a file is no plugin has its own sentence (`Kind::Plugin`); what a component imports is looked
    /// at before it is compiled.
    pub fn load(&self, path: &Path) -> Result<Plugin> {
        Plugin::load(self.shared.clone(), &ready_made::file_of(path)?)
    }
}

impl Plugin {
    fn load(engine: Arc<Shared>, path: &Path) -> Result<Self> {
        let bytes = component::read(path)?;
        let recognised = component::recognise(path, &bytes)?;
        let digest = hex(&Sha256::digest(&bytes));
        let component = compile(&engine, path, &bytes, &digest)?;
        let linked = link(&engine, path, &component, &recognised)?;
        let lines = SourceLines::of(&bytes);
        let description = describe(&engine, path, &linked, &lines)?;
        let state_schemas = match recognised.names.exports.iter().any(|name| name == DESCRIBE_STATE) {
            true => describe_state(&engine, path, &linked, description.stores.len()),
            false => Vec::new(),
        };
        let schema = configuration::compile(&description.config_schema).map_err(|why| refused(path, why))?;
        Ok(Self {
            loaded: Arc::new(Loaded {
                engine,
                linked,
                recognised,
                description,
                state_schemas,
                schema,
                digest,
                lines,
            }),
        })
    }

    /// What the plugin says that it is.
    pub fn description(&self) -> &Description {
        &self.loaded.description
    }

    /// How the bytes of its stores are to be shown, as world `described-state` of the interface has it: one text a
    /// store; nothing if the plugin does not say it. A guest's text, of which only the length was checked.
    pub fn state_schemas(&self) -> &[String] {
        &self.loaded.state_schemas
    }

    /// The world that it was built for.
    pub fn world(&self) -> World {
        self.loaded.recognised.world
    }

    /// What its file tells of how it was made.
    pub fn contents(&self) -> &Contents {
        &self.loaded.recognised.contents
    }

    /// What it imports, by name; all of it is granted.
    pub fn imports(&self) -> &[String] {
        &self.loaded.recognised.names.imports
    }

    /// What it may do by one of its imports, in a sentence.
    pub fn meaning(&self, import: &str) -> &'static str {
        self.world().meaning(import)
    }

    /// What it exports, by name.
    pub fn exports(&self) -> &[String] {
        &self.loaded.recognised.names.exports
    }

    /// SHA-256 of the component, in hexadecimal digits.
    pub fn digest(&self) -> &str {
        &self.loaded.digest
    }

    /// From now on its instances are looked at a thousand times a second. Of an engine that is
    /// [`sampling`](Engine::sampling).
    ///
    /// # Errors
    /// `Bug`: the engine is another one.
    pub fn begin_profile(&self) -> Result<()> {
        match &self.loaded.engine.watch {
            GuestWatch::Samples(samples) => {
                samples.begin();
                Ok(())
            }
            GuestWatch::Nothing | GuestWatch::Instructions | GuestWatch::Traps(_) => {
                Err(no_profile("its engine does not sample"))
            }
        }
    }

    /// Ends the profile that was begun.
    ///
    /// # Errors
    /// `Bug`: none was begun.
    pub fn end_profile(&self) -> Result<GuestProfile> {
        match &self.loaded.engine.watch {
            GuestWatch::Samples(samples) => samples.end(),
            GuestWatch::Nothing | GuestWatch::Instructions | GuestWatch::Traps(_) => None,
        }
        .ok_or_else(|| no_profile("none was begun"))
    }

    pub(in crate::plugin) fn engine(&self) -> &Shared {
        &self.loaded.engine
    }

    /// The text to open its instances with, if the declared schema takes the configuration of an operator of this name.
    pub(in crate::plugin) fn check_config(&self, operator: &str, config: &str) -> Result<String> {
        configuration::check(operator, self.loaded.schema.as_ref(), config)
    }

    pub(in crate::plugin) fn linked(&self) -> &Linked {
        &self.loaded.linked
    }

    /// What it says of its sources, for backtraces.
    pub(in crate::plugin) fn source_lines(&self) -> &SourceLines {
        &self.loaded.lines
    }
}

impl std::fmt::Debug for Plugin {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Plugin")
            .field("description", self.description())
            .field("digest", &self.digest())
            .finish()
    }
}

fn compile(engine: &Shared, path: &Path, bytes: &[u8], digest: &str) -> Result<Component> {
    if let Some(component) = engine
        .cache
        .as_ref()
        .and_then(|cache| cache.get(&engine.wasmtime, digest))
    {
        return Ok(component);
    }
    if engine.cache.as_ref().is_some_and(|cache| !cache.is_filled()) {
        let why = "its compiled code is not there, or was made by another program or for another machine";
        return Err(refused(path, why).hint("`sandbar resume` compiles it again"));
    }
    component::check_features(path, bytes, engine.wasmtime.get_wasm_features())?;
    let component = Component::from_binary(&engine.wasmtime, bytes).map_err(|why| {
        refused(
            path,
            format!("it does not compile: {}", tame(&format!("{why:#}"), 1024)),
        )
    })?;
    if let Some(cache) = &engine.cache {
        cache.put(digest, &component);
    }
    Ok(component)
}

fn link(engine: &Shared, path: &Path, component: &Component, recognised: &Recognised) -> Result<Linked> {
    let unfit = |why: wasmtime::Error| {
        refused(
            path,
            format!(
                "it does not fit the plugin interface: {}",
                tame(&format!("{why:#}"), 1024)
            ),
        )
        .hint("build it with the SDK of this version of Sandbar")
    };
    let mut linker = engine.linker.clone();
    wasi::grant(&mut linker, component, &recognised.names.imports).map_err(unfit)?;
    Linked::new(&linker, component, recognised.world).map_err(unfit)
}

/// Asks how its stores are to be shown. It is for people's eyes only: whatever goes wrong, they are shown in hex.
fn describe_state(engine: &Shared, path: &Path, linked: &Linked, stores: usize) -> Vec<String> {
    match Instance::describe_state(linked, engine, log_of(path)) {
        Ok(said) if said.len() == stores && said.iter().all(|schema| schema.len() <= STATE_SCHEMA_BYTES) => said,
        Ok(said) => {
            tracing::debug!(plugin = %path.display(), schemas = said.len(), "they are not one a store, or too long");
            Vec::new()
        }
        Err(error) => {
            tracing::debug!(plugin = %path.display(), "it does not say how its stores are to be shown: {error:#}");
            Vec::new()
        }
    }
}

fn no_profile(why: &str) -> Error {
    Error::new(Kind::Bug, "failed to take a profile", why)
}

fn log_of(path: &Path) -> Log {
    Log::new(&path.file_stem().unwrap_or_default().to_string_lossy())
}

/// Runs `describe` in an instance that is thrown away, within the default limits: what a pipeline grants is not known
/// yet.
fn describe(engine: &Shared, path: &Path, linked: &Linked, lines: &SourceLines) -> Result<Description> {
    let (limits, log) = (Limits::default(), log_of(path));
    let mut instance = Instance::new(linked, None, limits, Arc::new([]), engine, log).map_err(|failed| {
        let why = format!("an instance could not be made: it {}", failed.0.told(lines));
        refused(path, why)
    })?;
    let said = instance
        .describe()
        .map_err(|fault| refused(path, format!("asked what it is, it {}", fault.told(lines))))?;
    Description::check(said).map_err(|why| refused(path, why))
}
