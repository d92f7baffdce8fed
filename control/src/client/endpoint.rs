//! Which daemon is meant, and with which token: flags, variables, contexts.
//!
//! Always: a token of a context goes to that context's address alone; another address needs a token that is named
//! beside it.

use std::env;
use std::path::PathBuf;

use reqwest::header::HeaderValue;

use super::address::Address;
use super::context::{Context, Contexts};
use super::grant::ClientGrant;
use super::token::BearerToken;
use super::trust::Trust;
use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// What the command line says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// The daemon's address.
    pub url: Option<String>,
    /// The file of a token.
    pub token_file: Option<PathBuf>,
    /// A context.
    pub context: Option<Name>,
}

/// What a person's environment says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// `SANDBAR_URL`.
    pub url: Option<String>,
    /// `SANDBAR_TOKEN_FILE`.
    pub token_file: Option<PathBuf>,
    /// `SANDBAR_CONFIG`, or `~/.config/sandbar/contexts.toml`; `None`: there is no home.
    pub contexts: Option<PathBuf>,
}

/// A daemon, and who one is there.
#[derive(Debug, Clone)]
pub struct Endpoint {
    pub(super) address: Address,
    pub(super) credential: Credential,
    pub(super) trust: Trust,
}

/// What is shown to a daemon.
#[derive(Debug, Clone)]
pub(super) enum Credential {
    /// A token of a file.
    Token(BearerToken),
    /// Tokens that a client of an issuer asks for.
    Client(ClientGrant),
}

impl Credential {
    /// The header `Authorization`.
    ///
    /// # Errors
    /// `Failed`: there is no token that fits into one. What the issuer says, if it is asked.
    pub(super) async fn authorization(&self) -> Result<HeaderValue> {
        let token = match self {
            Self::Token(token) => token.clone(),
            Self::Client(grant) => grant.token().await?,
        };
        let unfit = || {
            Problem::new(
                ProblemKind::Failed,
                "failed to sign in",
                "the token fits into no header",
            )
        };
        token.header().ok_or_else(unfit)
    }
}

impl Surroundings {
    /// Those of this process; a variable that is empty is none.
    pub fn of_process() -> Self {
        let variable = |name| env::var_os(name).filter(|value| !value.is_empty());
        let at_home = || Some(PathBuf::from(variable("HOME")?).join(".config/sandbar/contexts.toml"));
        Self {
            url: variable("SANDBAR_URL").map(|url| url.to_string_lossy().into_owned()),
            token_file: variable("SANDBAR_TOKEN_FILE").map(PathBuf::from),
            contexts: variable("SANDBAR_CONFIG").map(PathBuf::from).or_else(at_home),
        }
    }

    /// Where contexts are kept.
    ///
    /// # Errors
    /// `NotFound`: neither `SANDBAR_CONFIG` nor `HOME` is set.
    pub fn contexts(&self) -> Result<&PathBuf> {
        self.contexts.as_ref().ok_or_else(|| {
            let why = "neither SANDBAR_CONFIG nor HOME is set";
            Problem::new(ProblemKind::NotFound, "failed to find the file of contexts", why)
                .hint("set SANDBAR_CONFIG to the path of a file")
        })
    }
}

impl Endpoint {
    /// The daemon that is meant: by flags, else by the context of a flag, else by variables, else by the current
    /// context. A token that a flag names goes before all others, and one of a variable before that of the current
    /// context.
    ///
    /// # Errors
    /// `NotFound`: nothing names a daemon, or its token, or the context is not there. `Failed`: the address is none,
    /// or the token or the contexts cannot be read.
    pub fn choose(choice: &Choice, around: &Surroundings) -> Result<Self> {
        let named = choice.token_file.clone();
        if let Some(url) = &choice.url {
            return Self::with_token(url, named.or_else(|| around.token_file.clone()));
        }
        if let Some(name) = &choice.context {
            let contexts = Contexts::read(around.contexts()?)?;
            let context = contexts.get(name)?;
            return Self::of_context(context, named);
        }
        let named = named.or_else(|| around.token_file.clone());
        if let Some(url) = &around.url {
            return Self::with_token(url, named);
        }
        Self::of_context(&current(around)?, named)
    }

