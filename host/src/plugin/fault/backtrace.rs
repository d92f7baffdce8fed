//! Where a guest was: the functions on its stack, and for each the place in its sources, if the component says it.

use std::fmt::Write;

use wasmtime::{FrameInfo, WasmBacktrace};

use super::demangled::demangled;
use super::source_lines::{CodePlace, SourceLines};
use crate::plugin::limits::{BACKTRACE_BYTES, NAME_BYTES, tame};

/// Bytes of a name before it is made readable. A longer one is cut, and then stays as the compiler wrote it.
const MANGLED_BYTES: usize = 1024;

/// The innermost frames of a guest's stack, as many as the engine's configuration has.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Backtrace {
    frames: Vec<GuestFrame>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GuestFrame {
    module: Option<String>,
    function: Option<String>,
    index: u32,
    place: Option<CodePlace>,
}

impl Backtrace {
    /// What wasmtime saw.
    pub(super) fn of(seen: &WasmBacktrace) -> Self {
        Self {
            frames: seen.frames().iter().map(GuestFrame::of).collect(),
        }
    }

    /// A frame a line or two, the innermost first, each line indented; as many as fit.
    pub(in crate::plugin) fn text(&self, lines: &SourceLines) -> String {
        let places: Vec<CodePlace> = self.frames.iter().filter_map(|frame| frame.place).collect();
        let found = lines.find(&places);
        let (mut text, mut found) = (String::new(), found.into_iter());
        for (at, frame) in self.frames.iter().enumerate() {
            let line = frame.place.and_then(|_| found.next().flatten());
            let told = frame.text(at, line.as_deref());
            if text.len() + told.len() > BACKTRACE_BYTES {
                let _cannot_fail = writeln!(text, "  … and {} more", self.frames.len() - at);
                break;
            }
            text.push_str(&told);
        }
        text.truncate(text.trim_end().len());
        text
    }
}

impl GuestFrame {
    fn of(frame: &FrameInfo) -> Self {
        let cut = |name: &str, most: usize| name[..name.floor_char_boundary(most)].to_owned();
        let place = frame.module_offset().zip(frame.func_offset());
        Self {
            module: frame.module().name().map(|name| cut(name, NAME_BYTES)),
            function: frame.func_name().map(|name| cut(name, MANGLED_BYTES)),
            index: frame.func_index(),
            place: place.map(|(instruction, within)| CodePlace {
                instruction,
                function: instruction.saturating_sub(within),
            }),
        }
    }

    fn text(&self, at: usize, line: Option<&str>) -> String {
        let mut text = format!("  {at:>3}: ");
        if let Some(place) = self.place {
            let _cannot_fail = write!(text, "{:#8x} - ", place.instruction);
        }
        text.push_str(&self.module.as_deref().map_or("<unknown>".to_owned(), on_one_line));
        text.push('!');
        match &self.function {
            Some(name) => text.push_str(&on_one_line(&demangled(name, NAME_BYTES))),
            None => text.push_str(&format!("<function {}>", self.index)),
        }
        text.push('\n');
        if let Some(line) = line {
            let _cannot_fail = writeln!(text, "         at {line}");
        }
        text
    }
}

/// A guest's name cannot begin a line of its own.
pub(super) fn on_one_line(name: &str) -> String {
    tame(name, NAME_BYTES).replace('\n', " ")
}
