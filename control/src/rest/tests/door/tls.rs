//! Who is let in by TLS, and certificates that change.

use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::authority::Authority;
use super::dialing::{BehindTls, dial, said, whoami};
use crate::door::{Certificates, DoorPatience, TlsFiles};
use crate::model::Role;
use crate::model::problem::ProblemKind;
use crate::rest::tests::daemon::{Daemon, raw};

async fn guarded(clients: Option<&Authority>) -> (BehindTls, String) {
    let daemon = Daemon::new().await;
    let token = daemon.token(None, Role::Admin).await;
    (BehindTls::new(daemon, clients, DoorPatience::default()).await, token)
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_answer_whoever_trusts_the_authority() {
    let (door, token) = guarded(None).await;
    for version in [&TLS12, &TLS13] {
        let stream = dial(door.address, &door.authority, None, &[version]).await.unwrap();
        let answer = said(stream, &whoami(&token)).await.unwrap();
        assert!(
            answer.starts_with("HTTP/1.1 200 ") && answer.contains("admin"),
            "{answer}"
        );
    }
    let unsigned = door.ask(&whoami("sbt_none")).await;
    assert!(unsigned.starts_with("HTTP/1.1 401 "), "{unsigned}");
    let other = Authority::new("another");
    assert!(dial(door.address, &other, None, &[&TLS13]).await.is_err());
    // In the clear nothing is said.
    let clear = raw(door.address, &whoami(&token)).await;
    assert!(!clear.contains("HTTP"), "{clear}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_certificate_of_the_authority_is_turned_away() {
    let clients = Authority::new("of clients");
    let (door, token) = guarded(Some(&clients)).await;
    let foreign = Authority::new("of clients").issue("ann");
    let (good, ended) = (clients.issue("ann"), clients.issue_until("ann", -1));
    let of_the_daemons = door.authority.issue("ann");
    for version in [&TLS12, &TLS13] {
        let stream = dial(door.address, &door.authority, Some(&good), &[version])
            .await
            .unwrap();
        let answer = said(stream, &whoami(&token)).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let stream = dial(door.address, &door.authority, Some(&good), &[version])
            .await
            .unwrap();
        let answer = said(stream, &whoami("sbt_none")).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        for wrong in [None, Some(&foreign), Some(&ended), Some(&of_the_daemons)] {
            // In TLS 1.3 the client hears of it when it reads.
            let answer = match dial(door.address, &door.authority, wrong, &[version]).await {
                Ok(stream) => said(stream, &whoami(&token)).await,
                Err(error) => Err(error),
            };
            assert!(answer.is_err(), "{answer:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_changes_is_used_and_one_that_is_broken_is_not() {
    let (door, token) = guarded(None).await;
    let shown = async || {
        let stream = door.dial().await;
        let chain = stream.get_ref().1.peer_certificates().unwrap();
        chain[0].as_ref().to_vec()
    };
    let (mut held, first) = (door.dial().await, shown().await);
    door.certificates.look();
    assert_eq!(shown().await, first);
    let folder = door.folder.path();
    door.authority.issue("daemon").write(folder, "daemon");
    door.certificates.look();
    let second = shown().await;
    assert_ne!(second, first);
    // Half of a pair, no certificate, no file.
    let third = door.authority.issue("daemon");
    std::fs::write(folder.join("daemon.pem"), &third.certificate).unwrap();
    door.certificates.look();
    assert_eq!(shown().await, second);
    std::fs::write(folder.join("daemon.pem"), "hunter2").unwrap();
    door.certificates.look();
    std::fs::remove_file(folder.join("daemon.pem")).unwrap();
    door.certificates.look();
    assert_eq!(shown().await, second);
    third.write(folder, "daemon");
    door.certificates.look();
    assert_ne!(shown().await, second);
    // Whoever was connected stays.
    let answer = said(&mut held, &whoami(&token)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[test]
fn files_that_are_none_are_refused_by_name_and_not_repeated() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new("a");
    let (certificate, key) = authority.issue("daemon").write(folder.path(), "daemon");
    let (other_certificate, _) = authority.issue("daemon").write(folder.path(), "other");
    let broken = folder.path().join("broken");
    std::fs::write(
        &broken,
        "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----\n",
    )
    .unwrap();
    for (certificate, key, client_ca) in [
        (&broken, &key, None),
        (&certificate, &broken, None),
        (&key, &certificate, None),
        (&other_certificate, &key, None),
        (&certificate, &key, Some(broken.clone())),
        (&certificate, &key, Some(key.clone())),
        (&certificate, &folder.path().join("none"), None),
    ] {
        let files = TlsFiles {
            certificate: certificate.clone(),
            key: key.clone(),
            client_ca,
        };
        let Err(problem) = Certificates::open(files) else {
            panic!("they do not fit")
        };
        assert_eq!(problem.kind, ProblemKind::Invalid);
        assert!(!problem.to_string().contains("hunter2"), "{problem}");
        assert!(problem.what.contains(&folder.path().display().to_string()), "{problem}");
    }
}
