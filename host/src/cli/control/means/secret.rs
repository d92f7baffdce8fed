//! `sandbar secret`: texts of a tenant that its pipelines use and that nobody reads back.

use std::io::{self, IsTerminal, Read};

use clap::{Args, Subcommand};
use sandbar_control::{KeptSecret, Name, SecretText};
use serde_json::json;

use crate::cli::checkpoint::moment;
use crate::cli::control::daemon::{InTenant, plain};
use crate::cli::output::{Head, Output, TextTable};
use crate::error::{Error, Kind, Result};

/// Bytes of standard input that are read: one more than a secret has, and a line break.
const MOST_READ: u64 = (64 << 10) + 3;

/// Arguments of `sandbar secret`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "A secret goes to the daemon, is kept there sealed, and is given to the tenant's pipelines alone: \
        nobody reads it back. To set and delete one takes a token of role admin.\n\n\
        Example:\n  sandbar secret set kafka-password < password.txt"
)]
pub struct SecretArgs {
    #[command(subcommand)]
    action: SecretAction,
}

#[derive(Subcommand, Debug)]
enum SecretAction {
    /// Keep a secret that is read from standard input, in the place of the one of that name
    #[command(
        after_help = "A text in UTF-8, 64 KiB at most; a line break at its end is left out.\n\n\
        Examples:\n  sandbar secret set kafka-password < password.txt\n  \
        sandbar secret set team-a kafka-password < password.txt"
    )]
    Set {
        /// The secret's name; or the tenant, with the name behind it
        #[arg(value_name = "NAME")]
        first: Name,
        /// The secret's name, if the tenant stands in front of it
        #[arg(value_name = "NAME")]
        second: Option<Name>,
        #[command(flatten)]
        place: InTenant,
    },
    /// List the secrets of a tenant, without their texts
    #[command(after_help = "Example:\n  sandbar secret list --tenant team-a")]
    List {
        #[command(flatten)]
        place: InTenant,
    },
    /// Delete a secret; pipelines that use it do not run any more
    #[command(after_help = "Example:\n  sandbar secret delete kafka-password --tenant team-a")]
    Delete {
        /// The secret's name
        name: Name,
        #[command(flatten)]
        place: InTenant,
    },
}

impl SecretArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            SecretAction::Set { first, second, place } => {
                let (named, name) = match second {
                    Some(second) => (Some(first), second),
                    None => (None, first),
                };
                let place = place.within(named)?;
                let text = read()?;
                let (connection, tenant) = place.connect()?;
                connection.set_secret(&tenant, &name, &text)?;
                out.show(&json!({ "tenant": tenant, "set": name }), || {
                    format!("secret {name} of {tenant} is kept")
                })
            }
            SecretAction::List { place } => {
                let (connection, tenant) = place.connect()?;
                list(&connection.secrets(&tenant)?, out)
            }
            SecretAction::Delete { name, place } => {
                let (connection, tenant) = place.connect()?;
                connection.delete_secret(&tenant, &name)?;
                out.show(&json!({ "tenant": tenant, "deleted": name }), || {
                    format!("deleted secret {name} of {tenant}")
                })
            }
        }
    }
}

fn read() -> Result<SecretText> {
    let what = "failed to read the secret from standard input";
    let stdin = io::stdin();
    if stdin.is_terminal() {
        let error = Error::new(Kind::Usage, what, "it is a terminal, which shows what is typed");
        return Err(error.hint("sandbar secret set NAME < FILE"));
    }
    let mut bytes = Vec::new();
    let read = stdin.lock().take(MOST_READ).read_to_end(&mut bytes);
    read.map_err(|error| Error::new(Kind::Failed, what, error))?;
    // What the bytes are is not told.
    let text = String::from_utf8(bytes).map_err(|_| Error::new(Kind::Failed, what, "it is no text in UTF-8"))?;
    Ok(SecretText::new(without_line_break(&text).to_owned())?)
}

/// As a secret is read from a file.
fn without_line_break(text: &str) -> &str {
    let text = text.strip_suffix('\n').unwrap_or(text);
    text.strip_suffix('\r').unwrap_or(text)
}

fn list(secrets: &[KeptSecret], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&["secret", "created", "changed", "by"].map(Head::Text));
    for secret in secrets {
        table.row([
            secret.name.to_string(),
            moment(secret.created),
            moment(secret.changed),
            plain(&secret.by),
        ]);
    }
    out.rows(&json!(secrets), &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_break_at_the_end_is_left_out() {
        for (text, expected) in [
            ("a\n", "a"),
            ("a\r\n", "a"),
            ("a\n\n", "a\n"),
            (" a ", " a "),
            ("a\nb", "a\nb"),
        ] {
            assert_eq!(without_line_break(text), expected, "{text:?}");
        }
    }
}
