//! Why a record, or a whole call, was not processed.

use std::error::Error;

/// Why a record was not processed as usual. Any error becomes [`Refusal::DeadLetter`] with its text when `?` meets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// The record is left out, and counted.
    Skip(String),
    /// The record goes to the pipeline's dead letters, with the reason.
    DeadLetter(String),
    /// The pipeline stops at this record.
    Fail(String),
    /// What the plugin depends on is not there: the whole call comes again, after a pause. Nothing of it is applied.
    Retry(String),
}

/// Why a call as a whole came to nothing. Nothing of it is applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// What the plugin depends on is not there: the same call comes again, after a pause.
    Retry(String),
    /// The pipeline cannot go on.
    Fail(String),
}

/// Leaves a record out: `return Err(skip("a test event"))`.
pub fn skip(reason: impl Into<String>) -> Refusal {
    Refusal::Skip(reason.into())
}

/// Sends a record to the dead letters: `.ok_or_else(|| dead_letter("no price"))?`.
pub fn dead_letter(reason: impl Into<String>) -> Refusal {
    Refusal::DeadLetter(reason.into())
}

/// Stops the pipeline at a record.
pub fn fail(reason: impl Into<String>) -> Refusal {
    Refusal::Fail(reason.into())
}

/// Asks for the whole call again.
pub fn retry(reason: impl Into<String>) -> Refusal {
    Refusal::Retry(reason.into())
}

impl Refusal {
    /// What the author said.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Skip(reason) | Self::DeadLetter(reason) | Self::Fail(reason) | Self::Retry(reason) => reason,
        }
    }
}

// `Refusal` is no `Error` itself: the blanket conversion, which makes `?` take every error, would overlap with `From<T>
// for T`.
impl<E: Error> From<E> for Refusal {
    fn from(error: E) -> Self {
        dead_letter(with_causes(&error))
    }
}

/// The error's text, then those of its causes that it does not repeat.
fn with_causes(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Outer(std::num::ParseIntError);

    impl std::fmt::Display for Outer {
        fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            out.write_str("read the price")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&self.0)
        }
    }

    #[test]
    fn an_error_becomes_a_dead_letter_with_its_causes() {
        fn process() -> Result<(), Refusal> {
            "x".parse::<u8>().map_err(Outer)?;
            Ok(())
        }
        assert_eq!(
            process(),
            Err(dead_letter("read the price: invalid digit found in string"))
        );
    }
}
