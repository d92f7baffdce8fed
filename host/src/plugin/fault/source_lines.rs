//! The line tables that a component carries, and what they say of places in its code.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use wasmparser::{Parser, Payload};

use super::line_program::{self, LineSections, WantedPlace};
use crate::plugin::limits::LINE_TABLE_BYTES;

/// Places whose lines are remembered: the same record that traps again and again is looked up once.
const REMEMBERED: usize = 1024;

/// A place in a component's code, in bytes from the component's beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct CodePlace {
    pub(super) instruction: usize,
    /// Where the function begins that it is in.
    pub(super) function: usize,
}

/// The line tables of a component's modules.
#[derive(Default)]
pub(in crate::plugin) struct SourceLines {
    modules: Vec<ModuleLines>,
    known: Mutex<HashMap<CodePlace, Option<String>>>,
}

/// Those of a module, as its sections have them.
#[derive(Default)]
struct ModuleLines {
    /// Where its code lies in the component.
    code: Range<usize>,
    sections: LineSections,
}

impl SourceLines {
    /// Takes them out of a component. Tables that are too large are not there, and neither is one of a module that
    /// cannot be read.
    pub(in crate::plugin) fn of(component: &[u8]) -> Self {
        // What is open: modules, and components as `None`.
        let (mut modules, mut open) = (Vec::new(), vec![None]);
        for payload in Parser::new(0).parse_all(component) {
            match payload {
                Ok(Payload::ModuleSection { .. }) => open.push(Some(ModuleLines::default())),
                Ok(Payload::ComponentSection { .. }) => open.push(None),
                Ok(Payload::End(_)) => modules.extend(open.pop().flatten()),
                Ok(Payload::CodeSectionStart { range, .. }) => {
                    if let Some(Some(module)) = open.last_mut() {
                        module.code = range;
                    }
                }
                Ok(Payload::CustomSection(section)) => {
                    if let Some(Some(module)) = open.last_mut() {
                        module.sections.take(section.name(), section.data(), LINE_TABLE_BYTES);
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
        modules.retain(|module: &ModuleLines| !module.sections.is_empty());
        Self {
            modules,
            known: Mutex::default(),
        }
    }

    /// Whether the component has none.
    #[cfg(test)]
    pub(in crate::plugin) fn is_empty(&self) -> bool {
        self.modules.is_empty()
    }

    /// For each place the file, the line and the column that its instruction stems from.
    pub(super) fn find(&self, places: &[CodePlace]) -> Vec<Option<String>> {
        if self.modules.is_empty() {
            return vec![None; places.len()];
        }
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let unknown: Vec<CodePlace> = places
            .iter()
            .filter(|place| !known.contains_key(place))
            .copied()
            .collect();
        if known.len() + unknown.len() > REMEMBERED {
            known.clear();
        }
        for module in &self.modules {
            let within: Vec<CodePlace> = unknown.iter().filter(|place| module.holds(place)).copied().collect();
            let wanted: Vec<WantedPlace> = within.iter().map(|place| module.wanted(place)).collect();
            known.extend(within.into_iter().zip(line_program::find(&module.sections, &wanted)));
        }
        places.iter().map(|place| known.get(place).cloned().flatten()).collect()
    }
}

impl ModuleLines {
    fn holds(&self, place: &CodePlace) -> bool {
        self.code.contains(&place.instruction)
    }

    /// Line tables count from where the code begins.
    fn wanted(&self, place: &CodePlace) -> WantedPlace {
        WantedPlace {
            instruction: (place.instruction - self.code.start) as u64,
            function: place.function.saturating_sub(self.code.start) as u64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn component() -> Vec<u8> {
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../target/guests/traps-with-lines.wasm");
        std::fs::read(path).expect("the guest: run `make plugins`")
    }

    /// Places all over the code, each as if a function began there.
    fn places(lines: &SourceLines) -> Vec<CodePlace> {
        let code = lines.modules[0].code.clone();
        let at = |instruction| CodePlace {
            instruction,
            function: instruction.saturating_sub(40),
        };
        code.step_by(997).map(at).collect()
    }

    #[test]
    fn a_line_is_found_for_much_of_the_code_and_none_is_made_up_for_functions_that_were_left_out() {
        let lines = SourceLines::of(&component());
        let places = places(&lines);
        let found: Vec<String> = lines.find(&places).into_iter().flatten().collect();
        assert!(found.len() * 2 > places.len(), "{} of {}", found.len(), places.len());
        assert!(found.iter().all(|place| place.contains(".rs")), "{found:?}");
        // At the very beginning lies, by the table, every function that the linker threw away.
        let begin = CodePlace {
            instruction: lines.modules[0].code.start + 2,
            function: lines.modules[0].code.start + 60,
        };
        assert_eq!(lines.find(&[begin]), [None]);
    }

    #[test]
    fn damaged_line_tables_say_nothing_worse_than_nonsense() {
        let whole = SourceLines::of(&component());
        let places = places(&whole);
        let mut chance = 7u64;
        for _ in 0..300 {
            let mut lines = SourceLines::of(&component());
            for _ in 0..8 {
                chance = chance
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                lines.modules[0]
                    .sections
                    .damage((chance >> 33) as usize, (chance >> 8) as u8);
            }
            for found in lines.find(&places).into_iter().flatten() {
                assert!(found.len() < 200 && !found.contains(['\n', '\u{1b}']), "{found:?}");
            }
        }
    }

    #[test]
    fn what_is_no_component_and_what_is_cut_has_no_lines() {
        assert!(SourceLines::of(b"").is_empty() && SourceLines::of(b"\0asm").is_empty());
        let whole = component();
        for end in (0..whole.len()).step_by(whole.len() / 50) {
            let _none_or_some = SourceLines::of(&whole[..end]);
        }
    }
}
