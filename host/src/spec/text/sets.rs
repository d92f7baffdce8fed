//! `--set dotted.path=VALUE`: changes the tree before it is read.

use crate::error::{Error, Kind, Result};

use super::document::{self, Document, Node, Span, Table, TableEntry, Value};
use super::near::near;
use super::secrets::may_hold_a_secret;

/// Puts each `--set` into the tree, the later ones over the earlier.
pub(in crate::spec) fn apply(table: &mut Table, sets: &[String], document: &Document) -> Result<()> {
    for (index, set) in sets.iter().enumerate() {
        let begin = document.set_offset(index);
        let (keys, value) = read(set, begin).ok_or_else(|| malformed(set))?;
        let span = begin..begin + set.len();
        known_part(table, &keys, &span, document)?;
        put(table, &keys, &span, value);
    }
    Ok(())
}

fn malformed(set: &str) -> Error {
    let shown = if may_hold_a_secret(set) { "…" } else { set };
    Error::new(
        Kind::Usage,
        format!("`--set {shown}` is not of the form dotted.path=VALUE"),
        "",
    )
    .hint("for example: --set source.views.start=earliest")
}

/// The keys, and the value: what TOML reads, else the text itself.
fn read(set: &str, begin: usize) -> Option<(Vec<String>, Node)> {
    let equals = equals_sign(set)?;
    let (path, text) = (&set[..equals], &set[equals + 1..]);
    let keys = keys(path)?;
    let at = begin + equals + 1;
    let value = document::value(text, at).unwrap_or_else(|_| Node {
        value: Value::Text(text.to_owned()),
        span: at..at + text.len(),
    });
    Some((keys, value))
}

/// The first `=` that stands outside of a quoted key.
fn equals_sign(set: &str) -> Option<usize> {
    let mut quote = None;
    set.char_indices().find_map(|(at, letter)| {
        match (quote, letter) {
            (None, '"' | '\'') => quote = Some(letter),
            (None, '=') => return Some(at),
            (Some(open), _) if open == letter => quote = None,
            _ => {}
        }
        None
    })
}

/// The keys of a dotted path, by TOML's own rules.
fn keys(path: &str) -> Option<Vec<String>> {
    if path.contains(['\n', '[', '#']) {
        return None;
    }
    let mut table = document::table(&format!("{path}=0")).ok()?;
    let mut keys = Vec::new();
    loop {
        let entry = table.pop().filter(|_| table.is_empty())?;
        keys.push(entry.key);
        match entry.node.value {
            Value::Table(inner) => table = inner,
            _ => return Some(keys),
        }
    }
}

/// A `--set` changes the sources, operators and sinks of the file and makes none: a new one would be a slip of the
/// finger.
fn known_part(table: &Table, keys: &[String], span: &Span, document: &Document) -> Result<()> {
    let [kind, name, ..] = keys else { return Ok(()) };
    if !matches!(kind.as_str(), "source" | "operator" | "sink") {
        return Ok(());
    }
    let parts: Vec<&String> = match find(table, kind).map(|entry| &entry.node.value) {
        Some(Value::Table(parts)) => parts.iter().map(|part| &part.key).collect(),
        _ => Vec::new(),
    };
    if parts.contains(&name) {
        return Ok(());
    }
    let error = document.refuse(Some(span), format!("it has no {kind} `{name}`"), "");
    Err(match near(name, &parts) {
        Some(near) => error.hint(format!("did you mean `{kind}.{near}`?")),
        None => error,
    })
}

fn find<'a>(table: &'a Table, key: &str) -> Option<&'a TableEntry> {
    table.iter().find(|entry| entry.key == key)
}

/// Replaces the value at `keys`; tables on the way are made, other values on the way give place.
fn put(table: &mut Table, keys: &[String], span: &Span, value: Node) {
    let Some((key, rest)) = keys.split_first() else { return };
    let index = table.iter().position(|entry| entry.key == *key).unwrap_or_else(|| {
        table.push(TableEntry {
            key: key.clone(),
            span: span.clone(),
            node: empty_table(span),
        });
        table.len() - 1
    });
    let entry = &mut table[index];
    if rest.is_empty() {
        entry.node = value;
        entry.span = span.clone();
        return;
    }
    if !matches!(entry.node.value, Value::Table(_)) {
        entry.node = empty_table(span);
    }
    if let Value::Table(inner) = &mut entry.node.value {
        put(inner, rest, span, value);
    }
}

fn empty_table(span: &Span) -> Node {
    Node {
        value: Value::Table(Table::new()),
        span: span.clone(),
    }
}
