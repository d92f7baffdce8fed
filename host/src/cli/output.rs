//! What goes to the screen: tables, JSON, errors. Colour on a terminal only, and never if `NO_COLOR` is set.

use std::io::{self, ErrorKind, IsTerminal, Write};

use clap::ValueEnum;
use serde_json::{Value, json};

use crate::error::{Error, Kind, Result};

/// How results are printed: text and tables for people, JSON for programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    #[default]
    Human,
    Json,
    /// Of `test` alone.
    #[value(hide = true)]
    Junit,
    /// Of `usage` alone.
    #[value(hide = true)]
    Csv,
}

/// Where a verb's results go.
#[derive(Debug, Clone, Copy)]
pub struct Output {
    format: OutputFormat,
    colour: bool,
}

impl Output {
    /// Results on standard output in this format.
    pub(super) fn new(format: OutputFormat) -> Self {
        let colour = format == OutputFormat::Human && wants_colour(io::stdout().is_terminal());
        Self { format, colour }
    }

    /// Whether a program reads.
    pub(super) fn is_json(self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Whether a machine that runs tests reads.
    pub(super) fn is_junit(self) -> bool {
        self.format == OutputFormat::Junit
    }

    /// Whether a spreadsheet reads.
    pub(super) fn is_csv(self) -> bool {
        self.format == OutputFormat::Csv
    }

    /// Prints the value for a program, or what `human` makes for a person.
    pub(super) fn show(self, value: &Value, human: impl FnOnce() -> String) -> Result<()> {
        match self.format {
            OutputFormat::Json => self.line(&value.to_string()),
            OutputFormat::Human | OutputFormat::Junit | OutputFormat::Csv => self.line(human().trim_end()),
        }
    }

    /// Tells what happens while a verb runs: beside its results, or on standard error if standard output belongs to
    /// somebody else.
    pub(super) fn tell(self, value: &Value, human: impl FnOnce() -> String, stdout_is_taken: bool) -> Result<()> {
        if !stdout_is_taken {
            return self.show(value, human);
        }
        let text = match self.format {
            OutputFormat::Json => value.to_string(),
            OutputFormat::Human | OutputFormat::Junit | OutputFormat::Csv => human(),
        };
        // Nobody can be told that standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
        Ok(())
    }

    /// Prints rows for a program as an array, or a table for a person.
    pub(super) fn rows(self, value: &Value, table: &TextTable) -> Result<()> {
        self.show(value, || table.render(self.colour))
    }

    /// Prints a line of text.
    pub(super) fn line(self, text: &str) -> Result<()> {
        self.bytes(format!("{text}\n").as_bytes())
    }

    /// Writes bytes to standard output and sends them on their way.
    pub(super) fn bytes(self, bytes: &[u8]) -> Result<()> {
        let mut stdout = io::stdout().lock();
        match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
            Ok(()) => Ok(()),
            // Whoever read has enough (`| head`): there is nobody left to tell anything, so this is the end and no
            // error.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => Err(Error::new(Kind::Failed, "failed to write to standard output", error)),
        }
    }

    /// Tells an error on standard error: as a sentence, or as one JSON object.
    pub fn error(self, error: &Error) {
        let text = match self.format {
            OutputFormat::Json => error_json(error).to_string(),
            OutputFormat::Human if colour_on_stderr() => {
                error.to_string().replacen("error:", "\x1b[1;31merror:\x1b[0m", 1)
            }
            OutputFormat::Human | OutputFormat::Junit | OutputFormat::Csv => error.to_string(),
        };
        // Nobody can be told that standard error is gone.
        let _ = writeln!(io::stderr().lock(), "{text}");
    }
}

/// Whether what goes to standard error may be coloured.
pub(super) fn colour_on_stderr() -> bool {
    wants_colour(io::stderr().is_terminal())
}

fn wants_colour(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// An error for a program.
pub(super) fn error_json(error: &Error) -> Value {
    json!({ "error": {
        "kind": error.kind.name(),
        "what": error.what,
        "why": error.why,
        "hint": error.hint,
        "exit": error.kind.exit_code(),
    }})
}

/// A table whose columns are aligned: text to the left, numbers to the right.
#[derive(Debug)]
pub(super) struct TextTable {
    head: Vec<Head>,
    rows: Vec<Vec<String>>,
}

/// The head of a column.
#[derive(Debug, Clone, Copy)]
pub(super) enum Head {
    /// Of text.
    Text(&'static str),
    /// Of numbers.
    Number(&'static str),
}

impl TextTable {
    /// A table without rows.
    pub(super) fn new(head: &[Head]) -> Self {
        Self {
            head: head.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Adds a row, a cell for each column.
    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// As plain text.
    pub(super) fn plain(&self) -> String {
        self.render(false)
    }

    fn render(&self, colour: bool) -> String {
        let titles: Vec<String> = self.head.iter().map(|head| head.title().to_owned()).collect();
        let mut widths = vec![0; titles.len()];
        for cells in self.rows.iter().chain([&titles]) {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let head = self.aligned(&titles, &widths);
        let mut text = if colour {
            format!("\x1b[1m{head}\x1b[0m\n")
        } else {
            format!("{head}\n")
        };
        for cells in &self.rows {
            text.push_str(&self.aligned(cells, &widths));
            text.push('\n');
        }
        text
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> String {
        let columns = self.head.iter().zip(cells).zip(widths);
        let padded = columns.map(|((head, cell), &width)| match head {
            Head::Text(_) => format!("{cell:<width$}"),
            Head::Number(_) => format!("{cell:>width$}"),
        });
        padded.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    }
}

impl Head {
    fn title(self) -> &'static str {
        match self {
            Head::Text(title) | Head::Number(title) => title,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_lines_end_without_spaces() {
        let mut table = TextTable::new(&[Head::Text("topic"), Head::Number("lag"), Head::Text("origin")]);
        table.row(["views".into(), "7".into(), "ours".into()]);
        table.row(["clicks-äö".into(), "12345".into(), String::new()]);
        assert_eq!(
            table.render(false),
            "topic        lag  origin\nviews          7  ours\nclicks-äö  12345\n"
        );
    }

    #[test]
    fn an_error_for_programs_carries_its_exit_code() {
        let error = Error::new(Kind::Kafka, "failed to reach a", "refused").hint("start it");
        assert_eq!(
            error_json(&error),
            json!({"error": {
                "kind": "kafka", "what": "failed to reach a", "why": "refused", "hint": "start it", "exit": 5
            }})
        );
    }
}
