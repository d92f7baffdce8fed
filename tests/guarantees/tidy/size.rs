//! How long things are: files, functions, lines.

use super::Rule;
use super::files::{File, indentation, rust};

pub(super) const RULES: &[Rule] = &[
    Rule {
        sentence: "A file has 600 lines at most without its tests: cut it where its second subject begins.",
        find: |files| {
            rust(files)
                .filter(|file| file.code().lines().count() > 600)
                .map(|file| file.path.clone())
                .collect()
        },
        broken: &[("host/src/long.rs", LONG)],
    },
    Rule {
        sentence: "A function has 70 lines at most: it reads as its sentence, and its parts have names.",
        find: long_functions,
        broken: &[("host/src/long.rs", LONG_FUNCTION)],
    },
    Rule {
        sentence: "A line has 120 columns at most; only a table's row and a word that is an address may be wider.",
        find: wide_lines,
        broken: &[
            ("README.md", WIDE),
            ("host/src/a.rs", WIDE),
            ("make/a.mk", WIDE),
            ("a/Cargo.toml", WIDE),
        ],
    },
];

const LONG: &str = include_str!("snippets/six_hundred_and_one_lines.txt");
const LONG_FUNCTION: &str = include_str!("snippets/a_long_function.txt");
const WIDE: &str = "# Who reads this line does not see its end, for it stands behind the edge of a window that has \
                    120 columns, which many do.";

fn long_functions(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    // A test may be one scene, read from top to bottom.
    for file in rust(files).filter(|file| !file.is_test) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
            let end = format!("{}}}", indentation(line));
            let length = lines[at..].iter().position(|line| *line == end);
            let length = length.map_or(0, |length| length + 1);
            // A foreign function's declaration has no body.
            let opens = lines[at..].iter().find(|line| line.ends_with(['{', '}', ';']));
            let has_body = opens.is_some_and(|line| line.ends_with('{'));
            if length > 70 && has_body {
                found.push(format!("{}:{}: {length} lines", file.path, at + 1));
            }
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let words = ["", "pub", "const", "async", "unsafe", "extern", "\"C\""];
    line.trim_start().split_once("fn ").is_some_and(|(before, _)| {
        before
            .split(' ')
            .all(|word| words.contains(&word) || word.starts_with("pub(") || word.ends_with(')'))
    })
}

fn wide_lines(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in files {
        for (at, line) in file.text.lines().enumerate() {
            let columns = line.chars().count();
            let is_row = line.trim_start_matches([' ', '/', '!']).starts_with("| ");
            let is_address = line
                .split_whitespace()
                .any(|word| word.contains("://") && word.len() > 80);
            if columns > 120 && !is_row && !is_address {
                found.push(format!("{}:{}: {columns} columns", file.path, at + 1));
            }
        }
    }
    found
}
