//! The token endpoint of an OIDC provider, asked with client credentials (RFC 6749, 4.4).

use std::fmt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Certificate, Client, Response, Url, redirect};
use serde::Deserialize;
use serde_json::Value;

use super::secret::Secret;
use super::token::Token;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const MOST_BYTES: usize = 256 << 10;

/// Where tokens are issued, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: Address,
    pub(super) client_id: Secret,
    pub(super) client_secret: Secret,
    pub(super) scope: Option<String>,
    /// Certificates that are trusted besides the system's, as PEM.
    pub(super) trusted: Option<Secret>,
}

/// An address. What may hold a secret in it, a user or a query, is not shown.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address(pub(super) String);

impl Address {
    /// The port that is connected to.
    pub(super) fn port(&self) -> Option<u16> {
        Url::parse(&self.0).ok()?.port_or_known_default()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let url = Url::parse(&self.0).ok();
        let Some((url, host)) = url.as_ref().and_then(|url| Some((url, url.host_str()?))) else {
            return out.write_str("the address of the token endpoint");
        };
        write!(out, "{}://{host}", url.scheme())?;
        if let Some(port) = url.port() {
            write!(out, ":{port}")?;
        }
        out.write_str(url.path())
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, out)
    }
}

/// An answer that is a token.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    /// A number of seconds; some providers write it as a text, and what is neither says nothing.
    #[serde(default)]
    expires_in: Value,
}

impl Issued {
    fn lifetime(&self) -> Option<Duration> {
        let seconds = match &self.expires_in {
            Value::String(text) => text.trim().parse().ok()?,
            value => value.as_f64()?,
        };
        let is_span = seconds.is_finite() && seconds >= 0.0;
        is_span.then(|| Duration::from_secs(seconds.min(1e9) as u64))
    }
}

impl Endpoint {
    /// Asks for a token. The error says why there is none, never a secret.
    pub(super) fn ask(&self) -> Result<Token, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let answer = runtime.block_on(self.answer());
        // A look-up of a name may hang beyond our patience, and dropping the runtime would wait for it.
        runtime.shutdown_background();
        answer.map_err(|why| format!("{}: {why}", self.url))
    }

    async fn answer(&self) -> Result<Token, String> {
        let credentials = format!("{}:{}", self.client_id.read()?, self.client_secret.read()?);
        let mut body = "grant_type=client_credentials".to_owned();
        if let Some(scope) = &self.scope {
            body += &format!("&scope={}", form_encoded(scope));
        }
        let answer = self
            .client()?
            .post(&self.url.0)
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(body)
            .send()
            .await
            .map_err(innermost)?;
        let status = answer.status();
        let text = text(answer).await?;
        if !status.is_success() {
            return Err(format!("it answered with {status}{}", told(&text)));
        }
        let issued: Issued =
            serde_json::from_slice(&text).map_err(|_| "its answer has no `access_token`".to_owned())?;
        Token::read(&issued.access_token, issued.lifetime())
    }

    /// Secrets go to this address and to no other: a redirection is not followed.
    fn client(&self) -> Result<Client, String> {
        let mut client = Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .redirect(redirect::Policy::none());
        if let Some(trusted) = &self.trusted {
            let pem = trusted.read()?;
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(innermost)?;
            client = client.tls_certs_merge(certificates);
        }
        client.build().map_err(innermost)
    }
}

