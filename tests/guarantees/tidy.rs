//! The layout's rules as a table: each fails with the sentence that explains it, and each is shown to fail on a
//! snippet.

use sandbar_tests::root;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// A file of the repository: its path from the root, and its text.
struct File {
    path: String,
    text: String,
    /// Whether it stands behind `#[cfg(test)] mod …;`.
    is_test: bool,
}

/// A rule over all files; what it finds names the file.
struct Rule {
    sentence: &'static str,
    find: fn(&[File]) -> Vec<String>,
    /// Files that break it.
    broken: &'static [(&'static str, &'static str)],
}

/// From the bottom to the top: a module imports from lower rows and from itself. Whatever is not named is a loose file,
/// below all.
const LAYERS: &[&[&str]] = &[
    &["spec", "source", "plugin", "state", "sink", "checkpoint", "broker"],
    &["topology"],
    &["runtime"],
    &["inspect", "server"],
    &["cli"],
];

/// Imports that the rows forbid and a reason allows: from, what, why.
const IMPORTS_ALLOWED: &[(&str, &str, &str)] =
    &[("plugin", "state", "the guest's reads and writes land in the overlay")];

/// One foreign crate, one home.
const HOMES: &[(&str, &[&str])] = &[
    ("rdkafka", &["kafka/", "source/", "sink/", "broker/", "login/"]),
    // `login` hands clients of both what they sign in with.
    ("rdkafka_sys", &["source/", "sink/", "login/"]),
    ("reqwest", &["login/"]),
    ("wasmtime", &["plugin/"]),
    ("wasmparser", &["plugin/"]),
    ("kafka_protocol", &["broker/"]),
    ("axum", &["server/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("toml", &["spec/"]),
    ("rocksdb", &["state/"]),
    ("object_store", &["checkpoint/"]),
];

const RULES: &[Rule] = &[
    Rule {
        sentence: "Loose files ← stations ← topology ← runtime ← inspect, server ← cli ← main; stations never import each other: what two of them need is a loose file's, and runtime ties them.",
        find: imports_upwards,
        broken: &[
            ("host/src/source/a.rs", "use crate::{error::Error, sink::Writer};"),
            ("host/src/record.rs", "fn f() { crate::source::plan() }"),
        ],
    },
    Rule {
        sentence: "One foreign crate, one home: no foreign type crosses a station's door.",
        find: strangers,
        broken: &[
            ("host/src/runtime/batch/task.rs", "use rdkafka::Message;"),
            ("host/src/cli/run.rs", "let x: toml::Value = y;"),
        ],
    },
    Rule {
        sentence: "What is generated from wit/ is named below plugin/world/ only: a call is the host's own behind it, and a next world is a file beside the first.",
        find: bindings_elsewhere,
        broken: &[
            ("host/src/plugin/call/a.rs", "use super::bindings::v0_1::Processor;"),
            ("host/src/plugin/a.rs", "wasmtime::component::bindgen!();"),
            ("host/src/plugin/world/mod.rs", "pub use bindings::v0_1;"),
        ],
    },
    Rule {
        sentence: "A file has 600 lines at most without its tests: cut it where its second subject begins.",
        find: |files| {
            rust(files)
                .filter(|file| code(file).lines().count() > 600)
                .map(name)
                .collect()
        },
        broken: &[("host/src/long.rs", LONG)],
    },
    Rule {
        sentence: "A function has 100 lines at most: it reads as its sentence, and its parts have names.",
        find: long_functions,
        broken: &[("host/src/long.rs", LONG_FUNCTION)],
    },
    Rule {
        sentence: "A mod.rs is a door: header, `mod` lines in reading order, `use`; no logic.",
        find: doors_with_logic,
        broken: &[("host/src/sink/mod.rs", "//! Owns.\nmod a;\npub fn open() {}\n")],
    },
    Rule {
        sentence: "Every file begins with `//!`: what it owns, what it never does, what always holds.",
        find: |files| rust(files).filter(|file| !has_header(file)).map(name).collect(),
        broken: &[("host/src/a.rs", "use std::fmt;")],
    },
    Rule {
        sentence: "A source folder has 15 entries at most, or nobody reads its listing.",
        find: crowds,
        broken: CROWD,
    },
    Rule {
        sentence: "A name says the area: never utils, common, helpers, misc.",
        find: |files| rust(files).filter(|file| is_nameless(&file.path)).map(name).collect(),
        broken: &[("host/src/source/utils.rs", ""), ("tests/src/common/mod.rs", "")],
    },
    Rule {
        sentence: "No path of one machine: a path comes from an argument, the environment or the manifest's folder.",
        find: |files| {
            containing(
                files,
                &[
                    concat!("\"/", "home/"),
                    concat!("\"/", "root/"),
                    concat!("\"/", "work/"),
                    concat!("\"/", "Users/"),
                    concat!("=/", "home/"),
                    concat!("=/", "root/"),
                    concat!("=/", "work/"),
                ],
            )
        },
        broken: &[
            ("Makefile", concat!("LIBS=/", "work/libs")),
            ("tests/src/a.rs", concat!("let a = \"/", "home/me\";")),
        ],
    },
    Rule {
        sentence: "Nothing is left to do in what is committed: no todo!, no dbg!, no ignored test.",
        find: |files| {
            containing(
                files,
                &[
                    concat!("todo", "!("),
                    concat!("dbg", "!("),
                    concat!("#[ig", "nore"),
                    concat!("unimplemen", "ted!("),
                ],
            )
        },
        broken: &[
            ("host/src/a.rs", concat!("fn f() { todo", "!() }")),
            ("tests/guarantees/a.rs", concat!("#[ig", "nore = \"slow\"]")),
        ],
    },
    Rule {
        sentence: "Plugins, examples and guests know the SDK only; SDK and host share wit/ and nothing else.",
        find: wrong_dependencies,
        broken: &[
            (
                "plugins/a/Cargo.toml",
                "[dependencies]\nsandbar = { path = \"../../host\" }",
            ),
            ("host/Cargo.toml", "[dependencies]\nsandbar-sdk.workspace = true"),
        ],
    },
    Rule {
        sentence: "Every guest in tests/guests is named in a test: a sin that nobody commits guards nothing.",
        find: idle_guests,
        broken: &[("tests/guests/sleeps/Cargo.toml", "[package]")],
    },
    Rule {
        sentence: "One file per station holds its unsafe code.",
        find: scattered_unsafe,
        broken: &[
            ("host/src/sink/a.rs", "#![expect(unsafe_code, reason = \"\")]"),
            ("host/src/sink/b.rs", "#![expect(unsafe_code, reason = \"\")]"),
        ],
    },
    Rule {
        sentence: "Sentences of the repository are its own: no session, brief or helper in them.",
        find: |files| {
            containing(
                files,
                &[
                    concat!("BRI", "EF.md"),
                    concat!("ISS", "UE3"),
                    concat!("/sha", "red/reference"),
                ],
            )
        },
        broken: &[("host/src/a.rs", concat!("// see BRI", "EF.md"))],
    },
];

const LONG: &str = include_str!("snippets/six_hundred_and_one_lines.txt");
const LONG_FUNCTION: &str = include_str!("snippets/a_long_function.txt");
const CROWD: &[(&str, &str)] = &[
    ("host/src/x/a.rs", ""),
    ("host/src/x/b.rs", ""),
    ("host/src/x/c.rs", ""),
    ("host/src/x/d.rs", ""),
    ("host/src/x/e.rs", ""),
    ("host/src/x/f.rs", ""),
    ("host/src/x/g.rs", ""),
    ("host/src/x/h.rs", ""),
    ("host/src/x/i.rs", ""),
    ("host/src/x/j.rs", ""),
    ("host/src/x/k.rs", ""),
    ("host/src/x/l.rs", ""),
    ("host/src/x/m.rs", ""),
    ("host/src/x/n.rs", ""),
    ("host/src/x/o.rs", ""),
    ("host/src/x/p/mod.rs", ""),
];

#[test]
fn the_repository_keeps_its_rules() {
    let files = repository();
    assert!(files.len() > 30, "the repository was found");
    let broken = |rule: &Rule| {
        let found = (rule.find)(&files);
        (!found.is_empty()).then(|| format!("{}\n    {}", rule.sentence, found.join("\n    ")))
    };
    let broken: Vec<String> = RULES.iter().filter_map(broken).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for rule in RULES {
        let files = rule.broken.iter().map(|(path, text)| File {
            path: (*path).into(),
            text: (*text).into(),
            is_test: false,
        });
        let files: Vec<File> = files.collect();
        let groups: Vec<&[File]> = if (rule.find)(&files[..1]).is_empty() {
            vec![&files]
        } else {
            files.chunks(1).collect()
        };
        for group in groups {
            assert!(
                !(rule.find)(group).is_empty(),
                "nothing found in {}: {}",
                group[0].path,
                rule.sentence
            );
        }
    }
}

#[test]
fn a_clean_file_breaks_no_rule() {
    let text = "//! Owns.\nuse crate::{error::Error, record::Records};\nuse super::other;\n/// Does.\npub fn f() {\n    g();\n}\n";
    let files = [File {
        path: "host/src/source/a.rs".into(),
        text: text.into(),
        is_test: false,
    }];
    for rule in RULES {
        assert!((rule.find)(&files).is_empty(), "{}", rule.sentence);
    }
}

/// Every text of the repository that a person wrote.
fn repository() -> Vec<File> {
    let (root, mut files, mut folders) = (root(), Vec::new(), vec![root()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)
            .expect("a folder")
            .map(|entry| entry.expect("an entry").path())
        {
            let name = entry.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if entry.is_dir() {
                if name != "target" && !name.starts_with(".git") {
                    folders.push(entry);
                }
            } else if is_ours(&name)
                && let Ok(text) = std::fs::read_to_string(&entry)
            {
                let path = entry
                    .strip_prefix(&root)
                    .expect("below the root")
                    .to_string_lossy()
                    .into_owned();
                files.push(File {
                    path,
                    text,
                    is_test: false,
                });
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

/// The files that a file names behind `#[cfg(test)]`.
fn test_modules(file: &File) -> Vec<String> {
    let folder = match file
        .path
        .strip_suffix("/mod.rs")
        .or_else(|| file.path.strip_suffix("/lib.rs"))
    {
        Some(folder) => folder,
        None => file.path.trim_end_matches(".rs"),
    };
    let behind = file.text.split("#[cfg(test)]\n").skip(1);
    let modules = behind.filter_map(|text| text.strip_prefix("pub(crate) ").unwrap_or(text).strip_prefix("mod "));
    let names = modules.map(identifier_then).filter(|(_, rest)| rest.starts_with(';'));
    names
        .flat_map(|(name, _)| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/mod.rs")])
        .collect()
}

fn identifier_then(text: &str) -> (String, &str) {
    let name = identifier(text);
    let rest = &text[name.len()..];
    (name, rest)
}

fn is_ours(name: &str) -> bool {
    let ends = [".rs", ".toml", ".md", ".mk", ".wit", ".sh"];
    // The rules' own table names what it forbids.
    name != "tidy.rs" && (ends.iter().any(|end| name.ends_with(end)) || ["Makefile", "run", "setup"].contains(&name))
}

fn rust(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path.ends_with(".rs"))
}

/// A header may also be taken from a README.
fn has_header(file: &File) -> bool {
    ["//! ", "#![doc = include_str!("]
        .iter()
        .any(|start| file.text.trim_start().starts_with(start))
}

fn name(file: &File) -> String {
    file.path.clone()
}

/// The code without comments and without the tests at its end; nothing if the whole file is a test.
fn code(file: &File) -> String {
    if file.is_test {
        return String::new();
    }
    let text = file
        .text
        .split("\n#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .map(|line| format!("{line}\n"))
        .collect()
}

/// The module of the host that a file belongs to: a folder, or a loose file's name.
fn area(file: &File) -> Option<&str> {
    file.path.strip_prefix("host/src/")?.split(['/', '.']).next()
}

fn layer(area: &str) -> usize {
    LAYERS.iter().position(|row| row.contains(&area)).map_or(0, |at| at + 1)
}

fn imports_upwards(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust(files) {
        let Some(from) = area(file).filter(|area| !["main", "lib"].contains(area)) else {
            continue;
        };
        for what in crate_paths(&code(file)) {
            let allowed = layer(&what) < layer(from)
                || what == from
                || layer(&what) == 0
                || IMPORTS_ALLOWED
                    .iter()
                    .any(|(one, other, _)| (*one, *other) == (from, what.as_str()));
            if !allowed {
                found.push(format!("{}: crate::{what}", file.path));
            }
        }
    }
    found
}

/// First segments behind each `crate::`, those of a group too.
fn crate_paths(code: &str) -> Vec<String> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => paths.push(identifier(rest)),
            Some(group) => paths.extend(group_heads(group)),
        }
    }
    paths
}

fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut head) = (Vec::new(), 1, true);
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth == 1 => break,
            '}' => depth -= 1,
            ',' if depth == 1 => head = true,
            letter if head && !letter.is_whitespace() => {
                heads.push(identifier(&group[at..]));
                head = false;
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect()
}

fn strangers(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust(files) {
        let Some(path) = file.path.strip_prefix("host/src/") else {
            continue;
        };
        let code = code(file);
        for (stranger, homes) in HOMES {
            if !homes.iter().any(|home| path.starts_with(home)) && names_crate(&code, stranger) {
                found.push(format!("{}: {stranger} lives in {}", file.path, homes.join(", ")));
            }
        }
    }
    found
}

fn names_crate(code: &str, stranger: &str) -> bool {
    code.match_indices(stranger).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        let starts = !before.is_alphanumeric() && !"_:./\"-".contains(before);
        let rest = &code[at + stranger.len()..];
        let used = code[..at].ends_with("use ") && (rest.starts_with(';') || rest.starts_with(" as "));
        starts && (rest.starts_with("::") || used)
    })
}

/// In tests too. The door of their folder names their module, and hands nothing of it on.
fn bindings_elsewhere(files: &[File]) -> Vec<String> {
    let at_home = |path: &str| path.starts_with("host/src/plugin/world/") && !path.ends_with("/mod.rs");
    let names = |line: &str| {
        let mut words = line.split(|letter: char| !letter.is_alphanumeric() && letter != '_');
        !line.starts_with("//") && line != "mod bindings;" && words.any(|word| ["bindings", "bindgen"].contains(&word))
    };
    rust(files)
        .filter(|file| file.path.starts_with("host/") && !at_home(&file.path))
        .filter(|file| file.text.lines().map(str::trim).any(names))
        .map(name)
        .collect()
}

fn long_functions(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    // A test may be one scene, read from top to bottom.
    for file in rust(files).filter(|file| !file.is_test) {
        let lines: Vec<&str> = file.text.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_function(line)) {
            let end = format!("{}}}", &line[..line.len() - line.trim_start().len()]);
            let length = lines[at..]
                .iter()
                .position(|line| *line == end)
                .map_or(0, |length| length + 1);
            let one_line = line.ends_with('}') || line.ends_with(';');
            if length > 100 && !one_line {
                found.push(format!("{}:{}: {length} lines", file.path, at + 1));
            }
        }
    }
    found
}

