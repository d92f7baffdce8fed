//! The way of a file: text, tree with `--set`, raw structs, checked settings.

use std::path::Path;

use serde::Deserialize;

use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::process::grant::{self, Grant};

use super::check;
use super::file::File;
use super::granted;
use super::text::document::{self, Document, Node, Value};
use super::text::near::near;
use super::text::reading::{ReadFault, Wrong, listed};
use super::text::scope::Scope;
use super::text::sets;

/// Reads and checks a pipeline file; `sets` are `dotted.path=VALUE` and win over what stands in it.
///
/// # Errors
/// [`Kind::Invalid`] for a file that is missing or wrong, with the place; [`Kind::Usage`] for a `--set` that is no
/// `dotted.path=VALUE`.
pub fn load(path: &Path, sets: &[String]) -> Result<Pipeline> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Error::new(Kind::Invalid, format!("failed to read `{}`", path.display()), error))?;
    parse(&text, path, sets)
}

/// The same for a text that stands at `path`.
///
/// # Errors
/// As [`load`].
pub fn parse(text: &str, path: &Path, sets: &[String]) -> Result<Pipeline> {
    parse_under(grant::granted(), text, path, sets)
}

/// The same under what a process was granted.
pub(super) fn parse_under(grant: Option<&Grant>, text: &str, path: &Path, sets: &[String]) -> Result<Pipeline> {
    let mut document = Document::new(path.display().to_string(), text, sets);
    let mut table = document::table(text)
        .map_err(|malformed| document.refuse(Some(&malformed.span), "it is not valid TOML", malformed.why))?;
    document.hide_secrets(&table);
    sets::apply(&mut table, sets, &document)?;
    let root = Node {
        value: Value::Table(table),
        span: 0..0,
    };
    let mut file = File::deserialize(&root).map_err(|fault| explain(&document, fault))?;
    let base = path.parent().unwrap_or(Path::new(""));
    let scope = Scope::new(&document, base, grant);
    if let Some(grant) = grant {
        granted::confine(&mut file, grant, &scope)?;
    }
    check::pipeline(&file, &scope)
}

/// A fault in a person's words.
fn explain(document: &Document, fault: ReadFault) -> Error {
    let mut path: Vec<_> = fault.path.iter().rev().map(String::as_str).collect();
    // The place of a whole file says nothing.
    let span = fault.span.as_ref().filter(|span| !span.is_empty());
    match &fault.wrong {
        Wrong::Unknown(key, known) => {
            path.push(key);
            let error = document.refuse(span, format!("unknown key `{}`", path.join(".")), "");
            match near(key, known) {
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("its keys are {}", listed(known))),
            }
        }
        Wrong::Word(word, known) => {
            let what = format!("`{}` cannot be \"{word}\"", path.join("."));
            let error = document.refuse(span, what, format!("it is one of {}", listed(known)));
            match near(word, known) {
                Some(near) => error.hint(format!("did you mean \"{near}\"?")),
                None => error,
            }
        }
        Wrong::Missing(key) => {
            path.push(key);
            document.refuse(span, format!("`{}` is missing", path.join(".")), "")
        }
        Wrong::Value(why) if path.is_empty() => document.refuse(span, why, ""),
        Wrong::Value(why) => document.refuse(span, format!("`{}` is not valid", path.join(".")), why),
    }
}
