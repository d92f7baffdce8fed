//! One error type for everything that a person or a program is told, and the one table of what follows from it.

use std::fmt;

/// What the caller has to do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// Something else failed: an address in use, a file that cannot be written.
    Failed,
    /// The command line is wrong.
    Usage,
    /// The pipeline file is missing or invalid.
    Invalid,
    /// A plugin is missing or was refused before it ran.
    Plugin,
    /// Kafka: unreachable, not allowed, or without what the file names.
    Kafka,
    /// Kafka answers, and has no such partition or offset.
    Absent,
    /// State is missing, incompatible, damaged or in use; or its place cannot be used at all.
    Corrupt,
    /// State cannot be written: the disk is full, or says no. What is there is good.
    Unwritable,
    /// A plugin failed on a record and the pipeline says that this stops it.
    Guest,
    /// A case of a test did not come out as expected.
    CaseFailed,
    /// What was compared differs.
    Different,
    /// Another member took over; this one stops.
    Fenced,
    /// It took too long.
    TimedOut,
    /// A defect of Sandbar.
    Bug,
}

impl Kind {
    /// The process's exit code.
    pub fn exit_code(self) -> u8 {
        match self {
            Kind::Failed | Kind::Fenced | Kind::Bug => 1,
            Kind::Usage => 2,
            Kind::Invalid => 3,
            Kind::Plugin => 4,
            Kind::Kafka | Kind::Absent => 5,
            Kind::Corrupt | Kind::Unwritable => 6,
            Kind::CaseFailed => 7,
            Kind::Different => 8,
            Kind::TimedOut => 9,
            Kind::Guest => 10,
        }
    }

    /// The kind's name for programs (`-o json`).
    pub fn name(self) -> &'static str {
        match self {
            Kind::Failed => "failed",
            Kind::Usage => "usage",
            Kind::Invalid => "invalid",
            Kind::Plugin => "plugin",
            Kind::Kafka => "kafka",
            Kind::Absent => "absent",
            Kind::Corrupt => "corrupt",
            Kind::Unwritable => "unwritable",
            Kind::Guest => "guest",
            Kind::CaseFailed => "case-failed",
            Kind::Different => "different",
            Kind::Fenced => "fenced",
            Kind::TimedOut => "timed-out",
            Kind::Bug => "bug",
        }
    }
}

/// One sentence of what failed, one of why with the values, and, if there is one, a hint of what to do.
///
/// `what` completes "error: " and begins with "failed to …" or names the thing; lower case, no full stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    /// What follows from it.
    pub kind: Kind,
    /// What failed.
    pub what: String,
    /// Why, with the values; empty if `what` says it all. May have several lines.
    pub why: String,
    /// What the person can do.
    pub hint: Option<String>,
}

/// A result whose error a person can read.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of a kind: what failed, and why.
    pub fn new(kind: Kind, what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            kind,
            what: what.into(),
            why: why.to_string(),
            hint: None,
        }
    }

    /// The same with a hint of what to do.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "error: {}", self.what)?;
        for line in self.why.lines() {
            write!(out, "\n  {line}")?;
        }
        match &self.hint {
            Some(hint) => write!(out, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_reads_as_what_why_hint() {
        let error = Error::new(
            Kind::Kafka,
            "failed to start source `views`: partition 3 has no offset 9000",
            "the log of views/3 holds 120..4711",
        )
        .hint("give an offset in that range");
        assert_eq!(
            error.to_string(),
            "error: failed to start source `views`: partition 3 has no offset 9000\n  \
             the log of views/3 holds 120..4711\n  hint: give an offset in that range"
        );
        assert_eq!(error.kind.exit_code(), 5);
    }
}
