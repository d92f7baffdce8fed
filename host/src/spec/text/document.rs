//! The text that a person wrote, as a tree that remembers where each value stands.
//!
//! A `--set` is part of the document: its text lies behind the file's, so that one range of bytes names any place.

use std::fmt::Display;
use std::ops::Range;

use toml::de::{DeTable, DeValue};

use crate::error::{Error, Kind};

use super::secrets::{is_secret, may_hold_a_secret};

/// A range of bytes in the document.
pub(in crate::spec) type Span = Range<usize>;

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(in crate::spec) struct Node {
    pub(in crate::spec) value: Value,
    pub(in crate::spec) span: Span,
}

/// A TOML value; a date or time is its text.
#[derive(Debug, Clone)]
pub(in crate::spec) enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    List(Vec<Node>),
    Table(Table),
}

/// Keys with their values, in the order of the file.
pub(in crate::spec) type Table = Vec<TableEntry>;

/// A key with its value.
#[derive(Debug, Clone)]
pub(in crate::spec) struct TableEntry {
    pub(in crate::spec) key: String,
    pub(in crate::spec) span: Span,
    pub(in crate::spec) node: Node,
}

/// Why a text is no tree, and where.
#[derive(Debug)]
pub(in crate::spec) struct Malformed {
    pub(in crate::spec) why: String,
    pub(in crate::spec) span: Span,
}

/// Reads a TOML document.
pub(in crate::spec) fn table(text: &str) -> Result<Table, Malformed> {
    let root = DeTable::parse(text).map_err(malformed)?;
    entries(root.get_ref(), 0)
}

/// Reads one TOML value, whose text stands at `offset` of the document.
pub(in crate::spec) fn value(text: &str, offset: usize) -> Result<Node, Malformed> {
    let root = DeValue::parse(text).map_err(malformed)?;
    node(root.get_ref(), root.span(), offset)
}

fn malformed(error: toml::de::Error) -> Malformed {
    Malformed {
        why: error.message().replace('\n', ", "),
        span: error.span().unwrap_or(0..0),
    }
}

fn entries(table: &DeTable<'_>, offset: usize) -> Result<Table, Malformed> {
    let mut entries = table
        .iter()
        .map(|(key, value)| {
            Ok(TableEntry {
                key: key.get_ref().to_string(),
                span: shifted(key.span(), offset),
                node: node(value.get_ref(), value.span(), offset)?,
            })
        })
        .collect::<Result<Table, Malformed>>()?;
    entries.sort_by_key(|entry| entry.span.start);
    Ok(entries)
}

fn node(value: &DeValue<'_>, span: Span, offset: usize) -> Result<Node, Malformed> {
    let span = shifted(span, offset);
    let refuse = |why: &str| Malformed {
        why: why.to_owned(),
        span: span.clone(),
    };
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => Value::Integer(
            i64::from_str_radix(number.as_str(), number.radix())
                .map_err(|_| refuse("the number does not fit into 64 bits"))?,
        ),
        DeValue::Float(number) => Value::Float(
            (number.as_str().parse().ok())
                .filter(|number: &f64| number.is_finite())
                .ok_or_else(|| refuse("the number is not finite"))?,
        ),
        DeValue::Boolean(truth) => Value::Bool(*truth),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => Value::List(
            list.iter()
                .map(|item| node(item.get_ref(), item.span(), offset))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(entries(table, offset)?),
    };
    Ok(Node { value, span })
}

fn shifted(span: Span, offset: usize) -> Span {
    span.start + offset..span.end + offset
}

/// The texts of a document and their names, for the places in errors.
#[derive(Debug)]
pub(in crate::spec) struct Document {
    /// The file, as it was named.
    pub(in crate::spec) name: String,
    /// The text of the file, then that of each `--set`, with a line break between two.
    text: String,
    /// Where each `--set` begins in `text`.
    sets: Vec<usize>,
    /// Where secrets may stand.
    hidden: Vec<Span>,
}

impl Document {
    pub(in crate::spec) fn new(name: String, file: &str, sets: &[String]) -> Self {
        let mut document = Self {
            name,
            text: file.to_owned(),
            sets: Vec::new(),
            hidden: Vec::new(),
        };
        for set in sets {
            document.text.push('\n');
            document.sets.push(document.text.len());
            document.text.push_str(set);
        }
        document
    }

    /// Shows no line from now on that holds a part of a secret, also if its name stands on another line.
    pub(in crate::spec) fn hide_secrets(&mut self, table: &Table) {
        for entry in table {
            if is_secret(&entry.key) {
                self.hide(entry);
            } else if let Value::Table(inner) = &entry.node.value {
                self.hide_secrets(inner);
            }
        }
    }

    fn hide(&mut self, entry: &TableEntry) {
        self.hidden
            .push(entry.span.start..entry.node.span.end.max(entry.span.end));
        if let Value::Table(inner) = &entry.node.value {
            inner.iter().for_each(|inner| self.hide(inner));
        }
    }

    /// Where a `--set` begins.
    pub(in crate::spec) fn set_offset(&self, index: usize) -> usize {
        self.sets[index]
    }

    /// An error of the file: what is wrong, why, and the place with its line.
    pub(in crate::spec) fn refuse(&self, span: Option<&Span>, what: impl Display, why: impl Display) -> Error {
        let place = span.map(|span| self.place(span)).unwrap_or_default();
        let why = why.to_string();
        let gap = if why.is_empty() || place.is_empty() { "" } else { "\n" };
        Error::new(
            Kind::Invalid,
            format!("failed to read `{}`: {what}", self.name),
            format!("{why}{gap}{place}"),
        )
    }

    /// `file:line:column: the line`, or the `--set`. A line that may hold a secret is not shown.
    pub(in crate::spec) fn place(&self, span: &Span) -> String {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        let begin = before.rfind('\n').map_or(0, |at| at + 1);
        let line = self.text[begin..].lines().next().unwrap_or_default();
        let end = begin + line.len();
        let line = line.trim();
        let hidden = self.hidden.iter().any(|span| span.start <= end && begin <= span.end);
        let shown = if hidden || may_hold_a_secret(line) {
            "(the line is not shown, it may hold a secret)"
        } else {
            line
        };
        if self.sets.first().is_some_and(|first| span.start >= *first) {
            return format!("--set {shown}");
        }
        let row = before.matches('\n').count() + 1;
        let column = before[begin..].chars().count() + 1;
        format!("{}:{row}:{column}: {shown}", self.name).trim_end().to_owned()
    }
}
