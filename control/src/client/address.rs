//! The address of a daemon: checked once, when it comes in.
//!
//! Always: it holds no user, password, query or fragment, and so may be shown.

use std::fmt;

use reqwest::Url;

use crate::problem::{Problem, ProblemKind, Result};

/// Where a daemon listens; a path in it stands before those of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address(Url);

impl Address {
    /// Reads `http://HOST:PORT`, or one with `https` or a path.
    ///
    /// # Errors
    /// `Failed`: it is none; a part that may be a secret is not repeated.
    pub(super) fn read(text: &str) -> Result<Self> {
        let refused = |why: String| {
            Problem::new(ProblemKind::Failed, "failed to use the address of a daemon", why)
                .hint("give one such as http://127.0.0.1:8620")
        };
        let url = Url::parse(text).map_err(|error| refused(format!("it is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(format!("it begins with {}: and not with http:", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it holds a user, a password, a query or a fragment".to_owned()));
        }
        Ok(Self(url))
    }

    /// The address of a request: these segments below it, and these parameters.
    pub(super) fn at(&self, segments: &[&str], parameters: &[(&str, &str)]) -> Url {
        let mut url = self.0.clone();
        // An http address always has segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(segments);
        }
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }

    /// Whether it names this machine by its number or as `localhost`.
    pub(super) fn is_loopback(&self) -> bool {
        let host = self.0.host_str().unwrap_or_default().trim_matches(['[', ']']);
        host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.0.as_str().trim_end_matches('/'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_hold_a_secret_is_no_address_and_is_not_repeated() {
        for wrong in [
            "http://me:hunter2@host:1",
            "http://hunter2@host",
            "http://host/?key=hunter2",
            "http://host/#hunter2",
            "ftp://hunter2",
            "hunter2",
            "http://host:hunter2",
        ] {
            let problem = Address::read(wrong).unwrap_err();
            assert!(!problem.to_string().contains("hunter2"), "{problem}");
            assert!(problem.hint.is_some(), "{problem}");
        }
    }

    #[test]
    fn a_segment_never_means_another_path() {
        let address = Address::read("http://127.0.0.1:1/below/").unwrap();
        assert_eq!(address.to_string(), "http://127.0.0.1:1/below");
        let at = address.at(&["v1", "a/../b?c", "sha256:00"], &[("after", "a&b=c")]);
        assert_eq!(
            at.as_str(),
            "http://127.0.0.1:1/below/v1/a%2F..%2Fb%3Fc/sha256:00?after=a%26b%3Dc"
        );
        assert_eq!(
            Address::read("http://h").unwrap().at(&["v1"], &[]).as_str(),
            "http://h/v1"
        );
    }

    #[test]
    fn this_machine_is_told_from_others() {
        for (text, is) in [
            ("http://127.0.0.1:1", true),
            ("http://[::1]:1", true),
            ("http://localhost", true),
            ("http://10.0.0.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(Address::read(text).unwrap().is_loopback(), is, "{text}");
        }
    }
}
