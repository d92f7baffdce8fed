//! A secret of a tenant: a text that its pipelines use and that nobody reads back.
//!
//! Never shows the text. Always: a text is within the limits.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::texts::text_of;

/// Bytes of a secret, at most.
pub(crate) const TEXT_BYTES: usize = 64 << 10;
/// Secrets of a tenant, at most: all of them are opened together.
pub(crate) const MOST_SECRETS: i64 = 256;

/// The text of a secret. Its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(String);

impl SecretText {
    /// This text.
    ///
    /// # Errors
    ///
    /// `TooLarge` if it has more than 64 KiB; `Invalid` if it is empty, or has a NUL, which no client of Kafka takes.
    pub fn new(text: String) -> Result<Self> {
        let what = "failed to take a secret";
        if text.len() > TEXT_BYTES {
            let why = format!("it has {} bytes, and {TEXT_BYTES} are taken at most", text.len());
            return Err(Problem::new(ProblemKind::TooLarge, what, why));
        }
        match (text.is_empty(), text.contains('\0')) {
            (true, _) => Err(Problem::new(ProblemKind::Invalid, what, "it is empty")),
            (_, true) => Err(Problem::new(ProblemKind::Invalid, what, "it has a NUL")),
            _ => Ok(Self(text)),
        }
    }

    /// The text, for whoever signs in with it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("SecretText")
    }
}

/// In the document: its limits.
impl PartialSchema for SecretText {
    fn schema() -> RefOr<Schema> {
        text_of(r"^[^\x00]+$", TEXT_BYTES).into()
    }
}

impl ToSchema for SecretText {}

/// A secret without its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KeptSecret {
    /// Its name.
    pub name: Name,
    /// When it was set first.
    pub created: i64,
    /// When it was set last.
    pub changed: i64,
    /// The id of the token that set it last.
    pub by: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_within_limits_and_never_shown() {
        let secret = SecretText::new("hunter2\n".to_owned()).unwrap();
        assert_eq!(secret.reveal(), "hunter2\n");
        assert!(!format!("{secret:?}").contains("hunter2"));
        assert!(SecretText::new("x".repeat(TEXT_BYTES)).is_ok());
        for (text, kind) in [
            ("x".repeat(TEXT_BYTES + 1), ProblemKind::TooLarge),
            (String::new(), ProblemKind::Invalid),
            ("hunter2\0".to_owned(), ProblemKind::Invalid),
        ] {
            let problem = SecretText::new(text).unwrap_err();
            assert_eq!(problem.kind, kind);
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
        }
    }
}
