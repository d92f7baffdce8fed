//! Reads DWARF's line programs: which file and line an instruction stems from.
//!
//! What the compiler says beside them, which functions stand in each other, is not read: the line is that of the
//! innermost one, and to know the others would take a guest's word for how much memory that needs. A line program is
//! run row by row, and nothing of it is kept but the rows that are asked for; of a header that claims to be longer
//! than any compiler makes it, the program is passed over.

use gimli::{
    AttributeValue, DebugLine, DebugLineOffset, EndianSlice, FileEntry, LineProgramHeader, LineRow, LittleEndian,
};

use crate::plugin::limits::{NAME_BYTES, tame};

/// Bytes of the header of a line program, which is read as a whole: the names of its files and folders.
const HEADER_BYTES: u64 = 512 << 10;
/// A function's first line may stand before what the engine takes for its beginning: the size of its body lies between.
const BEFORE_FUNCTION: u64 = 8;
/// Bytes of an address.
const ADDRESS_BYTES: u8 = 4;

type SectionBytes<'a> = EndianSlice<'a, LittleEndian>;
type ProgramHeader<'a> = LineProgramHeader<SectionBytes<'a>>;

/// The sections of a module that line programs need.
#[derive(Debug, Default)]
pub(super) struct LineSections {
    line: Vec<u8>,
    line_str: Vec<u8>,
    str: Vec<u8>,
}

/// A place that is looked for, in bytes from the beginning of the module's code.
#[derive(Debug, Clone, Copy)]
pub(super) struct WantedPlace {
    pub(super) instruction: u64,
    pub(super) function: u64,
}

impl LineSections {
    /// Takes a custom section if it is one of these and has `most` bytes at most.
    pub(super) fn take(&mut self, name: &str, data: &[u8], most: usize) {
        let into = match name {
            ".debug_line" => &mut self.line,
            ".debug_line_str" => &mut self.line_str,
            ".debug_str" => &mut self.str,
            _ => return,
        };
        if data.len() <= most {
            *into = data.to_vec();
        }
    }

    /// Whether there are no line programs.
    pub(super) fn is_empty(&self) -> bool {
        self.line.is_empty()
    }

    /// Another byte in place of one, mostly where programs begin.
    #[cfg(test)]
    pub(super) fn damage(&mut self, chance: usize, byte: u8) {
        let within = if chance.is_multiple_of(2) { 64 } else { self.line.len() };
        self.line[chance / 2 % within] = byte;
    }

    fn text<'a>(&'a self, value: AttributeValue<SectionBytes<'a>>) -> Option<&'a [u8]> {
        let of = |section: &'a [u8], at: usize| {
            let rest = section.get(at..)?;
            let end = rest.iter().take(NAME_BYTES * 8).position(|byte| *byte == 0)?;
            Some(&rest[..end])
        };
        match value {
            AttributeValue::String(text) => Some(text.slice()),
            AttributeValue::DebugStrRef(at) => of(&self.str, at.0),
            AttributeValue::DebugLineStrRef(at) => of(&self.line_str, at.0),
            _ => None,
        }
    }
}

/// File, line and column of each place that the programs tell of.
pub(super) fn find(sections: &LineSections, wanted: &[WantedPlace]) -> Vec<Option<String>> {
    let mut found = vec![None; wanted.len()];
    let mut at = 0;
    while !wanted.is_empty() && found.iter().any(Option::is_none) {
        let Some(unit) = Unit::at(&sections.line, at) else {
            break;
        };
        if unit.header_bytes <= HEADER_BYTES {
            // What cannot be read says nothing.
            let _is_damaged = run(sections, at, wanted, &mut found);
        }
        at = unit.end;
    }
    found
}

/// Where a line program ends, and how long its header is, before anything of it is taken in.
struct Unit {
    end: usize,
    header_bytes: u64,
}

impl Unit {
    fn at(line: &[u8], at: usize) -> Option<Self> {
        let number = |from: usize, bytes: usize| {
            let digits = line.get(from..from.checked_add(bytes)?)?;
            Some(
                digits
                    .iter()
                    .rev()
                    .fold(0, |number, byte| number << 8 | u64::from(*byte)),
            )
        };
        let (length, begin, wide) = match number(at, 4)? {
            0xffff_ffff => (number(at + 4, 8)?, at + 12, 8),
            length => (length, at + 4, 4),
        };
        let end = begin.checked_add(usize::try_from(length).ok()?)?;
        // Version 5 has the size of an address and of a segment between.
        let skipped = if number(begin, 2)? >= 5 { 4 } else { 2 };
        Some(Self {
            end,
            header_bytes: number(begin + skipped, wide)?,
        })
    }
}

/// Runs a program, and notes the rows in whose reach a wanted place is.
fn run(
    sections: &LineSections,
    at: usize,
    wanted: &[WantedPlace],
    found: &mut [Option<String>],
) -> Result<(), gimli::Error> {
    let programs = DebugLine::new(&sections.line, LittleEndian);
    let mut rows = programs.program(DebugLineOffset(at), ADDRESS_BYTES, None, None)?.rows();
    let first = wanted.iter().map(|place| place.instruction).min().unwrap_or(0);
    let last = wanted.iter().map(|place| place.instruction).max().unwrap_or(0);
    let mut before: Option<LineRow> = None;
    while let Some((header, row)) = rows.next_row()? {
        if let Some(before) = before.filter(|before| before.address() <= last && row.address() > first) {
            let reach = before.address()..row.address();
            for (place, found) in wanted.iter().zip(&mut *found) {
                // A function that was left out lies, by the table, at the beginning of all code.
                let is_of_function = reach.start + BEFORE_FUNCTION >= place.function;
                if found.is_none() && is_of_function && reach.contains(&place.instruction) {
                    *found = told(sections, header, &before);
                }
            }
        }
        before = (!row.end_sequence()).then_some(*row);
    }
    Ok(())
}

/// `file:line:column`; what is not known is left out.
fn told(sections: &LineSections, header: &ProgramHeader<'_>, row: &LineRow) -> Option<String> {
    let file = header.file(row.file_index())?;
    let mut told = path(sections, header, file)?;
    if let Some(line) = row.line() {
        told.push_str(&format!(":{line}"));
        if let gimli::ColumnType::Column(column) = row.column() {
            told.push_str(&format!(":{column}"));
        }
    }
    Some(told)
}

/// The file's path; a long one by its end, which says more. The folder that everything was compiled in is left out.
fn path(sections: &LineSections, header: &ProgramHeader<'_>, file: &FileEntry<SectionBytes<'_>>) -> Option<String> {
    let text = |value| sections.text(value).map(String::from_utf8_lossy);
    let name = text(file.path_name())?.into_owned();
    let folder = match file.directory_index() {
        0 => None,
        _ => file.directory(header).and_then(text),
    };
    let path = match folder {
        Some(folder) if !name.starts_with('/') => format!("{folder}/{name}"),
        _ => name,
    };
    let from = path.ceil_char_boundary(path.len().saturating_sub(NAME_BYTES));
    let begin = if from > 0 { "…" } else { "" };
    Some(format!("{begin}{}", tame(&path[from..], NAME_BYTES).replace('\n', " ")))
}
