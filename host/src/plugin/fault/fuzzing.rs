//! The door for the fuzzers: what a component says of its lines and its names.

use wasmparser::{Parser, Payload};

use super::demangled::demangled;
use super::source_lines::{CodePlace, SourceLines};
use crate::plugin::limits::NAME_BYTES;

/// Looks lines up all over a component, and reads the names of its custom sections as those of functions.
pub(in crate::plugin) fn look_up_lines(component: &[u8]) {
    let lines = SourceLines::of(component);
    let places: Vec<CodePlace> = (0..component.len())
        .step_by(component.len() / 16 + 1)
        .map(|instruction| CodePlace {
            instruction,
            function: instruction.saturating_sub(40),
        })
        .collect();
    for found in lines.find(&places).into_iter().flatten() {
        assert!(found.len() < 4096 && !found.contains(['\n', '\u{1b}']), "{found:?}");
    }
    for payload in Parser::new(0).parse_all(component) {
        match payload {
            Ok(Payload::CustomSection(section)) => {
                let name = demangled(section.name(), NAME_BYTES);
                assert!(name.len() <= NAME_BYTES, "{name:?}");
            }
            Ok(_) => {}
            Err(_) => return,
        }
    }
}
