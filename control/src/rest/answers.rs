//! What goes out: JSON, problems, entity tags.
//!
//! Never says what a secret is. Always: an answer that is an error is `application/problem+json` (RFC 9457), and the
//! guard can read from it which sort of problem it was.

use axum::Json;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::model::problem::{Problem, ProblemKind, Result};

/// The content type of a problem.
pub(super) const PROBLEM: &str = "application/problem+json";

/// A problem as it goes out (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ProblemDetails {
    /// Always `about:blank`: `kind` tells problems apart.
    r#type: &'static str,
    /// What failed.
    title: String,
    /// The HTTP status again.
    status: u16,
    /// Why.
    detail: String,
    /// Its sort: `not-signed-in`, `not-allowed`, `not-found`, `conflict`, `changed`, `too-large`, `invalid`,
    /// `plugin-refused`, `too-many`, `quota-exceeded`, `failed`, `not-built` or `unavailable`.
    #[schema(value_type = String)]
    kind: ProblemKind,
    /// What a person can do.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

/// A problem whose HTTP status is finer than its sort.
#[derive(Debug)]
pub(super) struct Refusal {
    status: StatusCode,
    problem: Problem,
}

impl Refusal {
    /// With this status.
    pub(super) fn new(status: StatusCode, problem: Problem) -> Self {
        Self { status, problem }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let status = StatusCode::from_u16(problem.kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        Self { status, problem }
    }
}

/// Which quota was exceeded, with its figure, for the audit.
#[derive(Debug, Clone)]
pub(super) struct QuotaSentence(pub(super) String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let Self { status, problem } = self;
        let kind = problem.kind;
        let quota = (kind == ProblemKind::QuotaExceeded).then(|| QuotaSentence(problem.why.clone()));
        let details = ProblemDetails {
            r#type: "about:blank",
            title: problem.what,
            status: status.as_u16(),
            detail: problem.why,
            kind,
            hint: problem.hint,
        };
        let mut response = (status, Json(details)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(PROBLEM));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response.extensions_mut().insert(kind);
        if let Some(quota) = quota {
            response.extensions_mut().insert(quota);
        }
        response
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        Refusal::from(self).into_response()
    }
}

/// That something is not there, in the same words for all that is not there.
pub(super) fn not_found(what: &str, name: &str) -> Problem {
    Problem::new(
        ProblemKind::NotFound,
        format!("failed to find the {what} {name:?}"),
        "there is none of that name",
    )
}

/// A list, or a piece of one.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct List<T> {
    /// What it has.
    pub(super) items: Vec<T>,
    /// What `after` is to be for the next piece; without it, this was the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<String>,
}

impl<T> List<T> {
    /// All there is.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }

    /// A piece of at most `most` items, each with this key: one that is full has a next.
    pub(super) fn piece(items: Vec<T>, most: u32, key: impl Fn(&T) -> String) -> Self {
        let is_full = u32::try_from(items.len()).is_ok_and(|len| len >= most);
        let next = items.last().filter(|_| is_full).map(key);
        Self { items, next }
    }
}

/// A header `ETag` of a revision.
pub(super) fn etag(revision: i64) -> [(header::HeaderName, String); 1] {
    [(header::ETAG, format!("\"{revision}\""))]
}

/// What a header `If-Match` asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Expected {
    /// Nothing: there is none.
    Anything,
    /// That there is something: `*`.
    Something,
    /// This revision.
    Revision(i64),
}

/// What the header `If-Match` of a request asks for.
///
/// # Errors
///
/// `Invalid` if it is not `*` or one tag of those that go out.
pub(super) fn expected(headers: &HeaderMap) -> Result<Expected> {
    let mut all = headers.get_all(header::IF_MATCH).iter();
    let value = match (all.next(), all.next()) {
        (None, _) => return Ok(Expected::Anything),
        (Some(value), None) => value.to_str().unwrap_or_default(),
        (Some(_), Some(_)) => "",
    };
    let digits = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let is_number = |digits: &&str| digits.bytes().all(|byte| byte.is_ascii_digit());
    match (value, digits.filter(is_number).map(str::parse)) {
        ("*", _) => Ok(Expected::Something),
        (_, Some(Ok(revision))) => Ok(Expected::Revision(revision)),
        _ => Err(Problem::new(
            ProblemKind::Invalid,
            "failed to read the header If-Match",
            "it is neither * nor one tag such as \"7\"",
        )
        .hint("send the ETag that GET answered, as it is")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_that_goes_out_comes_in_again() {
        let [(_, tag)] = etag(7);
        for (text, meant) in [(tag.as_str(), Expected::Revision(7)), ("*", Expected::Something)] {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_str(text).unwrap())]);
            assert_eq!(expected(&headers).unwrap(), meant);
        }
        assert_eq!(expected(&HeaderMap::new()).unwrap(), Expected::Anything);
        for wrong in [
            "7",
            "W/\"7\"",
            "\"7\", \"8\"",
            "\"\"",
            "\"-7\"",
            "\"99999999999999999999\"",
            "",
        ] {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_str(wrong).unwrap())]);
            assert_eq!(expected(&headers).unwrap_err().kind, ProblemKind::Invalid, "{wrong}");
        }
    }

    #[test]
    fn a_full_piece_has_a_next_and_another_has_none() {
        assert_eq!(List::piece(vec![1, 2], 2, i32::to_string).next.as_deref(), Some("2"));
        assert_eq!(List::piece(vec![1], 2, i32::to_string).next, None);
        assert_eq!(List::piece(vec![], 2, i32::to_string).next, None);
    }
}
