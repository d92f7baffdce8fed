//! Tells what a file is before anything of it is compiled: a plugin, or in a sentence why it is none.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use wasmparser::{BinaryReaderError, ComponentTypeRef, Parser, Payload, TypeBounds};

use crate::error::{Error, Kind, Result};
use crate::plugin::limits::{COMPONENT_BYTES, size, tame};
use crate::plugin::wasi;

/// The package of the interface, and the version of it that this host serves.
const PACKAGE: &str = "sandbar:plugin/";
const VERSION: &str = "0.1.0";

/// The world that a component was built for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum World {
    /// It takes a batch at a time, in columns.
    Processor,
    /// It takes an event, or a timer, at a time.
    RecordProcessor,
}

impl World {
    /// What a component imports or exports tells it: both worlds have names that the other one has not.
    fn of(names: &Names) -> Self {
        let mut imports = names.imports.iter().filter_map(|name| ours(name));
        let asks = imports.any(|(name, _)| ["state", "timers", "output", "chance"].contains(&name));
        match asks || names.exports.iter().any(|name| name == "fire") {
            true => Self::RecordProcessor,
            false => Self::Processor,
        }
    }

    /// The interfaces that a plugin is granted. `types` and `batches` are words only; the Rust SDK names both in either
    /// world.
    fn granted(self) -> &'static [&'static str] {
        match self {
            Self::Processor => &["types", "batches", "state-reader", "log"],
            Self::RecordProcessor => &["types", "batches", "state", "timers", "output", "chance", "log"],
        }
    }

    /// What a plugin exports at least.
    fn exported(self) -> &'static [&'static str] {
        match self {
            Self::Processor => &["describe", "open", "process"],
            Self::RecordProcessor => &["describe", "open", "process", "fire"],
        }
    }
}

impl fmt::Display for World {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Processor => "processor",
            Self::RecordProcessor => "record-processor",
        })
    }
}

/// What a component imports and exports, by name.
#[derive(Debug, Default, Clone)]
pub(super) struct Names {
    pub(super) imports: Vec<String>,
    pub(super) exports: Vec<String>,
}

/// An error about a plugin's file.
pub(super) fn refused(path: &Path, why: impl fmt::Display) -> Error {
    Error::new(Kind::Plugin, format!("failed to load plugin `{}`", path.display()), why)
}

/// The file's bytes.
pub(super) fn read(path: &Path) -> Result<Vec<u8>> {
    let unread = |why: std::io::Error| refused(path, why);
    let file = File::open(path).map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => {
            refused(path, "there is no such file").hint("a path in a pipeline file is relative to that file")
        }
        _ => unread(why),
    })?;
    let about = file.metadata().map_err(unread)?;
    if about.is_dir() {
        return Err(refused(path, "it is a folder, not a component").hint("name the .wasm file in it"));
    }
    let mut bytes = Vec::new();
    file.take(COMPONENT_BYTES + 1).read_to_end(&mut bytes).map_err(unread)?;
    if bytes.len() as u64 > COMPONENT_BYTES {
        return Err(refused(
            path,
            format!(
                "it is larger than {}, the most that a plugin may have",
                size(COMPONENT_BYTES)
            ),
        ));
    }
    Ok(bytes)
}

/// The world of a component's bytes, which stand or will stand at `path`; nothing of them is compiled.
///
/// # Errors
/// `Plugin`: it is no plugin, and why.
pub fn world_of(path: &Path, bytes: &[u8]) -> Result<World> {
    recognise(path, bytes).map(|(_, world)| world)
}

/// What the component imports and exports, and its world; an error if it is no plugin.
pub(super) fn recognise(path: &Path, bytes: &[u8]) -> Result<(Names, World)> {
    is_component(path, bytes)?;
    let names = names(bytes).map_err(|why| {
        refused(
            path,
            format!("the component is damaged: {}", tame(&why.to_string(), 512)),
        )
        .hint("it may have been cut short: build or copy it again")
    })?;
    right_version(path, &names)?;
    let world = World::of(&names);
    only_granted(path, &names, world)?;
    all_exported(path, &names, world)?;
    Ok((names, world))
}

