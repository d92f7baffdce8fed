//! The token endpoint of an OIDC provider, asked with client credentials (RFC 6749, 4.4).

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Certificate, Client, Response, redirect};
use serde::Deserialize;

use super::secret::Secret;
use super::token::Token;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes of an answer, at most.
const MOST_BYTES: usize = 256 << 10;

/// Where tokens are issued, and to whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    pub(super) url: String,
    pub(super) client_id: Secret,
    pub(super) client_secret: Secret,
    pub(super) scope: Option<String>,
    /// Certificates that are trusted besides the system's, as PEM.
    pub(super) trusted: Option<Secret>,
}

/// An answer that is a token.
#[derive(Deserialize)]
struct Issued {
    access_token: String,
    #[serde(default)]
    expires_in: Option<f64>,
}

impl Endpoint {
    /// Asks for a token. The error says why there is none, never a secret.
    pub(super) fn ask(&self) -> Result<Token, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| error.to_string())?;
        let answer = runtime.block_on(self.answer());
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
            .post(&self.url)
            .header(AUTHORIZATION, format!("Basic {}", STANDARD.encode(credentials)))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ACCEPT, "application/json")
            .body(body)
            .send()
            .await
            .map_err(|error| innermost(&error))?;
        let status = answer.status();
        let text = text(answer).await?;
        if !status.is_success() {
            return Err(format!("it answered with {status}{}", told(&text)));
        }
        let issued: Issued =
            serde_json::from_slice(&text).map_err(|_| "its answer has no `access_token`".to_owned())?;
        let lifetime = issued
            .expires_in
            .filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        let lifetime = lifetime.map(|seconds| Duration::from_secs(seconds.min(1e9) as u64));
        Token::read(&issued.access_token, lifetime)
    }

    /// Secrets go to this address and to no other: a redirection is not followed.
    fn client(&self) -> Result<Client, String> {
        let mut client = Client::builder()
            .timeout(PATIENCE)
            .connect_timeout(PATIENCE)
            .redirect(redirect::Policy::none());
        if let Some(trusted) = &self.trusted {
            let pem = trusted.read()?;
            let certificates = Certificate::from_pem_bundle(pem.as_bytes()).map_err(|error| innermost(&error))?;
            client = client.tls_certs_merge(certificates);
        }
        client.build().map_err(|error| innermost(&error))
    }
}

async fn text(mut answer: Response) -> Result<Vec<u8>, String> {
    let mut text = Vec::new();
    while let Some(piece) = answer.chunk().await.map_err(|error| innermost(&error))? {
        if text.len() + piece.len() > MOST_BYTES {
            return Err(format!("its answer has more than {MOST_BYTES} bytes"));
        }
        text.extend_from_slice(&piece);
    }
    Ok(text)
}

/// What a refusal says of itself: `error` and `error_description` of RFC 6749.
fn told(answer: &[u8]) -> String {
    let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
    let words = ["error", "error_description"].map(|name| answer[name].as_str().unwrap_or_default());
    let words: Vec<_> = words.into_iter().filter(|words| !words.is_empty()).collect();
    match words.is_empty() {
        true => String::new(),
        false => format!(" ({})", words.join(": ").chars().take(300).collect::<String>()),
    }
}

/// The cause behind the causes, which says what happened; an address may hold a secret and is not repeated.
fn innermost(error: &(dyn std::error::Error + 'static)) -> String {
    let mut innermost = error;
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
        let url = format!("http://{}/token", listener.local_addr().unwrap());
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
            url,
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
        assert!(asked.starts_with("POST /token ") && asked.contains(&basic), "{asked}");
        assert!(
            asked.ends_with("grant_type=client_credentials&scope=kafka+read%2Fwrite"),
            "{asked}"
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
