//! Contexts: named daemons, each with the file of a token, and which of them is current.
//!
//! Owns their file. Never holds a token: only the path of its file. Always: the file is of mode 0600 and is replaced as
//! a whole; two that change it at once do so one after the other.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::token::BearerToken;
use crate::names::Name;
use crate::problem::{Problem, ProblemKind, Result};

/// A daemon, and whom one is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Context {
    /// Where the daemon listens, such as `http://127.0.0.1:8620`.
    pub url: String,
    /// The file that holds the token.
    pub token_file: PathBuf,
}

/// All contexts of a person.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Contexts {
    /// The one that is meant if nothing names another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<Name>,
    /// By their names.
    #[serde(default, rename = "context")]
    pub all: BTreeMap<Name, Context>,
}

impl Contexts {
    /// Reads the file; one that is not there holds none.
    ///
    /// # Errors
    /// `Failed`: it cannot be read, or is no file of contexts.
    pub fn read(path: &Path) -> Result<Self> {
        let text = match fs::read_to_string(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|error| failed("read", path, &error))?,
        };
        toml::from_str(&text).map_err(|error| {
            let why = error.message().lines().collect::<Vec<_>>().join(", ");
            failed("read", path, &why).hint("correct it, or delete it and add the contexts again")
        })
    }

    /// Adds a context, or puts it in the place of the one of that name; it becomes the current one if there is none.
    /// What was there before, if anything was.
    ///
    /// # Errors
    /// `Failed`: the address is none, the token cannot be read, or the file cannot be read or written.
    pub fn add(path: &Path, name: Name, url: &str, token_file: &Path) -> Result<Option<Context>> {
        let url = Address::read(url)?.to_string();
        // The paths of other folders' verbs begin elsewhere.
        let token_file = std::path::absolute(token_file).map_err(|error| failed("add a context to", path, &error))?;
        BearerToken::read(&token_file)?;
        change(path, |contexts| {
            contexts.current.get_or_insert_with(|| name.clone());
            Ok(contexts.all.insert(name, Context { url, token_file }))
        })
    }

    /// Makes a context the current one.
    ///
    /// # Errors
    /// `NotFound`: there is none of that name. `Failed`: the file cannot be read or written.
    pub fn make_current(path: &Path, name: &Name) -> Result<()> {
        change(path, |contexts| {
            contexts.get(name)?;
            contexts.current = Some(name.clone());
            Ok(())
        })
    }

    /// The context of that name.
    ///
    /// # Errors
    /// `NotFound`: there is none.
    pub fn get(&self, name: &Name) -> Result<&Context> {
        self.all.get(name).ok_or_else(|| {
            let known: Vec<_> = self.all.keys().map(Name::as_str).collect();
            let why = match known.is_empty() {
                true => "there is no context".to_owned(),
                false => format!("there are {}", known.join(", ")),
            };
            Problem::new(ProblemKind::NotFound, format!("failed to find context `{name}`"), why)
                .hint("add it with `sandbar context add`")
        })
    }

    fn write(&self, path: &Path) -> Result<()> {
        let text = toml::to_string(self).map_err(|error| failed("write", path, &error))?;
        let written = || {
            let beside = sibling(path, "new");
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file = OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, path)
        };
        written().map_err(|error| failed("write", path, &error))
    }
}

/// Reads the file, changes what it holds and writes it, while no other does.
fn change<T>(path: &Path, changed: impl FnOnce(&mut Contexts) -> Result<T>) -> Result<T> {
    // A link is kept: what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let _until_the_end = lock(&path).map_err(|error| failed("write", &path, &error))?;
    let mut contexts = Contexts::read(&path)?;
    let result = changed(&mut contexts)?;
    contexts.write(&path)?;
    Ok(result)
}

fn lock(path: &Path) -> std::io::Result<File> {
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(sibling(path, "lock"))?;
    file.lock()?;
    Ok(file)
}

fn sibling(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(end);
    PathBuf::from(name)
}

fn failed(verb: &str, path: &Path, why: &dyn std::fmt::Display) -> Problem {
    Problem::new(
        ProblemKind::Failed,
        format!("failed to {verb} `{}`", path.display()),
        why,
    )
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn name(text: &str) -> Name {
        text.parse().unwrap()
    }

    #[test]
    fn contexts_are_kept_in_a_file_that_its_owner_alone_reads() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, "sbt_hunter2").unwrap();
        let path = folder.path().join("below/contexts.toml");
        assert_eq!(Contexts::read(&path).unwrap(), Contexts::default());
        assert_eq!(
            Contexts::add(&path, name("a"), "http://127.0.0.1:1/", &token).unwrap(),
            None
        );
        Contexts::add(&path, name("b"), "http://127.0.0.1:2", &token).unwrap();
        let contexts = Contexts::read(&path).unwrap();
        // The first one is current until another is wanted.
        assert_eq!(contexts.current, Some(name("a")));
        assert_eq!(contexts.get(&name("a")).unwrap().url, "http://127.0.0.1:1");
        Contexts::make_current(&path, &name("b")).unwrap();
        let before = Contexts::add(&path, name("a"), "http://127.0.0.1:3", &token).unwrap();
        assert_eq!(before.unwrap().url, "http://127.0.0.1:1");
        assert_eq!(Contexts::read(&path).unwrap().current, Some(name("b")));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(!fs::read_to_string(&path).unwrap().contains("hunter2"));
    }

    #[test]
    fn a_context_that_is_none_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("contexts.toml");
        let token = folder.path().join("token");
        let without = Contexts::add(&path, name("a"), "http://127.0.0.1:1", &token).unwrap_err();
        assert!(without.what.contains("token"), "{without}");
        fs::write(&token, "sbt_x").unwrap();
        assert!(Contexts::add(&path, name("a"), "127.0.0.1:1", &token).is_err());
        let unknown = Contexts::make_current(&path, &name("a")).unwrap_err();
        assert_eq!(unknown.kind, ProblemKind::NotFound);
        assert!(!path.exists());
        fs::write(&path, "[context.a]\nurl = \"http://x\"\ntoken-fil = \"y\"\n").unwrap();
        assert!(Contexts::add(&path, name("b"), "http://127.0.0.1:1", &token).is_err());
        assert!(Contexts::read(&path).unwrap_err().why.contains("token-fil"));
        assert!(fs::read_to_string(&path).unwrap().contains("token-fil "));
    }

    #[test]
    fn those_that_add_at_once_lose_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, "sbt_x").unwrap();
        let path = folder.path().join("contexts.toml");
        std::thread::scope(|scope| {
            for number in 0..16 {
                let (path, token) = (&path, &token);
                scope.spawn(move || Contexts::add(path, name(&format!("c{number}")), "http://h", token).unwrap());
            }
        });
        assert_eq!(Contexts::read(&path).unwrap().all.len(), 16);
    }

    #[test]
    fn a_link_to_the_file_stays_one() {
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        fs::write(&token, "sbt_x").unwrap();
        let (path, link) = (
            folder.path().join("elsewhere.toml"),
            folder.path().join("contexts.toml"),
        );
        fs::write(&path, "").unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        Contexts::add(&link, name("a"), "http://h", &token).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Contexts::read(&path).unwrap().all.len(), 1);
    }
}
