//! What `sandbar new` makes a project of: files that lie in the program.
//!
//! ```text
//! guest-sdk/SDK/…            → sdk/…     the language's SDK, so that a project builds without anything else of ours
//! templates/shared/any/…     → …         what every project has
//! templates/shared/TEMPLATE/… → …        a pipeline, its input and cases: the same in all languages
//! templates/LANGUAGE/any/…   → …         how the language is built
//! templates/LANGUAGE/TEMPLATE/… → …      the plugin
//! ```
//!
//! Of two files of the same name the later one is taken.

use std::collections::{BTreeMap, BTreeSet};

/// Paths from the root of our sources, and bytes: `host/build.rs` makes the list.
static FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/project_files.rs"));

const TEMPLATES: &str = "templates/";
/// What belongs to every language, or to every template.
const SHARED: &str = "shared";
const ANY: &str = "any";

/// Which SDK a language has, if it is not called like the language.
const SDK_OF: [(&str, &str); 3] = [("cpp", "c"), ("typescript", "javascript"), ("zig", "c")];

/// The languages, by name.
pub fn languages() -> Vec<String> {
    folders(TEMPLATES).into_iter().filter(|name| name != SHARED).collect()
}

/// The templates, by name.
pub fn templates() -> Vec<String> {
    let all = folders(&format!("{TEMPLATES}{SHARED}/"));
    all.into_iter().filter(|name| name != ANY).collect()
}

/// The folders in a folder.
fn folders(folder: &str) -> BTreeSet<String> {
    let below = under(folder).filter_map(|(path, _)| path.split_once('/'));
    below.map(|(name, _)| name.to_owned()).collect()
}

/// The files of a project by their paths in it, with its name put in; `language` and `template` are known ones.
pub(super) fn files(name: &str, language: &str, template: &str) -> BTreeMap<String, Vec<u8>> {
    let put_in = |text: &str| {
        text.replace("{{name}}", name)
            .replace("{{name_}}", &name.replace('-', "_"))
            .replace("{{template}}", template)
    };
    let mut files = sdk(language);
    for (of, part) in [(SHARED, ANY), (SHARED, template), (language, ANY), (language, template)] {
        let folder = format!("{TEMPLATES}{of}/{part}/");
        for (path, bytes) in under(&folder) {
            let text = std::str::from_utf8(bytes).map(|text| put_in(text).into_bytes());
            files.insert(put_in(path), text.unwrap_or_else(|_| bytes.to_vec()));
        }
    }
    files
}

/// The language's SDK as it lies in a project.
fn sdk(language: &str) -> BTreeMap<String, Vec<u8>> {
    let other = SDK_OF.iter().find(|(of, _)| *of == language);
    let sdk = other.map_or(language, |(_, sdk)| sdk);
    let folder = format!("guest-sdk/{sdk}/");
    let files = under(&folder).map(|(path, bytes)| (format!("sdk/{path}"), bytes.to_vec()));
    files.collect()
}

/// The files below a folder, by their paths in it.
fn under<'a>(folder: &'a str) -> impl Iterator<Item = (&'static str, &'static [u8])> + use<'a> {
    FILES
        .iter()
        .filter_map(move |(path, bytes)| Some((path.strip_prefix(folder)?, *bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_language_has_every_template_and_all_that_a_project_needs() {
        let (languages, templates) = (languages(), templates());
        assert_eq!(templates, ["count", "filter", "join", "window"]);
        let named = [
            "assemblyscript",
            "c",
            "cpp",
            "go",
            "javascript",
            "python",
            "rust",
            "typescript",
            "zig",
        ];
        assert_eq!(languages, named);
        for language in &languages {
            for template in &templates {
                let files = files("my-views", language, template);
                for needed in ["plugin.toml", "README.md", "pipeline.toml", ".gitignore"] {
                    assert!(files.contains_key(needed), "{language} {template}: no {needed}");
                }
                assert!(
                    files.keys().any(|path| path.starts_with("cases/")),
                    "{language} {template}"
                );
                let has_sdk = files.keys().any(|path| path.starts_with("sdk/"));
                assert_eq!(has_sdk, language != "assemblyscript", "{language}");
                let own = files.iter().filter(|(path, _)| !path.starts_with("sdk/"));
                for (path, bytes) in own {
                    let text = String::from_utf8_lossy(bytes);
                    assert!(
                        !path.contains("{{") && !text.contains("{{name"),
                        "{language} {template}: {path}"
                    );
                }
            }
        }
    }

    #[test]
    fn what_a_tool_chain_leaves_in_an_sdk_stays_there() {
        for (path, _) in FILES.iter().filter(|(path, _)| path.starts_with("guest-sdk/")) {
            let parts: Vec<&str> = path.split('/').collect();
            let made = ["node_modules", "__pycache__", "build", "target"];
            assert!(!made.iter().any(|name| parts.contains(name)), "{path}");
            // Rust's unit tests lie among its sources, and are not built with them.
            assert!(!["test", "tests"].contains(&parts[2]), "{path}");
        }
    }
}
