//! Tells what a file is before anything of it is compiled: a plugin, or in a sentence why it is none.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use wasmparser::{ComponentTypeRef, Parser, Payload, TypeBounds};

use super::contents::Contents;
use super::extent::Extent;
use super::world::{PACKAGE, VERSION, World, ours};
use crate::error::{Error, Kind, Result};
use crate::plugin::limits::{COMPONENT_BYTES, size, tame};
use crate::plugin::wasi;

/// What a component imports and exports, by name.
#[derive(Debug, Default, Clone)]
pub(in crate::plugin::load) struct Names {
    pub(in crate::plugin::load) imports: Vec<String>,
    pub(in crate::plugin::load) exports: Vec<String>,
}

/// An error about a plugin's file.
pub(in crate::plugin::load) fn refused(path: &Path, why: impl fmt::Display) -> Error {
    Error::new(Kind::Plugin, format!("failed to load plugin `{}`", path.display()), why)
}

/// The component is none: what the parser says of it.
pub(in crate::plugin::load) fn damaged(path: &Path, complaint: &str) -> Error {
    let why = format!("the component is damaged: {}", tame(complaint, 512));
    refused(path, why).hint("it may have been cut short: build or copy it again")
}

/// The file's bytes.
pub(in crate::plugin::load) fn read(path: &Path) -> Result<Vec<u8>> {
    let unread = |why: std::io::Error| refused(path, why);
    let file = File::open(path).map_err(|why| match why.kind() {
        std::io::ErrorKind::NotFound => refused(path, "there is no such file")
            .hint("`sandbar build` makes it of a project; a path in a pipeline file is relative to that file"),
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
    recognise(path, bytes).map(|recognised| recognised.world)
}

/// What is known of a component before it is compiled.
pub(in crate::plugin::load) struct Recognised {
    pub(in crate::plugin::load) names: Names,
    pub(in crate::plugin::load) world: World,
    pub(in crate::plugin::load) contents: Contents,
}

/// What the component imports and exports, its world, and how it was made; an error if it is no plugin.
pub(in crate::plugin::load) fn recognise(path: &Path, bytes: &[u8]) -> Result<Recognised> {
    is_component(path, bytes)?;
    let (names, contents) = walk(path, bytes)?;
    right_version(path, &names)?;
    let world = World::of(&names.imports, &names.exports);
    only_granted(path, &names, world)?;
    all_exported(path, &names, world)?;
    Ok(Recognised { names, world, contents })
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

/// Walks through a component. Its names are those of the outermost level: what is nested in it has names of its own
/// that are nobody's business. There is no more of it than may be.
fn walk(path: &Path, bytes: &[u8]) -> Result<(Names, Contents)> {
    let cut = |why: wasmparser::BinaryReaderError| damaged(path, &why.to_string());
    let (mut names, mut contents) = (Names::default(), Contents::of(bytes.len() as u64));
    let (mut extent, mut depth) = (Extent::default(), 0usize);
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload.map_err(cut)?;
        extent.count(&payload, depth).map_err(|why| refused(path, why))?;
        contents.note(&payload);
        match payload {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(section) if depth == 0 => {
                for import in section {
                    let import = import.map_err(cut)?;
                    // A name for a type that stands elsewhere grants nothing.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        names.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(section) if depth == 0 => {
                for export in section {
                    names.exports.push(export.map_err(cut)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok((names, contents))
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
    let granted = |name: &str| world.grants(name) || wasi::is_granted(name);
    let foreign: Vec<&str> = names
        .imports
        .iter()
        .map(String::as_str)
        .filter(|name| !granted(name))
        .collect();
    if foreign.is_empty() {
        return Ok(());
    }
    let newer: Vec<&str> = foreign.iter().copied().filter(|name| wasi::is_newer(name)).collect();
    if !newer.is_empty() {
        let why = format!(
            "it was built for WASI 0.3, which this host does not have: it imports {}",
            list(&newer)
        );
        return Err(refused(path, why).hint("build it for WASI 0.2, such as for Rust's target wasm32-wasip2"));
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
            .map(|granted| format!("`{PACKAGE}{}`", granted.name))
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
