//! Answers of a daemon: problem details become a [`Problem`] again; what no daemon says becomes one too.
//!
//! Always: control characters of a daemon's sentences become spaces, so that they may go to a terminal; no error
//! repeats an answer that was to be JSON, for it may hold a secret.

use reqwest::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::model::problem::{Problem, ProblemKind, Result};

/// The media type of problem details (RFC 9457).
const PROBLEM_TYPE: &str = "application/problem+json";
/// Characters that are repeated of an answer that no daemon gives.
const REPEATED_CHARS: usize = 200;

/// What an answer holds, and of which sort it is. It may hold a secret, and so is not `Debug`.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    /// The header `Content-Type`; empty if there is none.
    pub(super) media_type: String,
    pub(super) body: Vec<u8>,
}

/// Problem details with the members that a daemon adds.
#[derive(Deserialize)]
struct Details {
    title: String,
    #[serde(default)]
    detail: String,
    /// One that is not known here says nothing: the daemon may be newer.
    #[serde(default)]
    kind: Value,
    #[serde(default)]
    hint: Option<String>,
}

impl Answer {
    /// What it holds.
    ///
    /// # Errors
    /// `Failed`: it is no such JSON.
    pub(super) fn read<T: DeserializeOwned>(&self, from: &str) -> Result<T> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let why = format!(
                "it is not the JSON that was asked for, at line {} column {} of {} bytes",
                error.line(),
                error.column(),
                self.body.len()
            );
            let what = format!("failed to read the answer of {from}");
            Problem::new(ProblemKind::Failed, what, why).hint("is it the address of a `sandbar serve` of this version?")
        })
    }

    /// The problem that it tells of.
    pub(super) fn problem(&self, from: &str) -> Problem {
        let details = self.media_type.starts_with(PROBLEM_TYPE);
        match details.then(|| serde_json::from_slice::<Details>(&self.body)) {
            Some(Ok(details)) => Problem {
                kind: serde_json::from_value(details.kind).unwrap_or_else(|_| kind_of(self.status)),
                what: printable(&details.title).replace('\n', " "),
                why: printable(&details.detail),
                hint: details.hint.map(|hint| printable(&hint)),
            },
            _ => self.strange(from),
        }
    }

    /// The problem of an answer that no daemon gives: another server's, or a proxy's.
    fn strange(&self, from: &str) -> Problem {
        let said: String = String::from_utf8_lossy(&self.body)
            .chars()
            .take(REPEATED_CHARS)
            .collect();
        let said = printable(&said).replace('\n', " ");
        let mut why = format!("it answered with {}", self.status);
        if !said.trim().is_empty() {
            why += &format!(": {}", said.trim());
        }
        let hint = match self.status.is_redirection() {
            true => "give the address that it points to: a token is not carried on to another one",
            false => "is it the address of a `sandbar serve`?",
        };
        Problem::new(kind_of(self.status), format!("failed to ask {from}"), why).hint(hint)
    }
}

/// The sort of problem that a status stands for.
fn kind_of(status: StatusCode) -> ProblemKind {
    match status.as_u16() {
        401 => ProblemKind::NotSignedIn,
        403 => ProblemKind::NotAllowed,
        404 => ProblemKind::NotFound,
        409 => ProblemKind::Conflict,
        412 => ProblemKind::Changed,
        413 => ProblemKind::TooLarge,
        422 => ProblemKind::Invalid,
        429 => ProblemKind::TooMany,
        501 => ProblemKind::NotBuilt,
        502..=504 => ProblemKind::Unavailable,
        _ => ProblemKind::Failed,
    }
}

/// A text without control characters but line breaks.
fn printable(text: &str) -> String {
    text.replace(|char: char| char.is_control() && char != '\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, media_type: &str, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            media_type: media_type.to_owned(),
            body: body.as_bytes().to_vec(),
        }
    }

    #[test]
    fn problem_details_become_the_problem_again() {
        let body = r#"{"type":"about:blank","title":"failed to a","status":422,"detail":"b\u001b[2J\nc",
            "kind":"plugin-refused","hint":"d","new":1}"#;
        let problem = answer(422, "application/problem+json; charset=utf-8", body).problem("x");
        let again = Problem::new(ProblemKind::PluginRefused, "failed to a", "b [2J\nc").hint("d");
        assert_eq!(problem, again);
    }

    #[test]
    fn a_sort_that_is_not_known_yet_follows_from_the_status() {
        let body = r#"{"title":"a","detail":"b","kind":"brand-new"}"#;
        assert_eq!(answer(409, PROBLEM_TYPE, body).problem("x").kind, ProblemKind::Conflict);
        assert_eq!(answer(418, PROBLEM_TYPE, body).problem("x").kind, ProblemKind::Failed);
        for kind in [
            "not-signed-in",
            "not-allowed",
            "not-found",
            "conflict",
            "changed",
            "too-large",
            "invalid",
            "too-many",
            "failed",
            "unavailable",
        ] {
            let kind: ProblemKind = serde_json::from_value(kind.into()).unwrap();
            assert_eq!(kind_of(StatusCode::from_u16(kind.status()).unwrap()), kind);
        }
    }

    #[test]
    fn an_answer_that_no_daemon_gives_is_told_as_one() {
        let problem = answer(502, "text/html", &format!("<h1>Bad\x1b[31m{}", "x".repeat(1000))).problem("http://h");
        assert_eq!(problem.kind, ProblemKind::Unavailable);
        assert!(
            problem
                .why
                .starts_with("it answered with 502 Bad Gateway: <h1>Bad [31mxxx"),
            "{problem}"
        );
        assert!(
            problem.why.len() < 300 && problem.what.contains("http://h"),
            "{problem}"
        );
        assert!(answer(302, "", "").problem("x").hint.unwrap().contains("token"));
        // Problem details that are none.
        assert!(answer(500, PROBLEM_TYPE, "{}").problem("x").why.contains("500"));
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_not_repeated() {
        let problem = answer(200, "application/json", r#"{"name":"HUNTER2"}"#)
            .read::<crate::model::Tenant>("http://h")
            .unwrap_err();
        assert!(
            !problem.to_string().contains("HUNTER2") && problem.what.contains("http://h"),
            "{problem}"
        );
    }
}
