//! `sandbar new`: makes a project of a template.

use std::path::{Path, PathBuf};

use super::manifest::{MissingTool, PluginManifest};
use super::template::{self, languages, templates};
use crate::error::{Error, Kind, Result};

/// The longest name of a project: it becomes names of files, packages, consumer groups.
const NAME_BYTES: usize = 64;

/// A project that was made.
#[derive(Debug)]
pub struct Created {
    /// Its name.
    pub name: String,
    /// How many files it has.
    pub files: usize,
    /// What its build needs and is not on this machine.
    pub missing: Vec<MissingTool>,
}

/// Makes the project `folder` in a language of a template; its name is the folder's. The folder may be there, if it is
/// empty.
///
/// # Errors
/// `Usage`: the name cannot be one, language or template are none, or the folder has something in it. `Failed`: a file
/// cannot be written.
pub fn create(folder: &Path, language: &str, template: &str) -> Result<Created> {
    one_of("language", language, &languages())?;
    one_of("template", template, &templates())?;
    let name = name_of(folder)?;
    is_free(folder)?;
    let files = template::files(&name, language, template);
    for (path, bytes) in &files {
        let path = folder.join(path);
        write(&path, bytes).map_err(|why| {
            let what = format!("failed to write {}", path.display());
            Error::new(Kind::Failed, what, why)
        })?;
    }
    let missing = PluginManifest::read(folder)?.missing_tools(folder);
    Ok(Created {
        name,
        files: files.len(),
        missing,
    })
}

fn one_of(what: &str, given: &str, known: &[String]) -> Result<()> {
    if known.iter().any(|name| name == given) {
        return Ok(());
    }
    let why = format!("there are {}", known.join(", "));
    let error = Error::new(Kind::Usage, format!("there is no {what} `{given}`"), why);
    Err(match what {
        "language" => error.hint("docs/languages/other.md says what a language needs that is not among them"),
        _ => error,
    })
}

/// The folder's name, which becomes a Rust crate, a Go module, a consumer group: what all of them take.
fn name_of(folder: &Path) -> Result<String> {
    let absolute: PathBuf = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = absolute.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let taken = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-';
    let fits = name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.chars().all(taken)
        && !name.ends_with('-')
        && name.len() <= NAME_BYTES;
    if fits {
        return Ok(name);
    }
    let why = format!(
        "a project's name has lower case letters, digits and hyphens, {NAME_BYTES} at most; it begins with a letter \
         and does not end with a hyphen"
    );
    Err(Error::new(
        Kind::Usage,
        format!("`{name}` cannot be the name of a project"),
        why,
    ))
}

fn is_free(folder: &Path) -> Result<()> {
    let is_taken = match std::fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_some(),
        Err(why) => why.kind() != std::io::ErrorKind::NotFound,
    };
    if !is_taken {
        return Ok(());
    }
    let what = format!("failed to make a project in {}", folder.display());
    Err(Error::new(Kind::Usage, what, "it is there already and not an empty folder").hint("take another name"))
}

fn write(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    std::fs::write(path, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_is_its_template_with_its_name_put_in() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("my-views");
        let created = create(&place, "rust", "count").unwrap();
        assert_eq!(created.name, "my-views");
        let read = |path: &str| std::fs::read_to_string(place.join(path)).unwrap();
        assert!(read("pipeline.toml").contains("plugin = \"my-views.wasm\""));
        assert!(read("plugin.toml").contains("my_views.wasm"));
        assert!(read("sdk/src/lib.rs").contains("//!"));
        let again = create(&place, "rust", "count").unwrap_err();
        assert_eq!(again.kind, Kind::Usage);
        assert!(again.why.contains("not an empty folder"), "{again}");
    }

    #[test]
    fn names_that_a_tool_chain_would_not_take_are_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let long = "a".repeat(NAME_BYTES + 1);
        for wrong in ["Views", "1views", "views-", "my views", "vüws", "a_b", &long] {
            let place = folder.path().join(wrong);
            assert_eq!(
                create(&place, "rust", "count").unwrap_err().kind,
                Kind::Usage,
                "{wrong}"
            );
            assert!(!place.exists());
        }
        let place = folder.path().join("views");
        let error = create(&place, "cobol", "count").unwrap_err();
        assert!(error.why.contains("rust") && error.what.contains("cobol"), "{error}");
        assert!(create(&place, "rust", "sum").unwrap_err().why.contains("window"));
        assert!(!place.exists());
    }
}
