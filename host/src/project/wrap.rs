//! Makes a component out of a core module, whichever tool chain it comes from.
//!
//! Owns the two things that a tool chain may leave to us: the adapter from WASI preview 1, which only a module gets
//! that imports it, and the world, for a module whose bindings left none in a custom section.

use std::borrow::Cow;

use wasi_preview1_component_adapter_provider as adapters;
use wasmparser::{Encoding, Parser, Payload};
use wit_component::{ComponentEncoder, StringEncoding};
use wit_parser::{Resolve, SourceMap};

/// The interface that this program serves.
const INTERFACE: [(&str, &str); 3] = [
    ("types.wit", include_str!("../../../wit/v0.1/types.wit")),
    ("processor.wit", include_str!("../../../wit/v0.1/processor.wit")),
    (
        "record-processor.wit",
        include_str!("../../../wit/v0.1/record-processor.wit"),
    ),
];
/// What a module of world `record-processor` exports, and one of `processor` does not.
const OF_RECORD_PROCESSOR: &str = "fire";
/// The custom section that bindings leave a world in; those for C add a suffix.
const WORLD_SECTION: &str = "component-type";

/// Makes a component of a core module; a component stays as it is. A module that carries no world gets the one whose
/// functions it exports.
///
/// # Errors
/// It is no valid module, or lacks what its world promises: why, in words.
pub(super) fn wrap(bytes: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    if Parser::is_component(bytes) {
        return Ok(Cow::Borrowed(bytes));
    }
    let module = CoreModule::read(bytes)?;
    let with_world = match module.has_world {
        true => Cow::Borrowed(bytes),
        false => Cow::Owned(embed(bytes, module.world())?),
    };
    let mut encoder = ComponentEncoder::default()
        .validate(true)
        .module(&with_world)
        .map_err(text)?;
    if module.imports_preview1 {
        let adapter = adapters::WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER;
        encoder = encoder
            .adapter(adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, adapter)
            .map_err(text)?;
    }
    encoder.encode().map(Cow::Owned).map_err(text)
}

/// Puts a world of the interface into a core module.
fn embed(module: &[u8], world: &str) -> Result<Vec<u8>, String> {
    let mut sources = SourceMap::default();
    for (name, contents) in INTERFACE {
        sources.push_str(name, contents);
    }
    let group = sources.parse().map_err(|(_, error)| text(error))?;
    let mut resolve = Resolve::default();
    let package = resolve.push_group(group).map_err(text)?;
    let world = resolve.select_world(&[package], Some(world)).map_err(text)?;
    let mut embedded = module.to_vec();
    wit_component::embed_component_metadata(&mut embedded, &resolve, world, StringEncoding::UTF8).map_err(text)?;
    Ok(embedded)
}

/// What a core module says about itself.
#[derive(Default)]
struct CoreModule {
    has_world: bool,
    imports_preview1: bool,
    exports_fire: bool,
}

impl CoreModule {
    fn read(bytes: &[u8]) -> Result<Self, String> {
        let mut module = Self::default();
        if !bytes.starts_with(b"\0asm") {
            return Err("it is no WebAssembly".into());
        }
        let damaged = |error| format!("it is no core module: {error}");
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(damaged)? {
                Payload::Version { encoding, .. } if encoding != Encoding::Module => {
                    return Err("it is WebAssembly of a version that is not known here".into());
                }
                Payload::CustomSection(section) => module.has_world |= section.name().starts_with(WORLD_SECTION),
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        let import = import.map_err(damaged)?;
                        module.imports_preview1 |= import.module == adapters::WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME;
                    }
                }
                Payload::ExportSection(exports) => {
                    for export in exports {
                        module.exports_fire |= export.map_err(damaged)?.name == OF_RECORD_PROCESSOR;
                    }
                }
                _ => {}
            }
        }
        Ok(module)
    }

    fn world(&self) -> &'static str {
        match self.exports_fire {
            true => "record-processor",
            false => "processor",
        }
    }
}

/// An error with all its causes, in one line.
fn text(error: impl std::fmt::Display) -> String {
    format!("{error:#}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_module_is_said() {
        for (bytes, why) in [
            (&b"#!/bin/sh"[..], "no WebAssembly"),
            (b"", "no WebAssembly"),
            (b"\0asm\x01\0\0\0\x07", "no core module"),
            (b"\0asm\x07\0\0\0", "no core module"),
        ] {
            let said = wrap(bytes).unwrap_err();
            assert!(said.contains(why), "{said}");
        }
    }

    /// An empty module exports nothing of what its world promises.
    #[test]
    fn a_module_without_what_its_world_promises_is_refused_by_name() {
        let said = wrap(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(
            said.contains("describe") || said.contains("open") || said.contains("process"),
            "{said}"
        );
    }

    #[test]
    fn a_component_stays_as_it_is() {
        let component = b"\0asm\x0d\0\x01\0";
        assert_eq!(&*wrap(component).unwrap(), component);
    }
}
