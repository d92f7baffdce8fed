//! `sandbar token`: who may ask a daemon for what.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use sandbar_control::{Role, Token as KeptToken};
use serde_json::{Value, json};

use super::daemon::{InTenant, plain};
use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;
use crate::spec;

/// Arguments of `sandbar token`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar token create --tenant team-a --role operator > operator.token"
)]
pub struct TokenArgs {
    #[command(subcommand)]
    action: TokenAction,
}

#[derive(Subcommand, Debug)]
enum TokenAction {
    /// Make a token of a tenant, and print it this once
    #[command(
        after_help = "Keep it in a file that you alone read, and name that file with --token-file or \
        `sandbar context add`.\n\n\
        Examples:\n  sandbar token create --tenant team-a --role operator > operator.token\n  \
        sandbar token create --tenant team-a --role author --note build --expires 90d"
    )]
    Create {
        /// What it allows
        #[arg(long, value_enum)]
        role: RoleWord,
        /// What it is for, in your own words
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// For how long it is taken, such as 90d; by default until it is revoked
        #[arg(long, value_name = "DURATION", value_parser = duration)]
        expires: Option<Duration>,
        #[command(flatten)]
        place: InTenant,
    },
    /// List the tokens of a tenant, without their secrets
    #[command(after_help = "Example:\n  sandbar token list --tenant team-a")]
    List {
        #[command(flatten)]
        place: InTenant,
    },
    /// End a token: from now on it is not known
    #[command(after_help = "Example:\n  sandbar token revoke --tenant team-a k3vq7r2m")]
    Revoke {
        /// Its id, as `list` has it
        id: String,
        #[command(flatten)]
        place: InTenant,
    },
}

/// What a token allows. Each sees everything of its tenant but secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum RoleWord {
    /// Looks
    Viewer,
    /// Pushes plugins
    Author,
    /// Applies, starts, stops and deletes pipelines
    Operator,
    /// All of it, and tokens and secrets
    Admin,
}

impl From<RoleWord> for Role {
    fn from(word: RoleWord) -> Self {
        match word {
            RoleWord::Viewer => Self::Viewer,
            RoleWord::Author => Self::Author,
            RoleWord::Operator => Self::Operator,
            RoleWord::Admin => Self::Admin,
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    spec::duration(text).ok_or_else(|| "a duration is a number with ms, s, m, h or d, such as 90d".to_owned())
}

impl TokenArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            TokenAction::Create {
                role,
                note,
                expires,
                place,
            } => {
                let (connection, tenant) = place.connect()?;
                let made = connection.create_token(&tenant, role.into(), note.as_deref(), expires)?;
                // The token alone, so that it can be sent into a file.
                out.show(&json!(made), || plain(&made.token))
            }
            TokenAction::List { place } => {
                let (connection, tenant) = place.connect()?;
                list(&connection.tokens(&tenant)?, out)
            }
            TokenAction::Revoke { id, place } => {
                let (connection, tenant) = place.connect()?;
                connection.revoke_token(&tenant, &id)?;
                out.show(&json!({ "revoked": id }), || format!("revoked token {id}"))
            }
        }
    }
}

fn list(tokens: &[KeptToken], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&["token", "role", "created", "expires", "note"].map(Head::Text));
    for token in tokens {
        table.row([
            plain(&token.id),
            word(&json!(token.role)),
            moment(token.created),
            token.expires.map_or_else(|| "never".to_owned(), moment),
            plain(&token.note),
        ]);
    }
    out.rows(&json!(tokens), &table)
}

fn word(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_is_written_as_the_daemon_writes_it() {
        for word in RoleWord::value_variants() {
            let written = word.to_possible_value().unwrap();
            assert_eq!(json!(Role::from(*word)), json!(written.get_name()));
        }
    }

    #[test]
    fn a_lifetime_is_written_as_in_a_pipeline_file() {
        assert_eq!(duration("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert!(duration("90").unwrap_err().contains("90d"));
    }
}
