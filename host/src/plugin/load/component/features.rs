//! Newer features of WebAssembly that a component needs and this host does not run, by the names that people know.
//!
//! Tool chains emit them before hosts take them, and a parser's complaint at some byte helps nobody. So a component is
//! looked at before it is compiled: first as the engine would take it, and, if that fails, as one who takes everything.

use std::path::Path;

use wasmparser::{Validator, WasmFeatures};

use super::recognised::{damaged, refused};
use crate::error::{Error, Result};
use crate::plugin::limits::tame;

/// What tool chains call one or several of the parser's features.
struct Feature {
    of: WasmFeatures,
    name: &'static str,
    /// What a person can do.
    instead: &'static str,
}

/// In the order in which they are told: one that builds on another comes first.
const FEATURES: &[Feature] = &[
    Feature {
        of: WasmFeatures::CM_ASYNC
            .union(WasmFeatures::CM_ASYNC_STACKFUL)
            .union(WasmFeatures::CM_MORE_ASYNC_BUILTINS),
        name: "async functions, streams or futures of the component model (WASI 0.3)",
        instead: "build it for WASI 0.2, without `async` in its WIT: a plugin returns when it is done",
    },
    Feature {
        of: WasmFeatures::CM_ERROR_CONTEXT,
        name: "`error-context` of the component model",
        instead: "build it for WASI 0.2: a plugin's errors are results with a text",
    },
    Feature {
        of: WasmFeatures::CM_THREADING,
        name: "threads of the component model",
        instead: "build it without threads: an instance is called by one thread at a time",
    },
    Feature {
        of: WasmFeatures::CM_MAP,
        name: "`map` types of the component model",
        instead: "write `list<tuple<key, value>>` in its WIT instead of `map<key, value>`",
    },
    Feature {
        of: WasmFeatures::CM_FIXED_LENGTH_LISTS,
        name: "lists of a fixed length of the component model",
        instead: "write `list<t>`, or a tuple, in its WIT instead of `list<t, 4>`",
    },
    Feature {
        of: WasmFeatures::CM_GC,
        name: "the component model's interface for garbage-collected values",
        instead: "build it for linear memory",
    },
    Feature {
        of: WasmFeatures::CM64,
        name: "64-bit memories in the component model",
        instead: "build it for wasm32 instead of wasm64",
    },
    Feature {
        of: WasmFeatures::CM_VALUES
            .union(WasmFeatures::CM_NESTED_NAMES)
            .union(WasmFeatures::CM_IMPLEMENTS)
            .union(WasmFeatures::CM_CANON_NAMES),
        name: "names or values of a later component model",
        instead: "wrap it with the `sandbar-wrap` of this version of Sandbar",
    },
    Feature {
        of: WasmFeatures::STACK_SWITCHING,
        name: "stack switching in WebAssembly",
        instead: "build it without it",
    },
    Feature {
        of: WasmFeatures::GC
            .union(WasmFeatures::GC_TYPES)
            .union(WasmFeatures::CUSTOM_DESCRIPTORS),
        name: "garbage collection (GC) in WebAssembly",
        instead: "take a compiler that brings its own memory management, as those of Rust, C, C++, Go, Zig and \
                  AssemblyScript do",
    },
    Feature {
        of: WasmFeatures::EXCEPTIONS.union(WasmFeatures::LEGACY_EXCEPTIONS),
        name: "exceptions in WebAssembly",
        instead: "build it without them, such as by `-fno-exceptions` of C++",
    },
    Feature {
        of: WasmFeatures::THREADS.union(WasmFeatures::SHARED_EVERYTHING_THREADS),
        name: "threads, atomics or shared memory in WebAssembly",
        instead: "build it without threads, such as without `-pthread`, or for wasm32-wasip1 or -wasip2 instead of \
                  wasm32-wasip1-threads",
    },
    Feature {
        of: WasmFeatures::MEMORY64,
        name: "64-bit memories (memory64)",
        instead: "build it for wasm32 instead of wasm64",
    },
    Feature {
        of: WasmFeatures::TAIL_CALL,
        name: "tail calls in WebAssembly",
        instead: "build it without them, such as by `-mno-tail-call` of clang",
    },
    Feature {
        of: WasmFeatures::RELAXED_SIMD,
        name: "relaxed SIMD, whose results differ between processors",
        instead: "build it without it, such as by `-mno-relaxed-simd` of clang",
    },
    Feature {
        of: WasmFeatures::WIDE_ARITHMETIC,
        name: "wide arithmetic in WebAssembly",
        instead: "build it without it, such as by `-mno-wide-arithmetic` of clang",
    },
    Feature {
        of: WasmFeatures::CUSTOM_PAGE_SIZES
            .union(WasmFeatures::MEMORY_CONTROL)
            .union(WasmFeatures::COMPACT_IMPORTS),
        name: "pages of another size, or another later form of WebAssembly modules",
        instead: "build it without it",
    },
];

/// An error unless the component is valid for an engine that runs these features: it names what is missing, or says
/// that the component is damaged.
pub(in crate::plugin::load) fn check(path: &Path, bytes: &[u8], ours: WasmFeatures) -> Result<()> {
    let validate = |features| Validator::new_with_features(features).validate_all(bytes);
    let Err(complaint) = validate(ours) else {
        return Ok(());
    };
    let all = WasmFeatures::all();
    if let Err(complaint) = validate(all) {
        return Err(damaged(path, &complaint.to_string()));
    }
    let is_missing = |feature: &&Feature| !ours.contains(feature.of) && validate(all.difference(feature.of)).is_err();
    let missing: Vec<&Feature> = FEATURES.iter().filter(is_missing).collect();
    Err(needs(path, &missing, complaint.message()))
}

/// Names what is missing; by the parser's words if each of them alone could be done without.
fn needs(path: &Path, missing: &[&Feature], complaint: &str) -> Error {
    let names: Vec<&str> = missing.iter().map(|feature| feature.name).collect();
    let hints: Vec<&str> = missing.iter().map(|feature| feature.instead).collect();
    let (names, hint) = match names[..] {
        [] => (
            tame(complaint, 512),
            "build it with the tool chain that its SDK names".to_owned(),
        ),
        _ => (names.join("; "), hints.join("; ")),
    };
    refused(path, format!("it uses what this host does not run: {names}")).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::load::engine::Engine;

    #[test]
    fn each_feature_that_the_engine_does_not_run_has_a_name() {
        let ours = Engine::new(None).unwrap().shared.wasmtime.get_wasm_features();
        let named = FEATURES
            .iter()
            .fold(WasmFeatures::empty(), |all, feature| all | feature.of);
        let nameless = WasmFeatures::all().difference(ours | named);
        assert!(nameless.is_empty(), "{nameless:?}");
        let runs: Vec<&str> = FEATURES
            .iter()
            .filter(|of| ours.contains(of.of))
            .map(|of| of.name)
            .collect();
        assert!(runs.is_empty(), "the engine runs them: {runs:?}");
    }
}
