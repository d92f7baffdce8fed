//! Secrets: kept sealed, opened for a tenant's own pipelines, and for nothing else.

use sandbar_control::{ProblemKind, SealingKey, SecretText};

use crate::place::{Place, name, sealed, text};

pub(crate) async fn secrets_are_kept_and_opened_for_their_tenant(place: &Place) {
    let catalog = sealed(place, &["a", "b"]).await;
    let (a, b, first, second) = (name("a"), name("b"), name("first"), name("second"));
    assert!(!format!("{catalog:?}").contains("SealingKey"));
    assert!(catalog.set_secret(&a, &second, &text("two"), "me").await.unwrap());
    assert!(catalog.set_secret(&a, &first, &text("hunter2\n"), "me").await.unwrap());
    assert!(catalog.set_secret(&b, &first, &text("of b"), "you").await.unwrap());
    let before = catalog.secrets(&a).await.unwrap();
    assert!(!catalog.set_secret(&a, &first, &text("hunter3"), "you").await.unwrap());
    let listed = catalog.secrets(&a).await.unwrap();
    let names: Vec<_> = listed.iter().map(|one| (one.name.as_str(), one.by.as_str())).collect();
    assert_eq!(names, [("first", "you"), ("second", "me")]);
    assert!(listed[0].created == before[0].created && listed[0].changed >= before[0].changed);
    assert_eq!(listed[1], before[1]);
    drop(catalog);

    let catalog = place.open_sealed().await;
    let means = catalog.means(&a).await.unwrap();
    let opened: Vec<_> = means
        .secrets
        .iter()
        .map(|(name, text)| (name.as_str(), text.reveal()))
        .collect();
    assert_eq!(opened, [("first", "hunter3"), ("second", "two")]);
    assert_eq!(catalog.means(&b).await.unwrap().secrets["first"].reveal(), "of b");
    assert!(!format!("{means:?}").contains("hunter"), "{means:?}");
    assert!(catalog.delete_secret(&a, &first).await.unwrap());
    assert!(!catalog.delete_secret(&a, &first).await.unwrap());
    assert_eq!(catalog.means(&a).await.unwrap().secrets.len(), 1);
    assert_eq!(catalog.secrets(&b).await.unwrap().len(), 1);
    // Nor does one that has the name afterwards get them.
    catalog.delete_tenant(&a).await.unwrap();
    catalog.create_tenant(&a).await.unwrap();
    assert!(catalog.means(&a).await.unwrap().secrets.is_empty());
    let none = name("none");
    for problem in [
        catalog.set_secret(&none, &first, &text("x"), "me").await.unwrap_err(),
        catalog.means(&none).await.unwrap_err(),
    ] {
        assert_eq!(problem.kind, ProblemKind::NotFound, "{problem}");
    }
}

pub(crate) async fn no_text_of_a_secret_is_in_the_database(place: &Place) {
    let catalog = sealed(place, &["a"]).await;
    let long = format!("hunter2{}", "swordfish".repeat(1000));
    for (at, secret) in ["hunter2", &long].into_iter().enumerate() {
        let called = name(&format!("kafka-password-{at}"));
        catalog
            .set_secret(&name("a"), &called, &text(secret), "me")
            .await
            .unwrap();
    }
    for row in place.texts("SELECT name || ' ' || sealed FROM secrets").await {
        assert!(row.starts_with("kafka-password-") && row.len() > 60, "{row}");
        assert!(!row.contains("hunter2") && !row.contains("swordfish"), "{row}");
    }
    let has = |bytes: &[u8], part: &str| bytes.windows(part.len()).any(|window| window == part.as_bytes());
    let files: Vec<Vec<u8>> = place.files().iter().map(|file| std::fs::read(file).unwrap()).collect();
    // The search itself finds what is there.
    assert!(files.is_empty() || files.iter().any(|bytes| has(bytes, "kafka-password-1")));
    assert!(
        !files
            .iter()
            .any(|bytes| has(bytes, "hunter2") || has(bytes, "swordfish"))
    );
    drop(catalog);
}

