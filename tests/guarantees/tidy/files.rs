//! The files of the repository, as the rules read them: their paths, their code without tests, their prose.

use sandbar_tests::root;
use std::collections::BTreeSet;

/// A file of the repository: its path from the root, and its text.
pub(super) struct File {
    pub(super) path: String,
    pub(super) text: String,
    /// Whether it stands behind `#[cfg(test)] mod …;`, or behind `#[cfg(fuzzing)]`: it is not shipped.
    pub(super) is_test: bool,
}

impl File {
    pub(super) fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.into(),
            text: text.into(),
            is_test: false,
        }
    }

    pub(super) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or_default()
    }

    /// The code without comments and without tests; nothing if the whole file is a test.
    pub(super) fn code(&self) -> String {
        if self.is_test {
            return String::new();
        }
        let mut code = String::new();
        let text = self.text.split("\n#[cfg(test)]\nmod tests {").next();
        let mut lines = text.unwrap_or_default().lines();
        while let Some(line) = lines.next() {
            if line.trim() == "#[cfg(test)]" {
                skip_item(&mut lines, indentation(line));
            } else if !line.trim_start().starts_with("//") {
                code.push_str(line);
                code.push('\n');
            }
        }
        code
    }

    /// What a person reads as sentences, by its line: comments; everything in Markdown, in a Makefile and in clippy's
    /// settings, whose reasons are shown to who breaks them.
    pub(super) fn prose(&self) -> Vec<(usize, &str)> {
        let whole = [".md", ".mk", "Makefile", "clippy.toml"]
            .iter()
            .any(|end| self.path.ends_with(end));
        let slashes = [".rs", ".wit"].iter().any(|end| self.path.ends_with(end));
        let sentence = |line| match (whole, slashes) {
            (true, _) => Some(line),
            (_, true) => comment(line, "//"),
            _ => comment(line, "#"),
        };
        let lines = self.text.lines().enumerate();
        lines.filter_map(|(at, line)| Some((at + 1, sentence(line)?))).collect()
    }
}

/// An item behind `#[cfg(test)]` ends with its line, or with a brace below the attribute.
fn skip_item<'a>(lines: &mut impl Iterator<Item = &'a str>, indentation: &str) {
    let mut begun = false;
    for line in lines {
        let words = line.trim_start();
        if !begun && (words.starts_with("#[") || words.starts_with("//")) {
            continue;
        }
        let one_line = !begun && (line.ends_with([';', ',']) || line.ends_with('}') && line.contains('{'));
        let brace = line.strip_prefix(indentation).unwrap_or(words);
        if one_line || brace == "}" || brace == "};" {
            return;
        }
        begun = true;
    }
}

pub(super) fn indentation(line: &str) -> &str {
    &line[..line.len() - line.trim_start().len()]
}

/// The comment of a line: its sign stands at the beginning or behind a space, and not in a text.
fn comment<'a>(line: &'a str, sign: &str) -> Option<&'a str> {
    let begins = |at: &usize| {
        let before = &line[..*at];
        (before.is_empty() || before.ends_with(char::is_whitespace)) && before.matches('"').count().is_multiple_of(2)
    };
    let at = line.match_indices(sign).map(|(at, _)| at).find(begins)?;
    Some(line[at + sign.len()..].trim_start_matches(['/', '!', '#']))
}

/// Every text of the repository that a person wrote.
pub(super) fn repository() -> Vec<File> {
    let (root, mut files, mut folders) = (root(), Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        let entries = std::fs::read_dir(&folder).expect("a folder");
        for entry in entries.map(|entry| entry.expect("an entry").path()) {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if entry.is_dir() {
                // What is fetched, built or generated is nobody's prose.
                if !["target", ".git", "node_modules", "generated", "bindings"].contains(&&*name) {
                    folders.push(entry);
                }
            } else if is_ours(&name)
                && let Ok(text) = std::fs::read_to_string(&entry)
            {
                let path = entry.strip_prefix(&root).expect("below the root");
                files.push(File::new(&path.to_string_lossy(), &text));
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    let tests: BTreeSet<String> = files.iter().flat_map(test_modules).collect();
    for file in &mut files {
        let folder = |test: &String| file.path.starts_with(&format!("{}/", test.trim_end_matches(".rs")));
        file.is_test = tests.contains(&file.path) || tests.iter().any(folder);
    }
    files
}

fn is_ours(name: &str) -> bool {
    let ends = [
        ".rs", ".toml", ".md", ".mk", ".wit", ".sh", ".c", ".h", ".hpp", ".go", ".js", ".py", ".ts",
    ];
    let scripts = [
        "Makefile",
        "run",
        "setup",
        "one",
        "demo",
        "cache",
        "first-build",
        "symbols",
        "clang++",
        "fuzz-rustc",
    ];
    ends.iter().any(|end| name.ends_with(end)) || scripts.contains(&name)
}

/// The files that a file names behind `#[cfg(test)]` or `#[cfg(fuzzing)]`.
fn test_modules(file: &File) -> Vec<String> {
    let folder = match file
        .path
        .strip_suffix("/mod.rs")
        .or_else(|| file.path.strip_suffix("/lib.rs"))
    {
        Some(folder) => folder,
        None => file.path.trim_end_matches(".rs"),
    };
    let behind = ["#[cfg(test)]\n", "#[cfg(fuzzing)]\n"]
        .into_iter()
        .flat_map(|attribute| file.text.split(attribute).skip(1));
    let modules = behind.filter_map(|text| {
        let line = text.lines().next().unwrap_or_default();
        let at = line
            .find("mod ")
            .filter(|at| *at == 0 || line[..*at].starts_with("pub"))?;
        text[at..].strip_prefix("mod ")
    });
    let names = modules.map(|text| (identifier(text), text));
    names
        .filter(|(name, text)| text[name.len()..].starts_with(';'))
        .flat_map(|(name, _)| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")])
        .collect()
}

pub(super) fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with(".rs"))
}

/// The module of the host that a file belongs to: a folder, or a loose file's name.
pub(super) fn area(file: &File) -> Option<&str> {
    file.path.strip_prefix("host/src/")?.split(['/', '.']).next()
}

pub(super) fn is_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

pub(super) fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| is_word(*letter)).collect()
}

/// The identifiers of a text, in their order.
pub(super) fn identifiers(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter| !is_word(letter)).filter(|word| !word.is_empty())
}

/// Files with any of these words, each with the word.
pub(super) fn containing(files: &[File], forbidden: &[&str]) -> Vec<String> {
    let finds = |file: &File, words: &&str| file.text.contains(*words).then(|| format!("{}: {words}", file.path));
    files
        .iter()
        .flat_map(|file| forbidden.iter().filter_map(move |words| finds(file, words)))
        .collect()
}
