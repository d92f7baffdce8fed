//! Makes a component out of a core module, whichever tool chain it comes from.
//!
//! Owns the two things that a tool chain may leave to us: the adapter from WASI preview 1, which only a module gets
//! that imports it, and the world, for a module whose bindings left none in a custom section.

use std::path::Path;

use wasi_preview1_component_adapter_provider as adapters;
use wasmparser::{Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::Resolve;

/// Makes a component out of a core module that carries its world in a custom section.
///
/// # Errors
/// The module is no valid one, carries no world, or lacks what its world promises.
pub fn wrap(core: &[u8]) -> Result<Vec<u8>, String> {
    let module = Module::read(core)?;
    if !module.has_world {
        return Err("the module carries no world: its bindings leave it in a custom section `component-type`".into());
    }
    let mut encoder = ComponentEncoder::default().validate(true).module(core).map_err(text)?;
    if module.imports_preview1 {
        let adapter = adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        encoder = encoder
            .adapter(adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)
            .map_err(text)?;
    }
    encoder.encode().map_err(text)
}

/// Puts a world of a WIT folder (or file) into a core module, for tool chains without bindings. A module that carries
/// one already is given back as it is.
///
/// # Errors
/// The module or the folder cannot be read, or the folder has no such world.
pub fn embed(core: &[u8], wit: &Path, world: &str) -> Result<Vec<u8>, String> {
    let mut embedded = core.to_vec();
    if Module::read(core)?.has_world {
        return Ok(embedded);
    }
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(text)?;
    let world = resolve.select_world(&[package], Some(world)).map_err(text)?;
    wit_component::embed_component_metadata(&mut embedded, &resolve, world, StringEncoding::UTF8).map_err(text)?;
    Ok(embedded)
}

/// What a core module says about itself.
#[derive(Default)]
struct Module {
    has_world: bool,
    imports_preview1: bool,
}

impl Module {
    fn read(core: &[u8]) -> Result<Self, String> {
        let mut module = Self::default();
        if !core.starts_with(b"\0asm") {
            return Err("no WebAssembly".into());
        }
        for payload in Parser::new(0).parse_all(core) {
            match payload.map_err(|error| format!("no core module: {error}"))? {
                Payload::Version { encoding, .. } if encoding != wasmparser::Encoding::Module => {
                    return Err("no core module, but a component already".into());
                }
                // The C bindings add a suffix to the name.
                Payload::CustomSection(section) => module.has_world |= section.name().starts_with("component-type"),
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.map_err(|error| format!("no core module: {error}"))?;
                        module.imports_preview1 |= import.module == adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }
}

/// An error with all its causes, in one line.
fn text(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}
