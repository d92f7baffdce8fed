//! What sentences name is there: files, folders, names of the code.

use super::Rule;
use super::files::{File, identifiers, is_word};
use sandbar_tests::root;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Names in backticks that are not of this repository: the beginning of each, and whose they are.
const FOREIGN: &[(&str, &str)] = &[("rd_kafka_", "librdkafka"), ("days_from_civil", "Howard Hinnant")];

pub(super) const RULES: &[Rule] = &[
    Rule {
        sentence: "A file or folder that a sentence names is there: from the root, from `host/src`, or from where the \
                   sentence stands.",
        find: lost_paths,
        broken: &[
            ("ARCHITECTURE.md", "The order is in `host/src/checkpoint/order.rs`."),
            ("host/src/a.rs", "//! See `runtime/gone/` and others."),
            ("host/src/b.rs", "    g(); // as gone.rs has it"),
            ("clippy.toml", "reason = \"time enters through watch.rs\""),
            ("make/a.mk", "# tests/gone installs it."),
        ],
    },
    Rule {
        sentence: "A name of the code in backticks is in the code: who renames it renames it in the sentences too.",
        find: lost_names,
        broken: &[
            ("host/src/a.rs", "//! Does what `flow::keepers` says."),
            ("host/src/b.rs", "/// A `TaskKeeper`.\nstruct Tasks;"),
            ("docs/a.md", "Shown by `tidy::every_rule_…`."),
            ("tests/README.md", "It waits by `until_it_is_so`."),
        ],
    },
];

fn lost_paths(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (line, sentence) in file.prose() {
            for (path, ticked) in paths(sentence) {
                if is_ours(path, ticked) && !is_there(file, path) {
                    found.push(format!("{}:{line}: {path}", file.path));
                }
            }
        }
    }
    found
}

/// The words of a sentence that look like paths, and whether each begins with a backtick. A word beside a sign of a
/// pattern (`*`, `<`, `…`, `$`, `{`, `%`) is a part of one.
fn paths(sentence: &str) -> impl Iterator<Item = (&str, bool)> {
    let is_part = |letter: char| is_word(letter) || "./+-".contains(letter);
    let mut words = Vec::new();
    let mut from = 0;
    while let Some(start) = sentence[from..].find(is_part).map(|start| from + start) {
        let end = sentence[start..]
            .find(|letter| !is_part(letter))
            .map_or(sentence.len(), |end| start + end);
        let (before, after) = (sentence[..start].chars().next_back(), sentence[end..].chars().next());
        let is_pattern = [before, after]
            .into_iter()
            .flatten()
            .any(|letter| "*<>…${}%".contains(letter));
        let word = sentence[start..end].trim_end_matches('.');
        if !is_pattern && !word.is_empty() {
            words.push((word, before == Some('`')));
        }
        from = end;
    }
    words.into_iter()
}

/// Whether a word is a path of the repository: it begins with a folder of the root or, in backticks, of the host; or it
/// is a file of Rust, Markdown or make. A word in capitals stands for any name.
fn is_ours(path: &str, ticked: bool) -> bool {
    let placeholder = |part: &str| part.len() > 2 && part.chars().all(char::is_uppercase);
    let is_file = [".rs", ".md", ".mk"]
        .iter()
        .any(|end| path.ends_with(end) && path != *end);
    let Some((first, _)) = path.split_once('/') else {
        return is_file && path != "mod.rs";
    };
    if ["", ".", "..", "target"].contains(&first) || path.split('/').any(placeholder) {
        return false;
    }
    root().join(first).is_dir() || ticked && root().join("host/src").join(first).is_dir() || is_file
}

/// From the root, from the host's sources, from a folder that the file is in, or from the folder of a module's parts.
fn is_there(file: &File, path: &str) -> bool {
    let parts = PathBuf::from(file.path.trim_end_matches(".rs"));
    let own = parts.ancestors().chain([Path::new("host/src")]);
    own.map(|folder| root().join(folder))
        .any(|folder| folder.join(path).exists() || folder.join("src").join(path).exists())
}

/// The identifiers of a file that stand outside of sentences.
struct Code<'a> {
    files: Vec<(&'a str, BTreeSet<&'a str>)>,
}

fn lost_names(files: &[File]) -> Vec<String> {
    let code = Code::of(files);
    let mut found = Vec::new();
    for file in files {
        for (line, sentence) in file.prose() {
            for words in sentence.split('`').skip(1).step_by(2) {
                let name = words.trim_end_matches("()");
                if !FOREIGN.iter().any(|(start, _)| name.starts_with(start)) && !code.knows(name) {
                    found.push(format!("{}:{line}: {name}", file.path));
                }
            }
        }
    }
    found
}

impl<'a> Code<'a> {
    fn of(files: &'a [File]) -> Self {
        let mut all = Vec::new();
        for file in files.iter().filter(|file| !file.path.ends_with(".md")) {
            let signs = if file.path.ends_with(".rs") { "//" } else { "#" };
            let lines = file.text.lines().filter(|line| !line.trim_start().starts_with(signs));
            all.push((file.path.as_str(), lines.flat_map(identifiers).collect()));
        }
        Self { files: all }
    }

    /// Whether a name is none of the code, or is in it. Where `…` stands, anything may.
    fn knows(&self, name: &str) -> bool {
        let segments: Vec<&str> = name.split("::").collect();
        if !name.chars().all(|letter| is_word(letter) || ":…".contains(letter)) {
            return true;
        }
        match segments.as_slice() {
            [word] => !looks_like_code(word) || self.files.iter().any(|(_, words)| words.contains(word)),
            _ => segments.windows(2).all(|pair| self.has(pair[0], pair[1])),
        }
    }

    /// Whether something of this name is in a module or a type.
    fn has(&self, owner: &str, name: &str) -> bool {
        if name.is_empty() || ["crate", "super", "self", "…"].contains(&owner) {
            return true;
        }
        let mut owners = self.files.iter().filter(|(path, words)| {
            if owner.starts_with(char::is_uppercase) {
                words.contains(owner)
            } else {
                path.split(['/', '.']).any(|part| part == owner)
            }
        });
        owners.any(|(path, words)| {
            let is_module = path.split(['/', '.']).any(|part| part == name);
            is_module || words.iter().any(|word| is_meant(word, name))
        })
    }
}

/// Names with an underscore, and names of types.
fn looks_like_code(word: &str) -> bool {
    let type_like = word.starts_with(char::is_uppercase) && word.contains(char::is_lowercase);
    let words = word.trim_matches('_').contains('_')
        || type_like && word.chars().filter(|letter| letter.is_uppercase()).count() > 1;
    words && !word.contains('…') && word.chars().next().is_some_and(|letter| !letter.is_numeric())
}

/// Whether a word is the one that a sentence abbreviates by `…`.
fn is_meant(word: &str, name: &str) -> bool {
    match name.split_once('…') {
        None => word == name,
        Some((begin, end)) => word.starts_with(begin) && word.ends_with(end.trim_start_matches('…')),
    }
}
