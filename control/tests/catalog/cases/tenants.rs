//! Tenants.

use std::collections::BTreeMap;

use sandbar_control::{ProblemKind, Role};

use crate::place::{Place, name, plugin, with_tenants};

pub(crate) async fn tenants_are_made_once_and_listed_by_name(place: &Place) {
    let catalog = with_tenants(place, &["b", "a-c", "ab"]).await;
    assert!(!catalog.create_tenant(&name("b")).await.unwrap());
    let names = |tenants: Vec<sandbar_control::Tenant>| -> Vec<String> {
        tenants.into_iter().map(|tenant| tenant.name.to_string()).collect()
    };
    let all = catalog.tenants(None, 10).await.unwrap();
    assert!(all.iter().all(|tenant| tenant.created > 1_600_000_000_000));
    // By bytes, whatever the language of the server is.
    assert_eq!(names(all), ["a-c", "ab", "b"]);
    assert_eq!(names(catalog.tenants(None, 2).await.unwrap()), ["a-c", "ab"]);
    assert_eq!(names(catalog.tenants(Some(&name("ab")), 2).await.unwrap()), ["b"]);
    assert!(catalog.tenants(None, 0).await.unwrap().is_empty());
    assert_eq!(catalog.tenant(&name("ab")).await.unwrap().unwrap().name, name("ab"));
    assert_eq!(catalog.tenant(&name("c")).await.unwrap(), None);
}

pub(crate) async fn a_tenant_with_pipelines_stays(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, views) = (name("a"), name("views"));
    catalog
        .apply(&a, &views, "x", &BTreeMap::new(), "me", None)
        .await
        .unwrap();
    let refused = catalog.delete_tenant(&a).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    assert!(refused.to_string().contains("it has pipelines"), "{refused}");
    assert!(catalog.tenant(&a).await.unwrap().is_some());
    assert!(catalog.delete_pipeline(&a, &views).await.unwrap());
    catalog.delete_tenant(&a).await.unwrap();
    assert_eq!(catalog.delete_tenant(&a).await.unwrap_err().kind, ProblemKind::NotFound);
    assert_eq!(catalog.tenants(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn what_goes_with_a_tenant(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b) = (name("a"), name("b"));
    let of_a = catalog.create_token(Some(&a), Role::Admin, "", None).await.unwrap();
    let of_b = catalog.create_token(Some(&b), Role::Admin, "", None).await.unwrap();
    catalog.add_plugin(&a, &plugin(1)).await.unwrap();
    catalog.add_plugin(&b, &plugin(1)).await.unwrap();
    catalog.delete_tenant(&a).await.unwrap();
    assert_eq!(catalog.identify(&of_a.token).await.unwrap(), None);
    assert!(catalog.identify(&of_b.token).await.unwrap().is_some());
    // Nor is it there for a tenant that has the name afterwards.
    catalog.create_tenant(&a).await.unwrap();
    assert_eq!(catalog.identify(&of_a.token).await.unwrap(), None);
    assert!(catalog.tokens(&a).await.unwrap().is_empty());
    assert_eq!(catalog.plugin(&a, &plugin(1).digest).await.unwrap(), None);
    assert!(catalog.plugin(&b, &plugin(1).digest).await.unwrap().is_some());

    let none = name("none");
    let missing = [
        catalog
            .create_token(Some(&none), Role::Viewer, "", None)
            .await
            .unwrap_err(),
        catalog.add_plugin(&none, &plugin(1)).await.unwrap_err(),
        catalog
            .apply(&none, &none, "x", &BTreeMap::new(), "me", None)
            .await
            .unwrap_err(),
    ];
    for problem in missing {
        assert_eq!(problem.kind, ProblemKind::NotFound, "{problem}");
        assert!(problem.to_string().contains("there is no tenant none"), "{problem}");
    }
}
