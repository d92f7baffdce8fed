//! The secret that a client shows: read from a file, held out of every text.

use std::fmt;
use std::fs;
use std::io::Read;
use std::path::Path;

use reqwest::header::HeaderValue;

use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a token's file, at most: those of issuers are long.
const MOST_BYTES: u64 = 16 << 10;

/// A token's secret.
#[derive(Clone)]
pub(super) struct BearerToken(String);

impl BearerToken {
    /// Reads a file that holds a token and nothing else but white space around it.
    ///
    /// # Errors
    /// `Failed`: the file cannot be read, or holds no token; what it holds is not repeated.
    pub(super) fn read(path: &Path) -> Result<Self> {
        Self::read_as("token", path)
    }

    /// Reads another sort of secret from such a file.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(super) fn read_as(sort: &str, path: &Path) -> Result<Self> {
        let failed = |why: String| {
            let what = format!("failed to read the {sort} in `{}`", path.display());
            Problem::new(ProblemKind::Failed, what, why)
                .hint("the file holds one alone, as `sandbar token create` prints a token")
        };
        let mut text = String::new();
        fs::File::open(path)
            .and_then(|file| file.take(MOST_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| failed(error.to_string()))?;
        if text.len() as u64 > MOST_BYTES {
            return Err(failed(format!("it has more than {MOST_BYTES} bytes")));
        }
        if text.trim().is_empty() {
            return Err(failed("it is empty".to_owned()));
        }
        Self::of(text.trim()).ok_or_else(|| failed(format!("it holds something else than one {sort}")))
    }

    /// Of this text, if it is one.
    pub(super) fn of(text: &str) -> Option<Self> {
        let is_one = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        is_one.then(|| Self(text.to_owned()))
    }

    /// What it is, to send it or to keep it in a file for its owner alone.
    pub(super) fn reveal(&self) -> &str {
        &self.0
    }

    /// The header `Authorization`, marked as secret.
    pub(super) fn header(&self) -> Option<HeaderValue> {
        let mut header = HeaderValue::from_str(&format!("Bearer {}", self.0)).ok()?;
        header.set_sensitive(true);
        Some(header)
    }
}

impl fmt::Debug for BearerToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a token")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_holds_one_token_and_no_error_repeats_what_it_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        fs::write(&path, " sbt_hunter2\n").unwrap();
        let token = BearerToken::read(&path).unwrap();
        assert_eq!(token.header().unwrap().to_str().unwrap(), "Bearer sbt_hunter2");
        assert!(!format!("{token:?} {:?}", token.header()).contains("hunter2"));
        for wrong in [
            "",
            " \n",
            "hunter2 hunter2",
            "hunter2\nX-Other: 1",
            "hunter2ä",
            &"hunter2".repeat(3000),
        ] {
            fs::write(&path, wrong).unwrap();
            let said = format!("{:?}", BearerToken::read(&path).unwrap_err());
            assert!(!said.contains("hunter2") && said.contains("token"), "{said}");
        }
        let missing = BearerToken::read(&folder.path().join("none")).unwrap_err();
        assert!(missing.what.contains("none"), "{missing}");
    }
}
