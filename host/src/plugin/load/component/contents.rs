//! What a component's file tells of how it was made: the language, the tools, what a trap can show, the memory that it
//! declares. For people's eyes only.
//!
//! Always: what it says is bounded and tamed, for whoever made the file wrote it; what cannot be read is left out, and
//! nothing of this decides anything.

use wasmparser::{BinaryReader, CustomSectionReader, KnownCustom, MemoryType, Name, Payload, ProducersSectionReader};

use crate::plugin::limits::tame;

/// Languages, tools and SDKs that are shown of each sort, and the bytes of a name or a version.
const SHOWN: usize = 32;
const SHOWN_BYTES: usize = 64;

/// A page of linear memory.
const PAGE: u64 = 64 << 10;

/// What a component's file tells of how it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contents {
    /// Bytes of the file.
    pub bytes: u64,
    /// The languages that it was written in, those of its libraries too.
    pub languages: Vec<BuiltWith>,
    /// The tools that it went through.
    pub tools: Vec<BuiltWith>,
    /// The SDKs that it was built with.
    pub sdks: Vec<BuiltWith>,
    /// A trap names the functions that it went through.
    pub has_function_names: bool,
    /// It knows which source lines its code stems from.
    pub has_source_lines: bool,
    /// Bytes of linear memory that it begins with, over all of its modules.
    pub memory_bytes: u64,
    /// Bytes of linear memory that it can grow to; none: whatever it gets.
    pub memory_most_bytes: Option<u64>,
}

/// Something that a component was made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuiltWith {
    /// What it is called.
    pub name: String,
    /// Its version; empty if it was not said.
    pub version: String,
}

impl Contents {
    /// Of a file of so many bytes, of which nothing was read yet.
    pub(in crate::plugin::load) fn of(bytes: u64) -> Self {
        Self {
            bytes,
            languages: Vec::new(),
            tools: Vec::new(),
            sdks: Vec::new(),
            has_function_names: false,
            has_source_lines: false,
            memory_bytes: 0,
            memory_most_bytes: Some(0),
        }
    }

    /// Takes in a part of the file, at whatever depth.
    pub(in crate::plugin::load) fn note(&mut self, part: &Payload<'_>) {
        match part {
            Payload::MemorySection(memories) => memories.clone().into_iter().flatten().for_each(|it| self.memory(it)),
            Payload::CustomSection(section) => self.custom(section),
            _ => {}
        }
    }

    fn memory(&mut self, memory: MemoryType) {
        let bytes = |pages: u64| pages.saturating_mul(PAGE);
        self.memory_bytes = self.memory_bytes.saturating_add(bytes(memory.initial));
        let most = self.memory_most_bytes.zip(memory.maximum);
        self.memory_most_bytes = most.map(|(sum, most)| sum.saturating_add(bytes(most)));
    }

    fn custom(&mut self, section: &CustomSectionReader<'_>) {
        match section.name() {
            "name" => self.has_function_names |= names_functions(section),
            "producers" => {
                // What cannot be read is as if it had not been said.
                let _ = self.producers(section);
            }
            ".debug_line" => self.has_source_lines |= !section.data().is_empty(),
            _ => {}
        }
    }

    fn producers(&mut self, section: &CustomSectionReader<'_>) -> wasmparser::Result<()> {
        for field in ProducersSectionReader::new(BinaryReader::new(section.data(), section.data_offset()))? {
            let field = field?;
            let into = match field.name {
                "language" => &mut self.languages,
                "sdk" => &mut self.sdks,
                _ => &mut self.tools,
            };
            for said in field.values {
                let said = said?;
                let producer = BuiltWith {
                    name: in_a_line(said.name),
                    version: in_a_line(said.version),
                };
                if into.len() < SHOWN && !into.contains(&producer) {
                    into.push(producer);
                }
            }
        }
        Ok(())
    }
}

fn names_functions(section: &CustomSectionReader<'_>) -> bool {
    let KnownCustom::Name(names) = section.as_known() else {
        return false;
    };
    let names_any = |name: Name<'_>| matches!(name, Name::Function(functions) if functions.count() > 0);
    names.into_iter().map_while(Result::ok).any(names_any)
}

fn in_a_line(said: &str) -> String {
    tame(said, SHOWN_BYTES).replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::Parser;

    fn contents(text: &str) -> Contents {
        let bytes = wat::parse_str(text).unwrap();
        let mut contents = Contents::of(bytes.len() as u64);
        for part in Parser::new(0).parse_all(&bytes) {
            contents.note(&part.unwrap());
        }
        contents
    }

    fn shown(producers: &[BuiltWith]) -> Vec<String> {
        let shown = producers.iter().map(|of| format!("{}|{}", of.name, of.version));
        shown.collect()
    }

    #[test]
    fn what_nested_modules_say_is_found_and_said_once() {
        let contents = contents(
            r#"(component
                 (core module (memory 2 4) (@producers (language "Rust" "") (processed-by "rustc" "1.95.0"))
                   (func $named))
                 (component (core module (memory 1 3) (@producers (language "Rust" "") (sdk "an SDK" "2"))
                   (@custom ".debug_line" "\01")))
                 (@producers (processed-by "wit-component" "0.254.2")))"#,
        );
        assert_eq!(shown(&contents.languages), ["Rust|"]);
        assert_eq!(shown(&contents.tools), ["rustc|1.95.0", "wit-component|0.254.2"]);
        assert_eq!(shown(&contents.sdks), ["an SDK|2"]);
        assert!(contents.has_function_names && contents.has_source_lines);
        assert_eq!(
            (contents.memory_bytes, contents.memory_most_bytes),
            (3 * PAGE, Some(7 * PAGE))
        );
    }

    #[test]
    fn what_is_not_there_is_not_shown() {
        let contents = contents(r#"(component (core module (memory 1) (memory 1 2) (@custom ".debug_line" "")))"#);
        assert_eq!((contents.memory_bytes, contents.memory_most_bytes), (2 * PAGE, None));
        assert!(!contents.has_function_names && !contents.has_source_lines);
        assert!(contents.languages.is_empty() && contents.tools.is_empty() && contents.sdks.is_empty());
    }

    #[test]
    fn whatever_a_hostile_file_says_is_short_and_moves_no_cursor() {
        let many: String = (0..1000).map(|at| format!("(language \"L{at}\" \"\")")).collect();
        let long = "x".repeat(10_000);
        let contents = contents(&format!(
            r#"(component
                 (core module (@producers {many} (sdk "a\n\1b[2J" "{long}")))
                 (core module (@custom "producers" "\ff\ff\ff\ff\0f"))
                 (core module (@custom "name" "\01\ff\ff\ff\ff\0f")))"#
        ));
        assert_eq!((contents.languages.len(), contents.sdks.len()), (SHOWN, 1));
        assert!(
            contents
                .sdks
                .iter()
                .all(|of| of.name == "a  [2J" && of.version.len() < 100)
        );
        assert!(!contents.has_function_names);
    }
}
