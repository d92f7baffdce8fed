//! The address of a daemon, or its socket: checked once, when it comes in.
//!
//! Always: it holds no user, password, query or fragment, and so may be shown.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use reqwest::Url;

use crate::door::oidc::is_on_this_machine;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of the path of a socket, at most: the kernel's limit.
const MOST_PATH_BYTES: usize = 107;

/// Where a daemon listens; a path in it stands before those of the requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    url: Url,
    socket: Option<PathBuf>,
}

impl Address {
    /// Reads `http://HOST:PORT`, or one with `https` or a path; or `unix:PATH` of a socket.
    ///
    /// # Errors
    /// `Failed`: it is none; a part that may be a secret is not repeated.
    pub(super) fn read(text: &str) -> Result<Self> {
        if let Some(path) = text.strip_prefix("unix:") {
            return Self::of_socket(Path::new(path));
        }
        let url = Url::parse(text).map_err(|error| refused(format!("it is no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(refused(format!("it begins with {}: and not with http:", url.scheme())));
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err(refused("it holds a user, a password, a query or a fragment".to_owned()));
        }
        Ok(Self { url, socket: None })
    }

    fn of_socket(path: &Path) -> Result<Self> {
        let socket = std::path::absolute(path).map_err(|error| refused(format!("the socket: {error}")))?;
        let bytes = socket.as_os_str().as_bytes().len();
        if bytes > MOST_PATH_BYTES {
            let why = format!("the path of the socket has {bytes} bytes, and may have {MOST_PATH_BYTES}");
            return Err(refused(why));
        }
        // Nobody looks at it, but a request has one.
        let url = Url::parse("http://localhost").map_err(|error| refused(error.to_string()))?;
        let socket = Some(socket);
        Ok(Self { url, socket })
    }

    /// The socket that it is, if it is one.
    pub(super) fn socket(&self) -> Option<&Path> {
        self.socket.as_deref()
    }

    /// The address of a request: these segments below it, and these parameters.
    pub(super) fn at(&self, segments: &[&str], parameters: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
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
        is_on_this_machine(&self.url)
    }
}

fn refused(why: String) -> Problem {
    Problem::new(ProblemKind::Failed, "failed to use the address of a daemon", why)
        .hint("give one such as http://127.0.0.1:8620 or unix:/var/lib/sandbar/serve.sock")
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket {
            Some(socket) => write!(out, "unix:{}", socket.display()),
            None => out.write_str(self.url.as_str().trim_end_matches('/')),
        }
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
    fn a_socket_is_an_address_with_a_whole_path() {
        let address = Address::read("unix:/run/serve.sock").unwrap();
        assert_eq!(address.to_string(), "unix:/run/serve.sock");
        assert_eq!(address.socket(), Some(Path::new("/run/serve.sock")));
        assert_eq!(address.at(&["v1"], &[]).path(), "/v1");
        assert!(address.is_loopback());
        let beside = Address::read("unix:serve.sock").unwrap();
        assert!(beside.socket().unwrap().is_absolute());
        for wrong in ["unix:".to_owned(), format!("unix:/{}", "x".repeat(107))] {
            assert!(Address::read(&wrong).is_err(), "{wrong}");
        }
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
