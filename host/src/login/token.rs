//! A token of OAUTHBEARER, and what it says of itself.

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::clock;

/// For so long a token is good that does not say for how long it is.
const UNSAID: Duration = Duration::from_secs(3600);
/// A longer life is not believed; another token can be had.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// A token.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    /// When it came and when it ends, in milliseconds since 1970.
    pub(super) since: i64,
    pub(crate) until: i64,
    /// Whom it stands for.
    pub(crate) principal: String,
}

/// It is not shown.
impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Token of {} until {}", self.principal, self.until)
    }
}

impl Token {
    /// A token as its issuer gave it; `lifetime`: what the issuer said beside it.
    pub(super) fn read(text: &str, lifetime: Option<Duration>) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() || text.chars().any(|letter| letter.is_control() || letter.is_whitespace()) {
            return Err("what came is no token: it is empty, or has blanks in it".to_owned());
        }
        let claims = claims(text);
        let said = claims.as_ref().and_then(|claims| claims["exp"].as_f64());
        let said = said.map(|seconds| (seconds * 1000.0) as i64);
        let now = clock::wall_ms();
        let lifetime = lifetime.map(|lifetime| now.saturating_add(milliseconds(lifetime)));
        let until = said.or(lifetime).unwrap_or(now + milliseconds(UNSAID));
        let until = until.min(now + milliseconds(LONGEST));
        if until <= now {
            return Err(format!("it ended {} s ago", now.saturating_sub(until) / 1000));
        }
        let principal = claims.as_ref().and_then(|claims| claims["sub"].as_str());
        Ok(Self {
            text: text.to_owned(),
            since: now,
            until,
            principal: principal.unwrap_or("sandbar").to_owned(),
        })
    }
}

impl Token {
    /// When another one is asked for: after four fifths of its life, as librdkafka does it.
    pub(super) fn renew_after(&self) -> i64 {
        self.since.saturating_add((self.until - self.since) / 5 * 4)
    }
}

/// What stands in a token that is a JWT. Whether it is genuine is the broker's to judge.
fn claims(text: &str) -> Option<Value> {
    let payload = text.split('.').nth(1)?;
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn jwt(claims: &str) -> String {
        format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(claims))
    }

    /// In how many seconds a token ends, about.
    fn left(token: &Token) -> i64 {
        (token.until - clock::wall_ms() + 500) / 1000
    }

    #[test]
    fn a_token_says_when_it_ends_and_whom_it_is_of() {
        let end = clock::wall_ms() / 1000 + 600;
        let text = format!("{}\n", jwt(&format!(r#"{{"exp":{end},"sub":"alice"}}"#)));
        let token = Token::read(&text, Some(Duration::from_secs(60))).unwrap();
        assert_eq!((token.until, token.principal.as_str()), (end * 1000, "alice"));
        let after = token.renew_after() - clock::wall_ms();
        assert!((470_000..=480_000).contains(&after), "{after}");
        let token = Token::read("opaque", Some(Duration::from_secs(60))).unwrap();
        assert!((55..=60).contains(&left(&token)), "{token:?}");
    }

    #[test]
    fn what_is_no_token_or_ended_is_refused_and_not_shown() {
        for bad in ["", " \n", "hunter2 two", "hunter2\u{7}"] {
            let error = Token::read(bad, None).unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
        let ended = Token::read(&jwt(r#"{"exp":1000}"#), None).unwrap_err();
        assert!(ended.contains("ended"), "{ended}");
        // What says nothing of its end is good for an hour.
        for odd in [
            "a.b.c",
            "..",
            "a.bm90IGpzb24",
            &jwt("[]"),
            &jwt(r#"{"exp":"soon","sub":7}"#),
        ] {
            let token = Token::read(odd, None).unwrap();
            assert!((3595..=3600).contains(&left(&token)), "{odd}: {token:?}");
        }
        assert!(left(&Token::read(&jwt(r#"{"exp":1e300}"#), None).unwrap()) > 3600);
    }
}