pub(crate) async fn a_row_in_the_place_of_another_does_not_open(place: &Place) {
    let catalog = sealed(place, &["a", "b"]).await;
    let (a, b) = (name("a"), name("b"));
    for tenant in [&a, &b] {
        for secret in ["one", "two"] {
            let text = text(&format!("hunter2 of {tenant}"));
            catalog.set_secret(tenant, &name(secret), &text, "me").await.unwrap();
        }
    }
    let restore = place
        .texts("SELECT sealed FROM secrets WHERE tenant = 'a' AND name = 'one'")
        .await;
    for from in ["tenant = 'a' AND name = 'two'", "tenant = 'b' AND name = 'one'"] {
        let taken = format!("(SELECT sealed FROM secrets WHERE {from})");
        place
            .meddle(&format!(
                "UPDATE secrets SET sealed = {taken} WHERE tenant = 'a' AND name = 'one'"
            ))
            .await;
        let refused = catalog.means(&a).await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Failed, "{refused}");
        assert!(
            refused.to_string().contains("one was not sealed for that name"),
            "{refused}"
        );
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        assert!(catalog.means(&b).await.is_ok());
    }
    place
        .meddle(&format!(
            "UPDATE secrets SET sealed = '{}' WHERE tenant = 'a' AND name = 'one'",
            restore[0]
        ))
        .await;
    assert!(catalog.means(&a).await.is_ok());
}

pub(crate) async fn another_key_is_told_and_nothing_is_lost(place: &Place) {
    assert!(!place.open().await.is_sealed().await.unwrap());
    let catalog = sealed(place, &["a"]).await;
    let (a, one) = (name("a"), name("one"));
    catalog.set_secret(&a, &one, &text("hunter2"), "me").await.unwrap();
    assert!(catalog.is_sealed().await.unwrap());
    let refused = place
        .open()
        .await
        .sealed_with(SealingKey::new([8; 32]))
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    for part in [
        "sealed with another key",
        "secrets.key",
        "nothing was changed",
        "SANDBAR_SECRETS_KEY",
    ] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    let right = place.open_sealed().await;
    assert_eq!(right.means(&a).await.unwrap().secrets["one"].reveal(), "hunter2");
    let without = place.open().await;
    let refused = without.set_secret(&a, &one, &text("x"), "me").await.unwrap_err();
    assert!(refused.to_string().contains("without the key"), "{refused}");
    assert!(without.means(&a).await.is_err());
    assert_eq!(without.secrets(&a).await.unwrap().len(), 1);
}

pub(crate) async fn of_many_first_keys_one_is_the_key(place: &Place) {
    let tasks: Vec<_> = (0..4)
        .map(|byte| {
            let catalog = place.open();
            async move { catalog.await.sealed_with(SealingKey::new([byte; 32])).await }
        })
        .collect();
    let opened = futures_util::future::join_all(tasks).await;
    assert_eq!(opened.iter().filter(|one| one.is_ok()).count(), 1);
}

pub(crate) async fn a_tenant_has_so_many_secrets_at_most(place: &Place) {
    let catalog = sealed(place, &["a", "b"]).await;
    let rows: Vec<String> = (0..255).map(|at| format!("('a', 'n{at}', 'x', 0, 0, 'me')")).collect();
    place
        .meddle(&format!(
            "INSERT INTO secrets (tenant, name, sealed, created, changed, author) VALUES {}",
            rows.join(", ")
        ))
        .await;
    let (a, last) = (name("a"), name("last"));
    assert!(catalog.set_secret(&a, &last, &text("x"), "me").await.unwrap());
    let refused = catalog
        .set_secret(&a, &name("more"), &text("x"), "me")
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ProblemKind::TooMany);
    assert!(refused.to_string().contains("256"), "{refused}");
    assert!(!catalog.set_secret(&a, &last, &text("y"), "me").await.unwrap());
    assert!(catalog.set_secret(&name("b"), &last, &text("y"), "me").await.unwrap());
    let longest = SecretText::new("ü".repeat(32 << 10)).unwrap();
    assert!(
        catalog
            .set_secret(&name("b"), &name("longest"), &longest, "me")
            .await
            .unwrap()
    );
    assert_eq!(catalog.means(&name("b")).await.unwrap().secrets["longest"], longest);
}
