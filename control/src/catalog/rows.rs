//! Between rows and what they mean: names, digests, roles and texts that come in or out.
//!
//! Never lets a text in that one of the databases would refuse. Always: what comes out is checked again, because
//! another program can have written it.

use std::fmt;
use std::str::FromStr;

use serde::de::DeserializeOwned;
use sqlx::any::AnyRow;
use sqlx::{Any, Decode, Row as _, Type};

use super::database::broken;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::{Role, Wanted};

/// The value of a column.
pub(super) fn value<'r, T: Decode<'r, Any> + Type<Any>>(row: &'r AnyRow, column: &str) -> Result<T> {
    row.try_get(column)
        .map_err(broken(format!("failed to read {column} from the catalog")))
}

/// The name, digest, role or word in a column.
pub(super) fn word<T: FromStr<Err: fmt::Display>>(row: &AnyRow, column: &str) -> Result<T> {
    value::<String>(row, column)?
        .parse()
        .map_err(|why| strange(column, why))
}

/// The name in a column that can be empty.
pub(super) fn word_if_any<T: FromStr<Err: fmt::Display>>(row: &AnyRow, column: &str) -> Result<Option<T>> {
    let text: Option<String> = value(row, column)?;
    text.map(|text| text.parse().map_err(|why| strange(column, why)))
        .transpose()
}

/// What the JSON in a column says; the default, if there is none.
pub(super) fn json<T: DeserializeOwned + Default>(row: &AnyRow, column: &str) -> Result<T> {
    match value::<Option<String>>(row, column)? {
        None => Ok(T::default()),
        Some(text) => serde_json::from_str(&text).map_err(|why| strange(column, why)),
    }
}

/// The catalog holds what this program never writes.
pub(super) fn strange(column: &str, why: impl fmt::Display) -> Problem {
    Problem::new(
        ProblemKind::Failed,
        format!("failed to read {column} from the catalog"),
        why,
    )
    .hint("something else wrote to the catalog's database: put it right there, or restore a backup")
}

/// Refuses a text with a NUL, which PostgreSQL does not keep, and one of more than `most` bytes.
pub(super) fn check_text(what: &str, called: &str, text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        let why = format!("{called} has {} bytes, and {most} are taken at most", text.len());
        return Err(Problem::new(ProblemKind::TooLarge, what, why));
    }
    match text.find('\0') {
        Some(at) => {
            let why = format!("{called} has a NUL at byte {at}, which no text may have");
            Err(Problem::new(ProblemKind::Invalid, what, why))
        }
        None => Ok(()),
    }
}

/// How many rows a statement may give.
pub(super) fn limit(most: u32) -> i64 {
    i64::from(most)
}

impl Role {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Author => "author",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

impl FromStr for Role {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Viewer, Self::Author, Self::Operator, Self::Admin]
            .into_iter()
            .find(|role| role.word() == text)
            .ok_or_else(|| format!("{text:?} is no role: those are viewer, author, operator and admin"))
    }
}

impl Wanted {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        [Self::Running, Self::Paused, Self::Stopped]
            .into_iter()
            .find(|wanted| wanted.word() == text)
            .ok_or_else(|| format!("{text:?} is nothing that can be wanted: running, paused and stopped are"))
    }
}
