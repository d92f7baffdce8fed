//! Contexts: named daemons, each with who one is there, and which of them is current.
//!
//! Owns their file. Never holds a token or a key: only the path of its file. Always: the file is of mode 0600 and is
//! replaced as a whole; two that change it at once do so one after the other.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::address::Address;
use super::files::{self, sibling};
use super::grant::{ClientGrant, OidcClient};
use super::token::BearerToken;
use super::trust::Trust;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// A daemon, and whom one is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Context {
    /// Where the daemon listens, such as `http://127.0.0.1:8620`.
    pub url: String,
    /// The file that holds the token; none: it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Which certificates count there.
    #[serde(flatten)]
    pub trust: Trust,
    /// Of which issuer the token is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oidc: Option<OidcClient>,
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

impl Context {
    /// A daemon at this address, with the token of this file.
    pub fn of_token(url: &str, token_file: &Path) -> Self {
        Self {
            url: url.to_owned(),
            token_file: Some(token_file.to_owned()),
            trust: Trust::default(),
            oidc: None,
        }
    }

    /// The same with whole paths, after everything that it names was looked at; `own` is the file for the token of a
    /// person who logs in.
    fn checked(mut self, own: PathBuf) -> Result<Self> {
        self.url = Address::read(&self.url)?.to_string();
        for path in [&mut self.token_file].into_iter().chain(self.trust.paths()) {
            make_whole(path)?;
        }
        self.trust.check()?;
        let Some(client) = &mut self.oidc else {
            let none = || refused("it names no token").hint("give --token-file, or --oidc-issuer and --oidc-client-id");
            BearerToken::read(self.token_file.as_ref().ok_or_else(none)?)?;
            return Ok(self);
        };
        client.paths().into_iter().try_for_each(make_whole)?;
        let grant = ClientGrant::of(client)?;
        match (grant, &self.token_file) {
            (Some(_), Some(_)) => Err(refused("it has both a file of a token and a secret to ask for tokens")),
            (Some(_), None) => Ok(self),
            (None, _) => {
                self.token_file.get_or_insert(own);
                Ok(self)
            }
        }
    }
}

/// The paths of other folders' verbs begin elsewhere.
fn make_whole(path: &mut Option<PathBuf>) -> Result<()> {
    if let Some(path) = path {
        *path = std::path::absolute(&*path).map_err(|error| refused(error.to_string()))?;
    }
    Ok(())
}

fn refused(why: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemKind::Failed, "failed to add a context", why)
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
    /// `Failed`: the address is none, what it names cannot be read, or the file cannot be read or written.
    pub fn add(path: &Path, name: Name, context: Context) -> Result<Option<Context>> {
        let own = std::path::absolute(path).map_err(|error| failed("write", path, &error))?;
        let context = context.checked(own.with_file_name("tokens").join(name.as_str()))?;
        change(path, |contexts| {
            contexts.current.get_or_insert_with(|| name.clone());
            Ok(contexts.all.insert(name, context))
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
        files::replace(path, &text).map_err(|error| failed("write", path, &error))
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
    files::make_folder(path)?;
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(sibling(path, "lock"))?;
    file.lock()?;
    Ok(file)
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
            Contexts::add(&path, name("a"), Context::of_token("http://127.0.0.1:1/", &token)).unwrap(),
            None
        );
        Contexts::add(&path, name("b"), Context::of_token("http://127.0.0.1:2", &token)).unwrap();
        let contexts = Contexts::read(&path).unwrap();
        // The first one is current until another is wanted.
        assert_eq!(contexts.current, Some(name("a")));
        assert_eq!(contexts.get(&name("a")).unwrap().url, "http://127.0.0.1:1");
        Contexts::make_current(&path, &name("b")).unwrap();
        let before = Contexts::add(&path, name("a"), Context::of_token("http://127.0.0.1:3", &token)).unwrap();
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
        let context = |url: &str| Context::of_token(url, &token);
        let without = Contexts::add(&path, name("a"), context("http://127.0.0.1:1")).unwrap_err();
        assert!(without.what.contains("token"), "{without}");
        fs::write(&token, "sbt_x").unwrap();
        assert!(Contexts::add(&path, name("a"), context("127.0.0.1:1")).is_err());
        let unknown = Contexts::make_current(&path, &name("a")).unwrap_err();
        assert_eq!(unknown.kind, ProblemKind::NotFound);
        assert!(!path.exists());
        fs::write(&path, "[context.a]\nurl = \"http://x\"\ntoken-fil = \"y\"\n").unwrap();
        assert!(Contexts::add(&path, name("b"), context("http://127.0.0.1:1")).is_err());
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
                let context = Context::of_token("http://h", token);
                scope.spawn(move || Contexts::add(path, name(&format!("c{number}")), context).unwrap());
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
        Contexts::add(&link, name("a"), Context::of_token("http://h", &token)).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(Contexts::read(&path).unwrap().all.len(), 1);
    }
}
