//! The address of a catalog: which database it means, and how it is shown.
//!
//! Never shows a password. Always: what the driver would take for something else, or would write into a log, is refused
//! here.

use std::fmt;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use crate::model::problem::{Problem, ProblemKind, Result};

/// Parameters of a PostgreSQL address that the driver knows; it logs others with their values.
const PARAMETERS: &[&str] = &[
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
    "statement-cache-capacity",
];

/// Where a catalog is. Its `Debug` and `Display` show no password.
pub(super) enum Address {
    /// A file.
    Sqlite(PathBuf),
    /// A server, by the whole address.
    Postgres(String),
}

impl Address {
    /// Reads `sqlite:PATH` or `postgres://…`.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "sqlite" => sqlite(rest),
            "postgres" | "postgresql" => postgres(text, rest),
            _ => Err(invalid(format!(
                "{:?} is neither sqlite: nor postgres:",
                scheme.chars().take(20).collect::<String>()
            ))),
        }
    }

    /// What the driver is given.
    pub(super) fn of_driver(&self) -> String {
        match self {
            Self::Sqlite(path) => format!("sqlite:{}?mode=rwc", percent(path)),
            Self::Postgres(address) => address.clone(),
        }
    }

    /// The file, if it is one.
    pub(super) fn file(&self) -> Option<&Path> {
        match self {
            Self::Sqlite(path) => Some(path),
            Self::Postgres(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(out, "sqlite:{}", path.display()),
            Self::Postgres(address) => write!(out, "postgres://{}", without_secrets(address)),
        }
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

fn sqlite(rest: &str) -> Result<Address> {
    let path = rest.strip_prefix("//").unwrap_or(rest);
    match path {
        "" => Err(invalid("a path is missing after sqlite:")),
        ":memory:" => Err(invalid("a catalog in memory would be empty after the next start")),
        _ if path.contains(['?', '\0']) => Err(invalid(format!("{path:?} has parameters: a path alone is taken"))),
        _ => Ok(Address::Sqlite(PathBuf::from(path))),
    }
}

fn postgres(text: &str, rest: &str) -> Result<Address> {
    if !rest.starts_with("//") {
        return Err(invalid("// is missing after postgres:"));
    }
    let query = rest.split_once('?').map_or("", |(_, query)| query);
    let keys = query.split('&').filter(|pair| !pair.is_empty());
    for key in keys.map(|pair| pair.split_once('=').map_or(pair, |(key, _)| key)) {
        if !PARAMETERS.contains(&key) {
            return Err(invalid("one of its parameters is unknown").hint(format!(
                "these can stand after the question mark: {}",
                PARAMETERS.join(", ")
            )));
        }
    }
    Ok(Address::Postgres(text.to_owned()))
}

/// Host, port and database: what stands after the last @ of the authority and before the question mark.
fn without_secrets(address: &str) -> &str {
    let rest = address.split_once("//").map_or("", |(_, rest)| rest);
    let rest = rest.split_once('?').map_or(rest, |(rest, _)| rest);
    rest.rsplit_once('@').map_or(rest, |(_, rest)| rest)
}

/// The path with every byte but letters, digits and a few signs as %XX.
fn percent(path: &Path) -> String {
    let mut text = String::new();
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' => text.push(char::from(*byte)),
            _ => {
                let _ = write!(text, "%{byte:02X}");
            }
        }
    }
    text
}

fn invalid(why: impl fmt::Display) -> Problem {
    Problem::new(ProblemKind::Invalid, "failed to read the address of the catalog", why)
        .hint("sqlite:/path/catalog.db and postgres://user:password@host/database are such addresses")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for text in [
            "postgres://me:hunter2@db.example:5433/sandbar",
            "postgres://me:hunter2%40@db.example:5433/sandbar",
            "postgres://me:a@hunter2@db.example:5433/sandbar",
            "postgres://db.example:5433/sandbar?user=me&password=hunter2",
        ] {
            let address = Address::parse(text).unwrap();
            let shown = format!("{address} {address:?}");
            assert_eq!(
                shown, "postgres://db.example:5433/sandbar postgres://db.example:5433/sandbar",
                "{text}"
            );
            assert_eq!(address.of_driver(), text);
        }
        let problem = Address::parse("postgres://h/d?pasword=hunter2").unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        let problem = Address::parse("me:hunter2@h").unwrap_err();
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
    }

    #[test]
    fn what_is_no_address_of_a_catalog_is_refused() {
        for text in [
            "",
            "sqlite:",
            "sqlite://",
            "sqlite::memory:",
            "sqlite:a?mode=ro",
            "mysql://h/d",
            "/path/catalog.db",
            "postgres:h",
        ] {
            let problem = Address::parse(text).unwrap_err();
            assert_eq!(problem.kind, ProblemKind::Invalid, "{text}");
        }
    }

    #[test]
    fn signs_of_a_path_mean_themselves() {
        let address = Address::parse("sqlite:///a b/%41#ä.db").unwrap();
        assert_eq!(address.of_driver(), "sqlite:/a%20b/%2541%23%C3%A4.db?mode=rwc");
        assert_eq!(address.file(), Some(Path::new("/a b/%41#ä.db")));
    }
}
