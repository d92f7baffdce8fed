//! Which daemon a verb asks, in which tenant, and what becomes of its problems.

use std::path::PathBuf;

use clap::Args;
use sandbar_control::client::{Choice, Connection, Endpoint, Surroundings};
use sandbar_control::{Name, Problem, ProblemKind};

use crate::error::{Error, Kind, Result};

/// The flags of verbs that ask a daemon.
#[derive(Args, Debug, Clone)]
pub(in crate::cli) struct DaemonArgs {
    /// The daemon's address, such as http://127.0.0.1:8620; otherwise SANDBAR_URL, or the current context
    #[arg(long, value_name = "URL", conflicts_with = "context")]
    url: Option<String>,
    /// The file of the token that is shown there; otherwise SANDBAR_TOKEN_FILE, or the context's
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Ask the daemon of this context, whatever is current
    #[arg(long, value_name = "NAME")]
    context: Option<Name>,
}

/// The flags of verbs that ask for something of a tenant.
#[derive(Args, Debug, Clone)]
pub(in crate::cli) struct InTenant {
    #[command(flatten)]
    daemon: DaemonArgs,
    /// The tenant; by default the one of the token
    #[arg(long, value_name = "NAME")]
    tenant: Option<Name>,
}

impl DaemonArgs {
    /// A connection to the daemon; nothing is asked yet.
    ///
    /// # Errors
    /// `Failed`: nothing names a daemon, or its token cannot be read.
    pub(super) fn connect(&self) -> Result<Connection> {
        let choice = Choice {
            url: self.url.clone(),
            token_file: self.token_file.clone(),
            context: self.context.clone(),
        };
        let endpoint = Endpoint::choose(&choice, &Surroundings::of_process())?;
        Ok(Connection::open(&endpoint)?)
    }
}

impl InTenant {
    /// Whether a flag names a daemon, or something of it.
    pub(in crate::cli) fn is_given(&self) -> bool {
        let DaemonArgs {
            url,
            token_file,
            context,
        } = &self.daemon;
        url.is_some() || token_file.is_some() || context.is_some() || self.tenant.is_some()
    }

    /// The same in the tenant that is named in front of something, if one is.
    ///
    /// # Errors
    /// `Usage`: --tenant names another one.
    pub(super) fn within(mut self, named: Option<Name>) -> Result<Self> {
        if let (Some(named), Some(tenant)) = (&named, &self.tenant)
            && named != tenant
        {
            let why = format!("{named} stands there, and --tenant says {tenant}");
            return Err(Error::new(Kind::Usage, "failed to find the tenant: two are named", why));
        }
        self.tenant = named.or(self.tenant);
        Ok(self)
    }

    /// A connection to the daemon, and the tenant there.
    ///
    /// # Errors
    /// `Usage`: the token has every tenant, and none is named. `Failed`: nothing names a daemon, or it cannot be asked.
    pub(super) fn connect(&self) -> Result<(Connection, Name)> {
        let connection = self.daemon.connect()?;
        match self.tenant_of(&connection)? {
            Some(tenant) => Ok((connection, tenant)),
            None => {
                let why = format!(
                    "the token at {} is the platform's, which has every tenant",
                    connection.address()
                );
                let error = Error::new(Kind::Usage, "failed to find the tenant: none is named", why);
                Err(error.hint("give --tenant NAME; `sandbar tenant list` shows them"))
            }
        }
    }

    /// A connection to the daemon, and the tenant there; `None`: all of them.
    ///
    /// # Errors
    /// `Failed`: nothing names a daemon, or it cannot be asked.
    pub(super) fn connect_to_all(&self) -> Result<(Connection, Option<Name>)> {
        let connection = self.daemon.connect()?;
        let tenant = self.tenant_of(&connection)?;
        Ok((connection, tenant))
    }

    fn tenant_of(&self, connection: &Connection) -> Result<Option<Name>> {
        match &self.tenant {
            Some(tenant) => Ok(Some(tenant.clone())),
            None => Ok(connection.whoami()?.tenant),
        }
    }
}

impl From<Problem> for Error {
    fn from(problem: Problem) -> Self {
        let kind = match problem.kind {
            ProblemKind::Invalid => Kind::Invalid,
            ProblemKind::PluginRefused => Kind::Plugin,
            _ => Kind::Failed,
        };
        let error = Error::new(kind, problem.what, problem.why);
        problem.hint.into_iter().fold(error, Error::hint)
    }
}

/// A text of a daemon that may go to a terminal: in one line, without control characters.
pub(super) fn plain(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_has_the_exit_code_that_its_sort_says() {
        for kind in [
            ProblemKind::NotSignedIn,
            ProblemKind::NotAllowed,
            ProblemKind::NotFound,
            ProblemKind::Conflict,
            ProblemKind::Changed,
            ProblemKind::TooLarge,
            ProblemKind::Invalid,
            ProblemKind::PluginRefused,
            ProblemKind::TooMany,
            ProblemKind::QuotaExceeded,
            ProblemKind::Failed,
            ProblemKind::NotBuilt,
            ProblemKind::Unavailable,
        ] {
            let error = Error::from(Problem::new(kind, "a", "b").hint("c"));
            assert_eq!(error.kind.exit_code(), kind.exit_code(), "{kind:?}");
            assert_eq!(error.to_string(), "error: a\n  b\n  hint: c");
        }
    }

    #[test]
    fn a_text_of_a_daemon_does_nothing_to_a_terminal() {
        assert_eq!(plain("a\x1b[2J\nb\u{9b}c"), "a [2J b c");
    }
}
