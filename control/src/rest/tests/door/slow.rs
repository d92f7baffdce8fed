//! Peers that say little, or nothing, beside one that wants an answer.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::dialing::{BehindTls, said, whoami};
use crate::door::DoorPatience;
use crate::model::Role;
use crate::rest::tests::daemon::{Daemon, raw};

const SHORT: Duration = Duration::from_millis(300);
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// So long that nothing is cut while a test looks.
fn patient() -> DoorPatience {
    DoorPatience {
        handshake: LONG * 10,
        head: LONG * 10,
        ..DoorPatience::default()
    }
}

fn impatient() -> DoorPatience {
    DoorPatience {
        handshake: SHORT,
        head: SHORT,
        ..DoorPatience::default()
    }
}

/// Reads until the other side ends.
async fn is_ended(mut stream: TcpStream) -> bool {
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, stream.read_to_end(&mut rest)).await.is_ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_slow_heads_keep_nobody_from_an_answer() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    let address = daemon.serve_with(None, patient()).await;
    let mut slow = Vec::new();
    for _ in 0..200 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(b"GET /v1/whoami HTTP/1.1\r\nX: ").await.unwrap();
        slow.push(stream);
    }
    for _ in 0..20 {
        for stream in &mut slow {
            // One that had to go is no matter here.
            let _ = stream.write_all(b"a").await;
        }
        let answer = raw(address, &whoami(&token)).await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn handshakes_that_do_not_end_keep_nobody_from_an_answer() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    let door = BehindTls::new(daemon, None, patient()).await;
    let mut slow = Vec::new();
    for _ in 0..600 {
        let mut stream = TcpStream::connect(door.address).await.unwrap();
        let _ = stream.write_all(&[22, 3, 1]).await;
        slow.push(stream);
        if slow.len() % 30 == 0 {
            let answer = said(door.dial().await, &whoami(&token)).await.unwrap();
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }
    // The first of so many from one address is not there any more.
    assert!(is_ended(slow.swap_remove(0)).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handshake_and_a_head_and_the_silence_after_an_answer_have_an_end() {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    let plain = daemon.serve_with(None, impatient()).await;
    let door = BehindTls::new(daemon, None, impatient()).await;
    for (address, bytes) in [
        (door.address, &b""[..]),
        (door.address, &[22, 3, 1]),
        (plain, b""),
        (plain, b"GET / HTTP/1.1\r\nX: "),
        (plain, b"GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        assert!(is_ended(stream).await, "{bytes:?}");
    }
    // A drop now and then does not make it longer.
    let stream = TcpStream::connect(plain).await.unwrap();
    let (mut from, mut to) = stream.into_split();
    let dripping = tokio::spawn(async move {
        while to.write_all(b"X").await.is_ok() {
            tokio::time::sleep(SHORT / 10).await;
        }
    });
    let mut rest = Vec::new();
    tokio::time::timeout(LONG, from.read_to_end(&mut rest))
        .await
        .unwrap()
        .unwrap_or_default();
    dripping.abort();
    // After an answer over TLS as well.
    let request = String::from_utf8(whoami(&token))
        .unwrap()
        .replace("Connection: close\r\n", "");
    let answer = tokio::time::timeout(LONG, said(door.dial().await, request.as_bytes())).await;
    assert!(answer.unwrap().unwrap().starts_with("HTTP/1.1 200 "));
    let usual = DoorPatience::default();
    let most = Duration::from_secs(20);
    assert!(usual.head <= most && usual.handshake <= most);
}