fn is_function(line: &str) -> bool {
    let line = line.trim_start();
    let words = [
        "fn ",
        "pub fn ",
        "async fn ",
        "pub async fn ",
        "unsafe fn ",
        "pub unsafe fn ",
        "const fn ",
        "pub const fn ",
    ];
    words.iter().any(|start| line.starts_with(start)) || line.starts_with("pub(") && line.contains(") fn ")
}

fn doors_with_logic(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust(files).filter(|file| file.path.starts_with("host/") && file.path.ends_with("/mod.rs")) {
        let mut inside_use = false;
        for line in code(file).lines().map(str::trim).filter(|line| !line.is_empty()) {
            let line_opens_use = line.starts_with("use ") || line.starts_with("pub") && line.contains(" use ");
            let is_mod = line.ends_with(';') && line.split(' ').any(|word| word == "mod");
            if !(inside_use || line_opens_use || is_mod || line.starts_with("#[")) {
                found.push(format!("{}: {line}", file.path));
            }
            inside_use = (inside_use || line_opens_use) && !line.ends_with(';');
        }
    }
    found
}

fn crowds(files: &[File]) -> Vec<String> {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in files.iter().filter(|file| file.path.contains("src/") && !file.is_test) {
        let mut path = Path::new(&file.path);
        while let Some(folder) = path.parent().filter(|folder| folder.to_string_lossy().contains("src")) {
            let entry = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            folders
                .entry(folder.to_string_lossy().into_owned())
                .or_default()
                .insert(entry);
            path = folder;
        }
    }
    // The root of the host lists the loose files and the stations side by side, and `cli` has a file per verb.
    let limit = |folder: &str| {
        if ["host/src", "host/src/cli"].contains(&folder) {
            30
        } else {
            15
        }
    };
    let crowded = folders
        .into_iter()
        .filter(|(folder, entries)| entries.len() > limit(folder));
    crowded
        .map(|(folder, entries)| format!("{folder}: {} entries", entries.len()))
        .collect()
}

