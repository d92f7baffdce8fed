//! Tokens.

use sandbar_control::{Identity, ProblemKind, Role};

use crate::place::{Place, name, with_tenants};

pub(crate) async fn a_token_is_known_until_it_is_revoked(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b) = (name("a"), name("b"));
    for role in [Role::Viewer, Role::Author, Role::Operator, Role::Admin] {
        let made = catalog
            .create_token(Some(&a), role, "it's \"mine\"", None)
            .await
            .unwrap();
        assert!(made.token.starts_with("sbt_") && made.token.len() == 47, "{made:?}");
        let identity = Identity {
            token: made.id.clone(),
            tenant: Some(a.clone()),
            role,
        };
        assert_eq!(catalog.identify(&made.token).await.unwrap(), Some(identity));
        let listed = catalog.tokens(&a).await.unwrap();
        assert_eq!(listed.len(), 1);
        assert_eq!((listed[0].id.as_str(), listed[0].role), (made.id.as_str(), role));
        assert_eq!((listed[0].note.as_str(), listed[0].expires), ("it's \"mine\"", None));

        for tenant in [Some(&b), None] {
            assert!(!catalog.revoke(tenant, &made.id).await.unwrap());
        }
        assert!(catalog.identify(&made.token).await.unwrap().is_some());
        assert!(catalog.revoke(Some(&a), &made.id).await.unwrap());
        assert_eq!(catalog.identify(&made.token).await.unwrap(), None);
        assert!(catalog.tokens(&a).await.unwrap().is_empty());
        assert!(!catalog.revoke(Some(&a), &made.id).await.unwrap());
    }
    assert!(!catalog.revoke(Some(&a), "' OR 1 = 1 --").await.unwrap());
    assert!(!catalog.revoke(Some(&a), "0123456\u{0}89abcde").await.unwrap());
}

pub(crate) async fn a_token_is_known_until_it_expires(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let a = name("a");
    let now = catalog.tenant(&a).await.unwrap().unwrap().created;
    let short = catalog
        .create_token(Some(&a), Role::Viewer, "", Some(now + 3_600_000))
        .await
        .unwrap();
    let long = catalog
        .create_token(Some(&a), Role::Viewer, "", Some(i64::MAX))
        .await
        .unwrap();
    assert!(catalog.identify(&short.token).await.unwrap().is_some());
    // As if the hour had gone by.
    place
        .meddle(&format!(
            "UPDATE tokens SET expires = {now} WHERE expires < {}",
            i64::MAX
        ))
        .await;
    assert_eq!(catalog.identify(&short.token).await.unwrap(), None);
    assert!(catalog.identify(&long.token).await.unwrap().is_some());
    let listed = catalog.tokens(&a).await.unwrap();
    let expired = listed.iter().find(|token| token.id == short.id).unwrap();
    assert_eq!(expired.expires, Some(now));
    for past in [now, 0, -1, i64::MIN] {
        let refused = catalog
            .create_token(None, Role::Admin, "", Some(past))
            .await
            .unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Invalid);
        assert!(refused.why.contains(&past.to_string()), "{refused}");
    }
}

pub(crate) async fn the_platform_and_tenants_have_their_own_tokens(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let a = name("a");
    catalog.create_token(Some(&a), Role::Admin, "", None).await.unwrap();
    assert!(!catalog.has_tokens().await.unwrap());
    let platform = catalog.create_token(None, Role::Admin, "", None).await.unwrap();
    assert!(catalog.has_tokens().await.unwrap());
    assert_eq!(catalog.identify(&platform.token).await.unwrap().unwrap().tenant, None);
    assert_eq!(catalog.tokens(&a).await.unwrap().len(), 1);
    assert!(!catalog.revoke(Some(&a), &platform.id).await.unwrap());
    assert!(catalog.revoke(None, &platform.id).await.unwrap());
    assert_eq!(catalog.identify(&platform.token).await.unwrap(), None);
    // One was made once: nobody is let in again as at the first start.
    assert!(catalog.has_tokens().await.unwrap());
}

pub(crate) async fn no_secret_is_kept_or_shown(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let made = catalog.create_token(None, Role::Admin, "note", None).await.unwrap();
    let other = catalog.create_token(None, Role::Admin, "note", None).await.unwrap();
    assert_ne!(made.token, other.token);
    assert!(!format!("{made:?}").contains(&made.token));
    assert!(!format!("{catalog:?}").contains("hunter2"));
    let wrong = format!("sbt_{}", "A".repeat(43));
    for unknown in [
        "",
        "sbt_",
        &made.id,
        &made.token[4..],
        &wrong,
        &"x".repeat(1 << 20),
        "sbt_'\0",
    ] {
        assert_eq!(catalog.identify(unknown).await.unwrap(), None);
    }
    catalog.close().await;
    let files = place.files();
    assert!(files.is_empty() == place.url().starts_with("postgres"));
    let is_kept = |secret: &str| {
        files.iter().any(|file| {
            let bytes = std::fs::read(file).unwrap();
            bytes.windows(secret.len()).any(|window| window == secret.as_bytes())
        })
    };
    assert!(!is_kept(&made.token) && !is_kept(&made.token[4..]));
    assert!(files.is_empty() || is_kept(&made.id));
}
