//! A pipeline file with the plugins that it names, ready to be applied.
//!
//! Never checks what the daemon checks: here it is only found out which files belong to it. Always: no error repeats a
//! line of the file, which may hold a secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::local::read;
use super::registry::OciReference;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a pipeline file, at most.
const MOST_FILE_BYTES: u64 = 1 << 20;

/// A pipeline file, and the plugin files of its operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Application {
    /// The pipeline's name.
    pub name: Name,
    /// The text of the file.
    pub file: String,
    /// Where each operator's plugin is taken from, but of those whose plugin comes with Sandbar.
    pub plugins: BTreeMap<String, PluginSource>,
}

/// Where a plugin is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PluginSource {
    /// A file.
    File(PathBuf),
    /// A registry.
    Registry(OciReference),
}

impl PluginSource {
    /// What a text means: `oci://…`, or the path of a file in this folder.
    ///
    /// # Errors
    /// `Invalid`: it begins as a reference, and is none.
    pub fn read(text: &str, folder: &Path) -> Result<Self> {
        if !OciReference::is_meant(text) {
            return Ok(Self::File(folder.join(text)));
        }
        let reference = text.parse();
        reference
            .map(Self::Registry)
            .map_err(|why: String| Problem::new(ProblemKind::Invalid, "failed to find a plugin", why))
    }
}

/// The keys of a pipeline file that matter here.
#[derive(Deserialize)]
struct Keys {
    name: String,
    #[serde(default)]
    operator: BTreeMap<String, OperatorKeys>,
}

#[derive(Deserialize)]
struct OperatorKeys {
    plugin: String,
}

impl Application {
    /// Reads a pipeline file. The path of a plugin is relative to it.
    ///
    /// # Errors
    /// `Invalid`: it cannot be read, or is no pipeline file; `TooLarge`.
    pub fn read(path: &Path) -> Result<Self> {
        let what = || format!("failed to read `{}`", path.display());
        let invalid = |why: &dyn std::fmt::Display| Problem::new(ProblemKind::Invalid, what(), why);
        let bytes = read(path, MOST_FILE_BYTES).map_err(|error| invalid(&error))?;
        if bytes.len() as u64 > MOST_FILE_BYTES {
            let why = format!("it has more than {MOST_FILE_BYTES} bytes");
            return Err(Problem::new(ProblemKind::TooLarge, what(), why));
        }
        let file = String::from_utf8(bytes).map_err(|_| invalid(&"it is no UTF-8"))?;
        let keys: Keys = toml::from_str(&file).map_err(|error| {
            let before = error.span().and_then(|span| file.as_bytes().get(..span.start));
            let line = before.map(|before| before.iter().filter(|byte| **byte == b'\n').count() + 1);
            let at = line.map_or_else(String::new, |line| format!("line {line}: "));
            // The message of a wrong value repeats it behind its colon.
            let why = error
                .message()
                .split(": ")
                .next()
                .unwrap_or_default()
                .replace('\n', ", ");
            invalid(&format!("{at}{why}")).hint("`sandbar check` says more")
        })?;
        let name = keys.name.parse().map_err(|why| {
            Problem::new(
                ProblemKind::Invalid,
                format!("`name` of `{}` cannot be used", path.display()),
                why,
            )
        })?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let with_files = keys
            .operator
            .into_iter()
            .filter(|(_, keys)| !is_ready_made(&keys.plugin));
        let plugins = with_files
            .map(|(operator, keys)| Ok((operator, PluginSource::read(&keys.plugin, folder)?)))
            .collect::<Result<_>>()?;
        Ok(Self { name, file, plugins })
    }
}

/// Whether the plugin of an operator is the name of one that comes with Sandbar, and not a path.
fn is_ready_made(plugin: &str) -> bool {
    !plugin.contains(['/', '\\', '.'])
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn application(text: &str) -> (PathBuf, Result<Application>) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pipeline.toml");
        fs::write(&path, text).unwrap();
        (folder.path().to_owned(), Application::read(&path))
    }

    #[test]
    fn a_file_says_which_plugins_belong_to_it() {
        let text = concat!(
            "name = \"views\"\n[operator.a]\nplugin = \"below/a.wasm\"\n[operator.\"b c\"]\nplugin = \"/b.wasm\"\n",
            "[operator.w]\nplugin = \"window\"\n[operator.x]\nplugin = \"./window\"\n",
            "[operator.y]\nplugin = \"oci://r.example/count:1\"\n",
            "[source.s]\nwhat = 1\n",
        );
        let (folder, read) = application(text);
        let read = read.unwrap();
        let plugins = [
            ("a".to_owned(), PluginSource::File(folder.join("below/a.wasm"))),
            ("b c".to_owned(), PluginSource::File(PathBuf::from("/b.wasm"))),
            ("x".to_owned(), PluginSource::File(folder.join("./window"))),
            (
                "y".to_owned(),
                PluginSource::Registry("oci://r.example/count:1".parse().unwrap()),
            ),
        ];
        assert_eq!((read.name.as_str(), read.file.as_str()), ("views", text));
        assert_eq!(read.plugins, BTreeMap::from(plugins));
    }

    #[test]
    fn a_file_that_is_none_is_invalid_and_not_repeated() {
        for (text, said) in [
            ("name = \"a\"\npassword = hunter2\n", "line 2"),
            ("name = \"a\"\n\n[operator.a]\nplugin = [\"hunter2\"]\n", "line 4"),
            ("name = \"a\"\noperator = \"hunter2\"\n", "line 2"),
            ("x = \"hunter2\"", "name"),
            ("name = \"Views\"\nx = \"hunter2\"", "Views"),
        ] {
            let problem = application(text).1.unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Invalid);
            assert!(problem.to_string().contains(said), "{problem}");
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
        assert_eq!(
            Application::read(Path::new("/nowhere")).unwrap_err().kind,
            ProblemKind::Invalid
        );
        let large = application(&format!("# {}", "x".repeat(1 << 20))).1.unwrap_err();
        assert_eq!(large.kind, ProblemKind::TooLarge);
    }
}