fn is_nameless(path: &str) -> bool {
    let nameless = ["util", "utils", "common", "helper", "helpers", "misc", "manager"];
    path.split(['/', '.']).any(|part| nameless.contains(&part))
}

fn containing(files: &[File], forbidden: &[&str]) -> Vec<String> {
    let finds = |file: &File, words: &&str| file.text.contains(*words).then(|| format!("{}: {words}", file.path));
    files
        .iter()
        .flat_map(|file| forbidden.iter().filter_map(move |words| finds(file, words)))
        .collect()
}

fn wrong_dependencies(files: &[File]) -> Vec<String> {
    let depends = |file: &File, package: &str| {
        file.text
            .lines()
            .any(|line| line.split(['=', ' ', '.']).next() == Some(package) && line.contains('='))
    };
    let mut found = Vec::new();
    for file in files.iter().filter(|file| file.path.ends_with("/Cargo.toml")) {
        let guest = ["plugins/", "examples/", "tests/guests/", "guest-sdk/"]
            .iter()
            .any(|start| file.path.starts_with(start));
        if guest && depends(file, "sandbar") {
            found.push(format!("{} depends on the host", file.path));
        }
        if file.path == "host/Cargo.toml" && depends(file, "sandbar-sdk") {
            found.push(format!("{} depends on the SDK", file.path));
        }
    }
    found
}

fn idle_guests(files: &[File]) -> Vec<String> {
    let tests: Vec<&File> = rust(files)
        .filter(|file| !file.path.starts_with("tests/guests/") && file.text.contains("#[test]"))
        .collect();
    let guests = files
        .iter()
        .filter_map(|file| file.path.strip_prefix("tests/guests/")?.strip_suffix("/Cargo.toml"));
    let is_named = |guest: &str| {
        tests
            .iter()
            .any(|file| file.text.contains(&format!("\"{guest}\"")) || file.text.contains(&format!("{guest}.wasm")))
    };
    guests
        .filter(|guest| !is_named(guest))
        .map(|guest| format!("tests/guests/{guest}"))
        .collect()
}

fn scattered_unsafe(files: &[File]) -> Vec<String> {
    let mut holders: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in rust(files).filter(|file| file.text.contains("(unsafe_code")) {
        if let Some(area) = area(file) {
            holders.entry(area).or_default().push(&file.path);
        }
    }
    holders
        .into_values()
        .filter(|files| files.len() > 1)
        .map(|files| files.join(", "))
        .collect()
}
