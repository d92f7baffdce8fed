//! What is never committed, and what guards nothing.

use super::Rule;
use super::files::{File, containing, rust};

pub(super) const RULES: &[Rule] = &[
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
        sentence: "Every guest in tests/guests is named in a test: a sin that nobody commits guards nothing.",
        find: idle_guests,
        broken: &[("tests/guests/sleeps/Cargo.toml", "[package]")],
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