async fn text(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(innermost)? {
        if text.len() + piece.len() > MOST_BYTES {
            return Err(format!("its answer has more than {MOST_BYTES} bytes"));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// What a refusal says of itself: `error` and `error_description` of RFC 6749.
fn told(answer: &[u8]) -> String {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let words = ["error", "error_description"].map(|name| answer[name].as_str().unwrap_or_default());
    let words: Vec<_> = words.into_iter().filter(|words| !words.is_empty()).collect();
    match words.is_empty() {
        true => String::new(),
        false => format!(" ({})", words.join(": ").chars().take(300).collect::<String>()),
    }
}

/// The cause behind the causes, which says what happened; an address may hold a secret and is not repeated.
fn innermost(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut innermost: &dyn std::error::Error = &error;
    while let Some(cause) = innermost.source() {
        innermost = cause;
    }
    innermost.to_string()
}

fn form_encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'*' => char::from(byte).to_string(),
        b' ' => "+".to_owned(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(encode).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use std::io::{Read, Write};
    use std::net::TcpListener;

    /// Answers one request, and gives what was asked.
    fn server(answer: String) -> (String, std::thread::JoinHandle<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/token?key=hunter2", listener.local_addr().unwrap());
        let serving = std::thread::Builder::new()
            .spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
                while !String::from_utf8_lossy(&asked).contains("grant_type") {
                    let read = stream.read(&mut piece).unwrap();
                    asked.extend_from_slice(&piece[..read]);
                }
                // Whoever has heard enough may be gone.
                let _ = stream.write_all(answer.as_bytes());
                String::from_utf8(asked).unwrap()
            })
            .unwrap();
        (url, serving)
    }

    fn ask(status: &str, body: &str) -> (Result<Token, String>, String) {
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n");
        let (url, serving) = server(format!("{head}location: http://127.0.0.1:1/\r\n\r\n{body}"));
        let endpoint = Endpoint {
            url: Address(url),
            client_id: Secret::Text("me".into()),
            client_secret: Secret::Text("hunter2".into()),
            scope: Some("kafka read/write".into()),
            trusted: None,
        };
        (endpoint.ask(), serving.join().unwrap())
    }

    #[test]
    fn a_token_is_asked_for_with_client_credentials() {
        let (token, asked) = ask(
            "200 OK",
            r#"{"access_token":"opaque","expires_in":300,"token_type":"Bearer"}"#,
        );
        let token = token.unwrap();
        assert!(
            token.text == "opaque" && token.until > clock::wall_ms() + 200_000,
            "{token:?}"
        );
        let basic = format!("Basic {}", STANDARD.encode("me:hunter2"));
        assert!(
            asked.starts_with("POST /token?key=hunter2 ") && asked.contains(&basic),
            "{asked}"
        );
        assert!(
            asked.ends_with("grant_type=client_credentials&scope=kafka+read%2Fwrite"),
            "{asked}"
        );
    }

    #[test]
    fn a_lifetime_is_a_number_or_a_text_that_is_one() {
        let lifetime = |expires: &str| {
            let answer = format!(r#"{{"access_token":"opaque"{expires}}}"#);
            serde_json::from_str::<Issued>(&answer).unwrap().lifetime()
        };
        for (expires, seconds) in [
            (r#","expires_in":3599"#, Some(3599)),
            (r#","expires_in":3599.5"#, Some(3599)),
            (r#","expires_in":"3599""#, Some(3599)),
            (r#","expires_in":1e300"#, Some(1_000_000_000)),
            (r#","expires_in":"soon""#, None),
            (r#","expires_in":"NaN""#, None),
            (r#","expires_in":"inf""#, None),
            (r#","expires_in":-1"#, None),
            (r#","expires_in":null"#, None),
            (r#","expires_in":[1]"#, None),
            ("", None),
        ] {
            assert_eq!(lifetime(expires), seconds.map(Duration::from_secs), "{expires}");
        }
    }

    #[test]
    fn an_address_is_shown_without_what_may_be_secret() {
        for (address, shown) in [
            (
                "https://me:hunter2@issuer:8443/a/token?key=hunter2#hunter2",
                "https://issuer:8443/a/token",
            ),
            ("http://[::1]:80/token", "http://[::1]/token"),
            ("https://hunter2@", "the address of the token endpoint"),
        ] {
            let address = Address(address.to_owned());
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown);
        }
        let endpoint = Endpoint {
            url: Address("http://me:hunter2@127.0.0.1:1/token?key=hunter2".into()),
            client_id: Secret::Text("me".into()),
            client_secret: Secret::Text("hunter2".into()),
            scope: None,
            trusted: None,
        };
        let error = endpoint.ask().unwrap_err();
        assert!(
            error.starts_with("http://127.0.0.1:1/token: ") && !error.contains("hunter2"),
            "{error}"
        );
    }

    #[test]
    fn an_endpoint_that_gives_no_token_is_told_without_a_secret() {
        let huge = "x".repeat(MOST_BYTES + 1);
        let unfit = r#"{"error":"invalid_client","error_description":"who is me?"}"#;
        for (status, body, why) in [
            (
                "401 Unauthorized",
                unfit,
                "401 Unauthorized (invalid_client: who is me?)",
            ),
            ("500 Oops", "", "500"),
            ("302 Found", "", "302"),
            ("200 OK", "hunter2", "`access_token`"),
            ("200 OK", r#"{"access_token":""}"#, "no token"),
            ("200 OK", huge.as_str(), "bytes"),
        ] {
            let error = ask(status, body).0.unwrap_err();
            assert!(error.contains(why) && error.contains("/token"), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
