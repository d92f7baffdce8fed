//! What went wrong, for whoever asked: problem details for HTTP (RFC 9457), with the sentences of the command line.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The sort of a problem, which says the HTTP status and the exit code of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProblemKind {
    /// No credential, or one that is not known any more: 401.
    NotSignedIn,
    /// The credential's role does not allow it: 403.
    NotAllowed,
    /// It is not there, or it is another tenant's: 404.
    NotFound,
    /// It is there, or stands in a state in which this cannot be: 409.
    Conflict,
    /// It was changed since it was read: 412.
    Changed,
    /// Too many bytes: 413.
    TooLarge,
    /// What was sent is wrong: 422. Exit code 3.
    Invalid,
    /// A plugin is missing or refused: 422. Exit code 4.
    PluginRefused,
    /// Too much was asked for: 429.
    TooMany,
    /// More than a quota of the tenant allows: 429, or 413 if it is of the size of what was sent.
    QuotaExceeded,
    /// The daemon could not do it: 500.
    Failed,
    /// It is not built yet: 422.
    NotBuilt,
    /// The daemon cannot be reached, or is about to end: 503.
    Unavailable,
}

/// A problem.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// Its sort.
    pub kind: ProblemKind,
    /// What failed, with values: "failed to …".
    pub what: String,
    /// Why.
    pub why: String,
    /// What a person can do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// What most functions here return.
pub type Result<T> = std::result::Result<T, Problem>;

impl ProblemKind {
    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::NotSignedIn => 401,
            Self::NotAllowed => 403,
            Self::NotFound => 404,
            Self::Conflict => 409,
            Self::Changed => 412,
            Self::TooLarge => 413,
            Self::Invalid | Self::PluginRefused | Self::NotBuilt => 422,
            Self::TooMany | Self::QuotaExceeded => 429,
            Self::Failed => 500,
            Self::Unavailable => 503,
        }
    }

    /// The exit code of a client to which this was said.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Invalid => 3,
            Self::PluginRefused => 4,
            _ => 1,
        }
    }
}

impl Problem {
    /// A problem without a hint.
    pub fn new(kind: ProblemKind, what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.to_string(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self {
            hint: Some(hint.into()),
            ..self
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.what, self.why)?;
        match &self.hint {
            Some(hint) => write!(out, "\n  {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Problem {}
