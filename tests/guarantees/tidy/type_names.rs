//! A type's name stands for one thing in the host.

use super::Rule;
use super::files::{File, identifier, rust};
use std::collections::BTreeMap;

/// Names that a reason gives to several types: why, and each name with the files of its types below `host/src`.
const SHARED: &[(&str, &[(&str, &str)])] = &[];

pub(super) const RULES: &[Rule] = &[Rule {
    sentence: "A type's name is given once in the host, so that a search finds the type and a sentence can name it.",
    find: |files| {
        let repeated = repeated(files).into_iter();
        let known = |name: &str, files: &[String]| shared().any(|(one, all)| one == name && all == files.join(" "));
        repeated
            .filter(|(name, files)| !known(name, files))
            .map(|(name, files)| format!("{name}: {}", files.join(" ")))
            .collect()
    },
    broken: &[
        ("host/src/sink/a.rs", "pub struct Batch;"),
        ("host/src/source/a.rs", "    pub(crate) enum Batch {}"),
    ],
}];

#[test]
fn every_name_that_may_be_shared_is() {
    let repeated = repeated(&super::repository());
    let gone = shared().filter(|(name, files)| repeated.get(*name).is_none_or(|all| all.join(" ") != *files));
    let gone: Vec<&str> = gone.map(|(name, _)| name).collect();
    assert!(
        gone.is_empty(),
        "take them from the list, or correct their files: {}",
        gone.join(", ")
    );
}

fn shared() -> impl Iterator<Item = (&'static str, &'static str)> {
    SHARED.iter().flat_map(|(_, names)| names.iter().copied())
}

/// The names that several types have, with their files below `host/src`; a file with two of them is named twice.
fn repeated(files: &[File]) -> BTreeMap<String, Vec<String>> {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for file in rust(files) {
        let Some(path) = file.path.strip_prefix("host/src/") else {
            continue;
        };
        for name in file.code().lines().filter_map(declared) {
            names.entry(name).or_default().push(path.to_owned());
        }
    }
    names.retain(|_, files| files.len() > 1);
    names
}

/// The type that a line declares; an associated type, which stands in a block, is none.
fn declared(line: &str) -> Option<String> {
    let words = line.trim_start();
    let words = match words.strip_prefix("pub") {
        Some(rest) if rest.starts_with('(') => rest.split_once(") ")?.1,
        Some(rest) => rest.trim_start(),
        None => words,
    };
    let kinds = ["struct ", "enum ", "trait ", "union "];
    let rest = kinds.iter().find_map(|kind| words.strip_prefix(kind));
    let rest = rest.or_else(|| words.strip_prefix("type ").filter(|_| !line.starts_with(' ')))?;
    Some(identifier(rest)).filter(|name| name.starts_with(char::is_uppercase))
}
