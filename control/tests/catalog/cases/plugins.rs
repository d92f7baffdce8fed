//! The list of plugins.

use sandbar_control::{ProblemKind, PushedPlugin};

use crate::place::{Place, name, plugin, with_tenants};

pub(crate) async fn plugins_are_noted_once_and_listed_by_digest(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b) = (name("a"), name("b"));
    for byte in [3, 1, 2] {
        assert!(catalog.add_plugin(&a, &plugin(byte)).await.unwrap());
    }
    let again = PushedPlugin {
        name: "renamed".to_owned(),
        ..plugin(1)
    };
    assert!(!catalog.add_plugin(&a, &again).await.unwrap());
    assert_eq!(catalog.plugin(&a, &plugin(1).digest).await.unwrap(), Some(plugin(1)));
    assert_eq!(catalog.plugin(&b, &plugin(1).digest).await.unwrap(), None);
    assert!(catalog.plugins(&b, None, 10).await.unwrap().is_empty());
    assert_eq!(catalog.plugins(&a, None, 2).await.unwrap(), [plugin(1), plugin(2)]);
    let rest = catalog.plugins(&a, Some(&plugin(2).digest), 2).await.unwrap();
    assert_eq!(rest, [plugin(3)]);

    let strange = PushedPlugin {
        name: "'; DROP TABLE plugins; --".to_owned(),
        version: "\"\u{1f980}\\".to_owned(),
        bytes: i64::MAX,
        ..plugin(4)
    };
    assert!(catalog.add_plugin(&a, &strange).await.unwrap());
    assert_eq!(catalog.plugin(&a, &strange.digest).await.unwrap(), Some(strange));
    let with = |name: &str, bytes| PushedPlugin {
        name: name.to_owned(),
        bytes,
        ..plugin(5)
    };
    for (refused, kind) in [
        (with("a\0b", 1), ProblemKind::Invalid),
        (with("", -1), ProblemKind::Invalid),
        (with(&"x".repeat(257), 1), ProblemKind::TooLarge),
    ] {
        assert_eq!(catalog.add_plugin(&a, &refused).await.unwrap_err().kind, kind);
    }
}
