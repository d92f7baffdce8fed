//! A token endpoint as OIDC providers have it: client credentials in, tokens out. Its tokens are unsigned, as the test
//! broker takes them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The client that the endpoint knows: id and secret.
pub const CLIENT: (&str, &str) = ("sandbar-client", "client-secret");

/// A running endpoint; it ends with the test's process.
pub struct Issuer {
    /// Where tokens are asked for.
    pub url: String,
    issued: Arc<AtomicUsize>,
}

impl Issuer {
    /// Starts one whose tokens live for so long.
    pub fn start(lifetime: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}/token", listener.local_addr().expect("an address"));
        let issued = Arc::new(AtomicUsize::new(0));
        let count = issued.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                answer(stream, lifetime, &count);
            }
        });
        Self { url, issued }
    }

    /// How many tokens were issued.
    pub fn issued(&self) -> usize {
        self.issued.load(Ordering::Relaxed)
    }
}

/// An unsigned token that lives for so long from now.
pub fn token(lifetime: Duration) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a time after 1970");
    let (since, until) = (now.as_secs_f64(), (now + lifetime).as_secs_f64());
    let claims = format!(r#"{{"sub":"{}","iat":{since},"exp":{until}}}"#, CLIENT.0);
    format!(
        "{}.{}.",
        base64(br#"{"alg":"none"}"#, URL),
        base64(claims.as_bytes(), URL)
    )
}

fn answer(mut stream: TcpStream, lifetime: Duration, issued: &AtomicUsize) {
    let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
    let asks_for_token = |asked: &[u8]| String::from_utf8_lossy(asked).contains("grant_type=client_credentials");
    while !asks_for_token(&asked) {
        match stream.read(&mut piece) {
            Ok(read @ 1..) if asked.len() < 1 << 16 => asked.extend_from_slice(&piece[..read]),
            _ => return,
        }
    }
    let credentials = base64(format!("{}:{}", CLIENT.0, CLIENT.1).as_bytes(), STANDARD);
    let is_known = String::from_utf8_lossy(&asked).contains(&format!("Basic {credentials}"));
    let (status, body) = if is_known {
        issued.fetch_add(1, Ordering::Relaxed);
        let seconds = lifetime.as_secs();
        let token = token(lifetime);
        (
            "200 OK",
            format!(r#"{{"access_token":"{token}","token_type":"Bearer","expires_in":{seconds}}}"#),
        )
    } else {
        ("401 Unauthorized", r#"{"error":"invalid_client"}"#.to_owned())
    };
    let length = body.len();
    // Whoever asked may be gone.
    let _ = stream.write_all(
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\
            connection: close\r\n\r\n{body}"
        )
        .as_bytes(),
    );
}

/// The two last letters of an alphabet of base64, and whether it is filled up.
type Alphabet = (&'static [u8; 2], bool);
const URL: Alphabet = (b"-_", false);
const STANDARD: Alphabet = (b"+/", true);

fn base64(bytes: &[u8], (last, is_filled): Alphabet) -> String {
    let letters: Vec<u8> = (b'A'..=b'Z')
        .chain(b'a'..=b'z')
        .chain(b'0'..=b'9')
        .chain(*last)
        .collect();
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0_u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for at in 0..=three.len() {
            text.push(char::from(letters[(number >> (18 - 6 * at)) as usize & 63]));
        }
        if is_filled {
            text.push_str(&"=="[..3 - three.len()]);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_the_standard() {
        let standard = ["", "f", "fo", "foo", "foob", "fooba", "foobar"].map(|text| base64(text.as_bytes(), STANDARD));
        assert_eq!(
            standard,
            ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"]
        );
        assert_eq!(
            (base64(&[0xfb, 0xff], URL), base64(&[0xfb, 0xff], STANDARD)),
            ("-_8".into(), "+/8=".into())
        );
    }
}
