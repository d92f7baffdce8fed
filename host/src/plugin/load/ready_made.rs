//! The plugins that come with Sandbar, found by name: each is a file beside the program.

use std::path::{Path, PathBuf};

use crate::config::{is_ready_made, ready_made_folders};
use crate::error::{Error, Kind, Result};

/// A plugin that comes with Sandbar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyMade {
    /// What a pipeline file calls it.
    pub name: &'static str,
    /// What it does, in a line.
    pub does: &'static str,
}

/// All of them, by name.
pub const READY_MADE: &[ReadyMade] = &[
    ReadyMade {
        name: "count-by-key",
        does: "Counts the records of each key",
    },
    ReadyMade {
        name: "deduplicate",
        does: "Lets one of the records through that are the same",
    },
    ReadyMade {
        name: "filter",
        does: "Passes the records whose number at a JSON pointer is high enough",
    },
    ReadyMade {
        name: "gap-fill",
        does: "Puts out one record an interval of each key, and fills the gaps",
    },
    ReadyMade {
        name: "join",
        does: "Joins records of two inputs that have the same key",
    },
    ReadyMade {
        name: "jq",
        does: "Makes records of records by a program in jq's language",
    },
    ReadyMade {
        name: "pass-through",
        does: "Passes records unchanged",
    },
    ReadyMade {
        name: "top-n",
        does: "Ranks the records of each key, in windows or as they come",
    },
    ReadyMade {
        name: "window",
        does: "Aggregates the records of each key in windows",
    },
    ReadyMade {
        name: "window-count",
        does: "Counts the records of each key in windows of one size",
    },
];

/// Where the file of a plugin is: that of a ready-made one if `plugin` is a name, which has no slash and no dot.
///
/// # Errors
/// `Plugin`: no ready-made plugin has this name, or its file is not there.
pub(super) fn file_of(plugin: &Path) -> Result<PathBuf> {
    match plugin.to_str().filter(|text| is_ready_made(text)) {
        Some(name) => find(name),
        None => Ok(plugin.to_owned()),
    }
}

fn find(name: &str) -> Result<PathBuf> {
    let what = format!("failed to load plugin `{name}`");
    if !READY_MADE.iter().any(|of| of.name == name) {
        let names: Vec<_> = READY_MADE.iter().map(|of| of.name).collect();
        let why = format!(
            "no plugin of this name comes with Sandbar; there are {}",
            names.join(", ")
        );
        return Err(Error::new(Kind::Plugin, what, why).hint(format!("a file is written \"./{name}.wasm\"")));
    }
    let folders = ready_made_folders();
    let folders = folders.map_err(|why| Error::new(Kind::Plugin, &*what, format!("where the program is: {why}")))?;
    let file = format!("{name}.wasm");
    let places = folders.iter().map(|folder| folder.join(&file));
    let found = places.clone().find(|place| place.is_file());
    found.ok_or_else(|| {
        let looked: Vec<_> = places.map(|place| place.display().to_string()).collect();
        Error::new(Kind::Plugin, what, format!("it is not in {}", looked.join(", ")))
            .hint("`make plugins` builds those that come with Sandbar")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_of_those_that_come_with_the_program_and_a_path_is_a_path() {
        for path in ["count.wasm", "./window", "plugins/window", "/window"] {
            assert_eq!(file_of(Path::new(path)).unwrap(), Path::new(path));
        }
        let error = file_of(Path::new("windows")).unwrap_err();
        assert_eq!(error.kind, Kind::Plugin);
        assert!(error.why.contains("there are count-by-key, deduplicate"), "{error}");
        // The folder of the tests has no plugins beside it.
        if let Err(error) = file_of(Path::new("window")) {
            assert!(error.why.starts_with("it is not in "), "{error}");
            assert!(error.hint.unwrap().contains("make plugins"));
        }
    }

    #[test]
    fn the_list_is_that_of_the_folder_and_each_says_what_its_manifest_says() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let manifest = std::fs::read_to_string(entry.path().join("Cargo.toml")).unwrap();
            let does = manifest.lines().find_map(|line| line.strip_prefix("description = "));
            found.push((
                entry.file_name().into_string().unwrap(),
                does.unwrap().trim_matches('"').to_owned(),
            ));
        }
        found.sort();
        let listed: Vec<_> = READY_MADE
            .iter()
            .map(|of| (of.name.to_owned(), of.does.to_owned()))
            .collect();
        assert_eq!(listed, found);
    }
}