    /// Of a context; with another token if a file is named.
    fn of_context(context: &Context, named: Option<PathBuf>) -> Result<Self> {
        let trust = context.trust.clone();
        let grant = context.oidc.as_ref().map(ClientGrant::of).transpose()?.flatten();
        if let (Some(grant), None) = (grant, &named) {
            return Ok(Self {
                address: Address::read(&context.url)?,
                credential: Credential::Client(grant),
                trust,
            });
        }
        let endpoint = Self::with_token(&context.url, named.or_else(|| context.token_file.clone()))?;
        Ok(Self { trust, ..endpoint })
    }

    fn with_token(url: &str, token_file: Option<PathBuf>) -> Result<Self> {
        let address = Address::read(url)?;
        let Some(path) = token_file else {
            let what = format!("failed to sign in at {address}");
            let why = "no file of a token is named, and that of a context is for the context's own address";
            let hint = "give --token-file FILE, or set SANDBAR_TOKEN_FILE";
            return Err(Problem::new(ProblemKind::NotFound, what, why).hint(hint));
        };
        Ok(Self {
            address,
            credential: Credential::Token(BearerToken::read(&path)?),
            trust: Trust::default(),
        })
    }
}

fn current(around: &Surroundings) -> Result<Context> {
    let none = |why: &str| {
        Problem::new(
            ProblemKind::NotFound,
            "failed to find the daemon: nothing names it",
            why,
        )
        .hint("give --url and --token-file, set SANDBAR_URL and SANDBAR_TOKEN_FILE, or `sandbar context add` one")
    };
    let Some(path) = &around.contexts else {
        return Err(none("no flag, no variable, and no home for contexts"));
    };
    let contexts = Contexts::read(path)?;
    let Some(name) = &contexts.current else {
        let why = format!("no flag, no variable, and no current context in `{}`", path.display());
        return Err(none(&why));
    };
    contexts.get(name).cloned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A folder with tokens `flag`, `variable` and `context`, each of its own name, and a context at `context`.
    struct Home(tempfile::TempDir);

    impl Home {
        fn new() -> Self {
            let home = Self(tempfile::tempdir().unwrap());
            for name in ["flag", "variable", "context"] {
                fs::write(home.file(name), format!("sbt_{name}")).unwrap();
            }
            let name = "a".parse().unwrap();
            let context = Context::of_token("http://context", &home.file("context"));
            Contexts::add(&home.file("contexts"), name, context).unwrap();
            home
        }

        fn file(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        /// The chosen address and token: flags are `u` address, `t` token, `c` context; variables are `U`, `T`.
        fn chosen(&self, said: &str) -> Result<String> {
            let token = |letter, name| said.contains(letter).then(|| self.file(name));
            let choice = Choice {
                url: said.contains('u').then(|| "http://flag".to_owned()),
                token_file: token('t', "flag"),
                context: said.contains('c').then(|| "a".parse().unwrap()),
            };
            let around = Surroundings {
                url: said.contains('U').then(|| "http://variable".to_owned()),
                token_file: token('T', "variable"),
                contexts: Some(self.file("contexts")),
            };
            let endpoint = Endpoint::choose(&choice, &around)?;
            let (address, Credential::Token(token)) = (endpoint.address, endpoint.credential) else {
                panic!("a token")
            };
            let token = token.header().unwrap().to_str().unwrap().replace("Bearer sbt_", "");
            Ok(format!("{address} {token}"))
        }
    }

    #[test]
    fn flags_go_before_variables_and_those_before_the_current_context() {
        let home = Home::new();
        for (said, chosen) in [
            ("", "http://context context"),
            ("T", "http://context variable"),
            ("t", "http://context flag"),
            ("UT", "http://variable variable"),
            ("Ut", "http://variable flag"),
            ("utUT", "http://flag flag"),
            ("uT", "http://flag variable"),
            ("cUT", "http://context context"),
            ("ctUT", "http://context flag"),
        ] {
            assert_eq!(home.chosen(said).as_deref(), Ok(chosen), "{said}");
        }
    }

    #[test]
    fn a_token_of_a_context_goes_to_no_other_address() {
        let home = Home::new();
        for said in ["u", "U", "uU"] {
            let problem = home.chosen(said).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::NotFound);
            assert!(problem.hint.unwrap().contains("--token-file"));
        }
    }

    #[test]
    fn who_names_no_daemon_is_told_how() {
        let around = Surroundings {
            contexts: Some(PathBuf::from("/nowhere/contexts.toml")),
            ..Surroundings::default()
        };
        for around in [around, Surroundings::default()] {
            let problem = Endpoint::choose(&Choice::default(), &around).unwrap_err();
            assert!(
                problem.hint.as_ref().unwrap().contains("sandbar context add"),
                "{problem}"
            );
        }
    }
}
