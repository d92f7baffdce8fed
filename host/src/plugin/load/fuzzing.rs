//! The door for the fuzzers: a file's bytes, as far as they go before anything is compiled.

use std::path::Path;

use wasmparser::WasmFeatures;

use super::component::{check_features, recognise};
use crate::plugin::fault::look_up_lines;

/// Looks at bytes as at a plugin's file.
pub fn component(bytes: &[u8]) {
    let path = Path::new("fuzzed.wasm");
    look_up_lines(bytes);
    if let Err(error) = recognise(path, bytes) {
        assert!(error.to_string().len() < 16 << 10, "a sentence, and not the file");
        return;
    }
    // What the engine runs; only a part of it could be told here.
    let _is_fit = check_features(path, bytes, WasmFeatures::WASM2 | WasmFeatures::COMPONENT_MODEL);
}
