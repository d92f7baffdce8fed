//! Where things stand: layers, homes of foreign crates, doors, crowds, dependencies.

use super::Rule;
use super::files::{File, area, identifier, rust};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// From the bottom to the top: a module imports from lower rows and from itself. Whatever is not named is a loose file,
/// below all.
const LAYERS: &[&[&str]] = &[
    &["spec", "source", "plugin", "state", "sink", "checkpoint", "broker"],
    &["topology"],
    &["runtime"],
    &["inspect", "server", "cases", "project"],
    &["bench", "dev"],
    &["cli"],
];

/// Imports that the rows forbid and a reason allows: from, what, why.
const IMPORTS_ALLOWED: &[(&str, &str, &str)] =
    &[("plugin", "state", "the guest's reads and writes land in the overlay")];

/// One foreign crate, one home.
const HOMES: &[(&str, &[&str])] = &[
    ("rdkafka", &["kafka/", "source/", "sink/"]),
    ("rdkafka_sys", &["kafka/"]),
    ("reqwest", &["login/"]),
    ("wasmtime", &["plugin/"]),
    ("wasmparser", &["plugin/", "project/"]),
    ("wasm_encoder", &["plugin/"]),
    ("wit_component", &["project/"]),
    ("wit_parser", &["project/"]),
    ("ignore", &["project/"]),
    ("gimli", &["plugin/"]),
    ("rustc_demangle", &["plugin/"]),
    ("cpp_demangle", &["plugin/"]),
    ("kafka_protocol", &["broker/"]),
    ("axum", &["server/"]),
    ("clap", &["cli/"]),
    ("clap_complete", &["cli/"]),
    ("indicatif", &["cli/"]),
    ("toml", &["spec/", "project/"]),
    ("rocksdb", &["state/"]),
    ("object_store", &["checkpoint/"]),
];

pub(super) const RULES: &[Rule] = &[
    Rule {
        sentence: "Loose files ← stations ← topology ← runtime ← inspect, server, cases, project ← bench, dev ← cli ← \
                   main; stations never import each other: what two of them need is a loose file's, and runtime ties \
                   them.",
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
        sentence: "What is generated from wit/ is named below plugin/world/ only: a call is the host's own behind it, \
                   and a next world is a file beside the first.",
        find: bindings_elsewhere,
        broken: &[
            ("host/src/plugin/call/a.rs", "use super::bindings::v0_1::Processor;"),
            ("host/src/plugin/a.rs", "wasmtime::component::bindgen!();"),
            ("host/src/plugin/world/mod.rs", "pub use bindings::v0_1;"),
        ],
    },
    Rule {
        sentence: "A mod.rs is a door: header, `mod` lines in reading order, `use`; no logic.",
        find: doors_with_logic,
        broken: &[("host/src/sink/mod.rs", "//! Owns.\nmod a;\npub fn open() {}\n")],
    },
    Rule {
        sentence: "Every file begins with `//!`: what it owns, what it never does, what always holds.",
        find: |files| {
            rust(files)
                .filter(|file| !has_header(file))
                .map(|file| file.path.clone())
                .collect()
        },
        broken: &[("host/src/a.rs", "use std::fmt;")],
    },
    Rule {
        sentence: "A source folder has 15 entries at most, or nobody reads its listing.",
        find: crowds,
        broken: CROWD,
    },
    Rule {
        sentence: "A name says the area: never utils, common, helpers, misc.",
        find: |files| {
            rust(files)
                .filter(|file| is_nameless(&file.path))
                .map(|file| file.path.clone())
                .collect()
        },
        broken: &[("host/src/source/utils.rs", ""), ("tests/src/common/mod.rs", "")],
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
        sentence: "One file per station holds its unsafe code.",
        find: scattered_unsafe,
        broken: &[
            ("host/src/sink/a.rs", "#![expect(unsafe_code, reason = \"\")]"),
            ("host/src/sink/b.rs", "#![expect(unsafe_code, reason = \"\")]"),
        ],
    },
];

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
        .map(|file| file.path.clone())
        .collect()
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
        for what in crate_paths(&file.code()) {
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

fn strangers(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust(files) {
        let Some(path) = file.path.strip_prefix("host/src/") else {
            continue;
        };
        let code = file.code();
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

fn doors_with_logic(files: &[File]) -> Vec<String> {
    let mut found = Vec::new();
    for file in rust(files).filter(|file| file.path.starts_with("host/") && file.path.ends_with("/mod.rs")) {
        let mut inside_use = false;
        for line in file.code().lines().map(str::trim).filter(|line| !line.is_empty()) {
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

/// A header may also be taken from a README.
fn has_header(file: &File) -> bool {
    ["//! ", "#![doc = include_str!("]
        .iter()
        .any(|start| file.text.trim_start().starts_with(start))
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
            32
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