fn is_component(path: &Path, bytes: &[u8]) -> Result<()> {
    if Parser::is_component(bytes) {
        return Ok(());
    }
    Err(if bytes.is_empty() {
        refused(path, "the file is empty")
    } else if Parser::is_core_wasm(bytes) {
        refused(path, "it is a core WebAssembly module, not a component")
            .hint("wrap it with `wasm-tools component new`; with the Rust SDK, build it as its README says")
    } else if bytes.starts_with(b"\0asm") {
        refused(
            path,
            "it is WebAssembly of another version, neither a module nor a component that this host knows",
        )
        .hint("build it again with tools that emit components of the WebAssembly component model")
    } else if bytes.starts_with(b"\x7fELF") {
        refused(path, "it is a native binary, not a WebAssembly component")
            .hint("name the component itself; compiled forms are made and kept by the host")
    } else if std::str::from_utf8(bytes).is_ok_and(|text| !text.contains('\0')) {
        refused(path, "it is a text file, not a WebAssembly component")
            .hint("name the .wasm file that was built from it")
    } else {
        refused(path, "it is not WebAssembly at all").hint("a plugin is a WebAssembly component, usually NAME.wasm")
    })
}

/// Walks the outermost level of a component; what is nested in it has names of its own that are nobody's business.
fn names(bytes: &[u8]) -> Result<Names, BinaryReaderError> {
    let mut names = Names::default();
    let mut depth = 0usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload? {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import?;
                    // A name for a type that stands elsewhere grants nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        names.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.exports.push(export?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

/// The interface's name and version in `sandbar:plugin/log@0.1.0`.
fn ours(name: &str) -> Option<(&str, &str)> {
    let rest = name.strip_prefix(PACKAGE)?;
    Some(rest.split_once('@').unwrap_or((rest, "")))
}

fn right_version(path: &Path, names: &Names) -> Result<()> {
    let other = names
        .imports
        .iter()
        .chain(&names.exports)
        .filter_map(|name| ours(name))
        .find(|(_, version)| *version != VERSION);
    let Some((_, version)) = other else { return Ok(()) };
    let version = tame(version, 64);
    Err(refused(
        path,
        format!("it was built for version {version} of the plugin interface; this host serves {VERSION}"),
    )
    .hint("build it with the SDK of this version of Sandbar"))
}

fn only_granted(path: &Path, names: &Names, world: World) -> Result<()> {
    let of_world = |name: &str| ours(name).is_some_and(|(name, _)| world.granted().contains(&name));
    let granted = |name: &str| of_world(name) || wasi::is_granted(name);
    let foreign: Vec<&str> = names
        .imports
        .iter()
        .map(String::as_str)
        .filter(|name| !granted(name))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let error = refused(
        path,
        format!("it imports what a plugin is not granted: {}", list(&foreign)),
    );
    Err(if foreign.iter().any(|name| wasi::is_wasi(name)) {
        error.hint(
            "of WASI 0.2 a plugin has `cli`, `clocks`, `io`, `random`, `filesystem` and `sockets`, all of them virtual",
        )
    } else {
        let granted: Vec<String> = world
            .granted()
            .iter()
            .map(|name| format!("`{PACKAGE}{name}`"))
            .collect();
        error.hint(format!(
            "a plugin of world `{world}` may import {} and nothing else",
            granted.join(", ")
        ))
    })
}

fn all_exported(path: &Path, names: &Names, world: World) -> Result<()> {
    let missing: Vec<&str> = world
        .exported()
        .iter()
        .copied()
        .filter(|wanted| !names.exports.iter().any(|name| name == wanted))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    Err(refused(
        path,
        format!(
            "it is a component, but no plugin: it does not export {}",
            list(&missing)
        ),
    )
    .hint(format!(
        "a plugin of world `{world}` exports {}; an SDK does it",
        list(world.exported())
    )))
}

/// The first eight names, and how many more there are.
fn list(names: &[&str]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(8)
        .map(|name| format!("`{}`", tame(name, 128)))
        .collect();
    let more = names.len().saturating_sub(shown.len());
    match more {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
