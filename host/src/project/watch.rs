//! Whether something in a project changed that its build reads.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ignore::WalkBuilder;

use super::manifest::PluginManifest;

/// Files looked at, at most: a folder with more is no project.
const FILES: usize = 20_000;
/// Folders that a build fills, as tool chains call them.
const BUILDS: [&str; 5] = ["build", "dist", "node_modules", "out", "target"];

/// A file: where it is, when it was written last, its bytes.
type SeenFile = (PathBuf, Option<SystemTime>, u64);

/// The files of some folders as they were when they were looked at. What a build makes does not count: what
/// `.gitignore` names, hidden files, and what a build leaves according to `plugin.toml`.
#[derive(Debug, Default)]
pub struct WatchedFiles {
    files: BTreeSet<SeenFile>,
}

impl WatchedFiles {
    /// Looks at the files below some folders, and at files.
    pub fn look(places: &[PathBuf]) -> Self {
        let files = places.iter().flat_map(|place| below(place));
        Self {
            files: files.take(FILES).collect(),
        }
    }

    /// A file that was written, made or removed since.
    pub fn changed_since<'a>(&'a self, before: &'a Self) -> Option<&'a Path> {
        let mut changed = self.files.symmetric_difference(&before.files);
        changed.next().map(|(path, _, _)| path.as_path())
    }
}

fn below(place: &Path) -> impl Iterator<Item = SeenFile> {
    // What git would leave out also counts if there is no repository yet.
    let made = made_in(place);
    let walk = WalkBuilder::new(place)
        .require_git(false)
        .follow_links(false)
        .filter_entry(move |entry| !made.iter().any(|made| entry.path() == made))
        .build();
    walk.flatten().filter_map(|entry| {
        let about = entry.metadata().ok().filter(std::fs::Metadata::is_file)?;
        Some((entry.into_path(), about.modified().ok(), about.len()))
    })
}

/// The component of a project, and its module: the folder of a build that it lies in, if it does.
fn made_in(project: &Path) -> Vec<PathBuf> {
    let Ok(manifest) = PluginManifest::read(project) else {
        return Vec::new();
    };
    let module = manifest.module.as_path();
    let is_of_a_build = |folder: &&Path| {
        folder
            .file_name()
            .is_some_and(|name| BUILDS.iter().any(|of| name == *of))
    };
    let made = module
        .ancestors()
        .skip(1)
        .filter(is_of_a_build)
        .last()
        .unwrap_or(module);
    vec![project.join(made), project.join(&manifest.plugin)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_count_and_what_a_build_makes_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let look = || WatchedFiles::look(&[folder.path().to_owned()]);
        for of in ["src", "build", ".venv"] {
            std::fs::create_dir(place(of)).unwrap();
        }
        std::fs::write(place(".gitignore"), "/build/\n*.wasm\n").unwrap();
        std::fs::write(place("src/a.rs"), "1").unwrap();
        let before = look();
        for made in ["build/core", ".venv/python", "a.wasm"] {
            std::fs::write(place(made), "made").unwrap();
        }
        assert_eq!(look().changed_since(&before), None);
        std::fs::write(place("src/a.rs"), "22").unwrap();
        let after = look();
        assert_eq!(after.changed_since(&before), Some(&*place("src/a.rs")));
        std::fs::remove_file(place("src/a.rs")).unwrap();
        assert_eq!(look().changed_since(&after), Some(&*place("src/a.rs")));
    }

    #[test]
    fn what_the_manifest_says_that_a_build_leaves_does_not_count_without_a_gitignore_either() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        let look = || WatchedFiles::look(&[folder.path().to_owned()]);
        let manifest = "language = \"c\"\nplugin = \"a.wasm\"\nmodule = \"app/out/x/core.wasm\"\nbuild = \"make\"\n";
        std::fs::write(place("plugin.toml"), manifest).unwrap();
        std::fs::create_dir_all(place("app/out/x")).unwrap();
        std::fs::write(place("app/a.c"), "1").unwrap();
        let before = look();
        for made in ["app/out/x/core.wasm", "app/out/a.o", "a.wasm"] {
            std::fs::write(place(made), "made").unwrap();
        }
        assert_eq!(look().changed_since(&before), None);
        std::fs::write(place("app/a.c"), "22").unwrap();
        assert_eq!(look().changed_since(&before), Some(&*place("app/a.c")));
    }
}
