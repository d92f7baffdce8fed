//! Keys that sign plugins, and who signed them.

use sandbar_control::{Digest, ProblemKind, Signed, SigningKey};

use crate::place::{Place, name, plugin, with_tenants};

const KEY: &str = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
/// Of `test`, by that key.
const MINISIG: &str = "untrusted comment: signature from minisign secret key
RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=
trusted comment: timestamp:1633700835\tfile:test\tprehashed
wLMDjy9FLAuxZ3q4NlEvkgtyhrr0gtTu6KC4KBJdITbbOeAi1zBIYo0v4iTgt8jJpIidRJnp94ABQkJAgAooBQ==
";

fn signed() -> Signed {
    Signed {
        signature: MINISIG.parse().unwrap(),
        key: KEY.parse().unwrap(),
    }
}

pub(crate) async fn a_signature_counts_as_long_as_its_key_is_there(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b, signed) = (name("a"), name("b"), signed());
    let (key, digest) = (&signed.key, plugin(1).digest);
    assert!(catalog.add_signing_key(&a, key, "of a", "me").await.unwrap());
    assert!(!catalog.add_signing_key(&a, key, "again", "you").await.unwrap());
    assert_eq!(catalog.signing_key(&a, key.id()).await.unwrap().as_ref(), Some(key));
    assert_eq!(catalog.signing_key(&b, key.id()).await.unwrap(), None);
    for tenant in [&a, &b] {
        assert!(catalog.add_plugin(tenant, &plugin(1)).await.unwrap());
        assert!(catalog.add_plugin(tenant, &plugin(2)).await.unwrap());
    }
    let check = async |tenant, digest: &Digest| catalog.check_signature(tenant, digest, "failed").await;
    assert_eq!(check(&a, &digest).await, Ok(()));
    catalog.require_signatures(&a, true).await.unwrap();
    assert_eq!(check(&a, &digest).await.unwrap_err().kind, ProblemKind::PluginRefused);
    for _ in 0..2 {
        catalog.add_signature(&a, &digest, &signed).await.unwrap();
    }
    assert_eq!(check(&a, &digest).await, Ok(()));
    assert!(check(&a, &plugin(2).digest).await.is_err());
    let all = catalog.plugins(&a, None, 10).await.unwrap();
    assert_eq!((all[0].signatures.len(), all[1].signatures.len()), (1, 0));
    assert_eq!(all[0].signatures[0].comment, signed.signature.comment());
    assert!(all[0].signatures[0].is_valid && all[0].signatures[0].key == *key.id());
    // Neither what a tenant demands nor who signed is another's.
    assert_eq!(check(&b, &digest).await, Ok(()));
    catalog.require_signatures(&b, true).await.unwrap();
    assert!(check(&b, &digest).await.is_err());
    assert!(
        catalog
            .plugin(&b, &digest)
            .await
            .unwrap()
            .unwrap()
            .signatures
            .is_empty()
    );

    assert!(!catalog.remove_signing_key(&b, key.id()).await.unwrap());
    assert!(catalog.remove_signing_key(&a, key.id()).await.unwrap());
    let refused = check(&a, &digest).await.unwrap_err();
    assert!(refused.why.contains("any more"), "{refused}");
    assert!(!catalog.plugin(&a, &digest).await.unwrap().unwrap().signatures[0].is_valid);
    let (views, plugins) = (name("views"), [("o".to_owned(), digest.clone())].into());
    let applied = catalog.apply(&a, &views, "x", &plugins, "me", None).await;
    assert_eq!(applied.unwrap_err().kind, ProblemKind::PluginRefused);
    assert!(catalog.add_signing_key(&a, key, "", "me").await.unwrap());
    assert_eq!(check(&a, &digest).await, Ok(()));
}

pub(crate) async fn keys_and_signatures_go_with_their_tenant(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, signed) = (name("a"), signed());
    let key: &SigningKey = &signed.key;
    catalog.add_signing_key(&a, key, "", "me").await.unwrap();
    catalog.add_plugin(&a, &plugin(1)).await.unwrap();
    catalog.add_signature(&a, &plugin(1).digest, &signed).await.unwrap();
    catalog.delete_tenant(&a).await.unwrap();
    let refused = catalog.require_signatures(&a, true).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::NotFound);
    catalog.create_tenant(&a).await.unwrap();
    assert!(catalog.signing_keys(&a).await.unwrap().is_empty());
    catalog.add_plugin(&a, &plugin(1)).await.unwrap();
    assert_eq!(catalog.plugin(&a, &plugin(1).digest).await.unwrap(), Some(plugin(1)));
    assert!(!catalog.tenant(&a).await.unwrap().unwrap().signatures_required);
}
