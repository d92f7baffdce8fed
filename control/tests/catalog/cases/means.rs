//! Clusters, topics and quotas, and all that a tenant has in one answer.

use std::collections::BTreeMap;

use sandbar_control::{Access, Catalog, ClusterProperty, Name, ProblemKind, PropertyMeans, Quotas, TenantCluster};

use crate::place::{Place, name, plugin, sealed, text, with_tenants};

fn cluster(brokers: &str, properties: &[(&str, ClusterProperty)]) -> TenantCluster {
    let properties = properties
        .iter()
        .map(|(name, value)| ((*name).to_owned(), value.clone()));
    TenantCluster {
        brokers: brokers.to_owned(),
        properties: properties.collect(),
    }
}

pub(crate) async fn all_that_a_tenant_has_is_one_answer(place: &Place) {
    let catalog = sealed(place, &["a", "b"]).await;
    let (a, b, main) = (name("a"), name("b"), name("main"));
    let secret = |name_of: &str| ClusterProperty::Secret { secret: name(name_of) };
    let properties = [
        (
            "sasl.username",
            ClusterProperty::Text("'; DROP TABLE clusters; --".to_owned()),
        ),
        ("sasl.password", secret("password")),
        ("ssl.key.pem", secret("gone")),
    ];
    assert!(catalog.set_cluster(&a, &main, &cluster("x:1", &[])).await.unwrap());
    assert!(
        !catalog
            .set_cluster(&a, &main, &cluster("k:9092,l:9092", &properties))
            .await
            .unwrap()
    );
    assert!(catalog.set_cluster(&b, &main, &cluster("other:1", &[])).await.unwrap());
    catalog
        .set_secret(&a, &name("password"), &text("hunter2"), "me")
        .await
        .unwrap();
    let access = Access {
        reads: Some(vec!["a.*".to_owned(), "shared".to_owned()]),
        writes: Some(Vec::new()),
    };
    catalog.set_access(&a, &access).await.unwrap();
    let quotas = Quotas {
        pipeline_cpu: Some(1500),
        ..Quotas::default()
    };
    catalog.set_quotas(&a, &quotas).await.unwrap();
    drop(catalog);

    let catalog = place.open_sealed().await;
    let means = catalog.means(&a).await.unwrap();
    assert!(!format!("{means:?}").contains("hunter2"), "{means:?}");
    assert_eq!(
        (means.reads, means.writes),
        (access.reads.clone(), access.writes.clone())
    );
    assert_eq!(means.quotas, quotas);
    let opened = &means.clusters["main"];
    assert_eq!(opened.brokers, "k:9092,l:9092");
    let said = |property: &str| match &opened.properties[property] {
        PropertyMeans::Text(text) => text.clone(),
        PropertyMeans::Secret { name, text } => format!("{name}: {:?}", text.as_ref().map(|text| text.reveal())),
    };
    assert_eq!(said("sasl.username"), "'; DROP TABLE clusters; --");
    assert_eq!(said("sasl.password"), "password: Some(\"hunter2\")");
    assert_eq!(said("ssl.key.pem"), "gone: None");
    let tenant = catalog.tenant(&a).await.unwrap().unwrap();
    assert_eq!((tenant.reads, tenant.writes), (access.reads, access.writes));

    let of_b = catalog.means(&b).await.unwrap();
    assert_eq!((of_b.reads, of_b.writes, of_b.quotas), (None, None, Quotas::default()));
    assert_eq!(
        (of_b.secrets.len(), of_b.clusters["main"].brokers.as_str()),
        (0, "other:1")
    );
    catalog.set_access(&a, &Access::default()).await.unwrap();
    assert_eq!(catalog.means(&a).await.unwrap().reads, None);
}

pub(crate) async fn a_cluster_is_its_tenants_own_and_goes_with_it(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b, main) = (name("a"), name("b"), name("main"));
    for tenant in [&a, &b] {
        let cluster = cluster("x:1", &[]);
        assert!(catalog.set_cluster(tenant, &main, &cluster).await.unwrap());
        assert!(!catalog.set_cluster(tenant, &main, &cluster).await.unwrap());
    }
    assert_eq!(catalog.clusters(&a).await.unwrap().len(), 1);
    assert!(catalog.delete_cluster(&a, &main).await.unwrap());
    assert!(!catalog.delete_cluster(&a, &main).await.unwrap());
    assert_eq!(catalog.cluster(&a, &main).await.unwrap(), None);
    assert!(catalog.cluster(&b, &main).await.unwrap().is_some());
    catalog.delete_tenant(&b).await.unwrap();
    catalog.create_tenant(&b).await.unwrap();
    assert!(catalog.clusters(&b).await.unwrap().is_empty());
}

pub(crate) async fn means_that_cannot_be_are_refused(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, none, main) = (name("a"), name("none"), name("main"));
    let file = [("ssl.ca.location", ClusterProperty::Text("/etc/passwd".to_owned()))];
    let wrong = Access {
        reads: Some(vec!["a*b".to_owned()]),
        writes: None,
    };
    let zero = Quotas {
        versions: Some(0),
        ..Quotas::default()
    };
    for (problem, kind) in [
        (
            catalog
                .set_cluster(&a, &main, &cluster("x:1", &file))
                .await
                .unwrap_err(),
            ProblemKind::Invalid,
        ),
        (
            catalog.set_cluster(&a, &main, &cluster("x", &[])).await.unwrap_err(),
            ProblemKind::Invalid,
        ),
        (
            catalog
                .set_cluster(&none, &main, &cluster("x:1", &[]))
                .await
                .unwrap_err(),
            ProblemKind::NotFound,
        ),
        (catalog.set_access(&a, &wrong).await.unwrap_err(), ProblemKind::Invalid),
        (
            catalog.set_access(&none, &Access::default()).await.unwrap_err(),
            ProblemKind::NotFound,
        ),
        (catalog.set_quotas(&a, &zero).await.unwrap_err(), ProblemKind::Invalid),
        (
            catalog.set_quotas(&none, &Quotas::default()).await.unwrap_err(),
            ProblemKind::NotFound,
        ),
        (catalog.quotas(&none).await.unwrap_err(), ProblemKind::NotFound),
    ] {
        assert_eq!(problem.kind, kind, "{problem}");
    }
    assert!(catalog.clusters(&a).await.unwrap().is_empty());
    let rows: Vec<String> = (0..64).map(|at| format!("('a', 'n{at}', 'x:1', '{{}}', 0)")).collect();
    let text = "INSERT INTO clusters (tenant, name, brokers, properties, changed) VALUES";
    place.meddle(&format!("{text} {}", rows.join(", "))).await;
    let refused = catalog.set_cluster(&a, &main, &cluster("x:1", &[])).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::TooMany, "{refused}");
}

/// Those of eight pipelines that are there after all were applied at once; the quota is 3.
async fn made_of_many(catalog: &Catalog, tenant: &Name) -> Vec<Name> {
    let tasks: Vec<_> = (0..8)
        .map(|at| {
            let (catalog, tenant) = (catalog.clone(), tenant.clone());
            let name = name(&format!("p{at}"));
            tokio::spawn(async move { catalog.apply(&tenant, &name, "x", &BTreeMap::new(), "me", None).await })
        })
        .collect();
    let mut made = Vec::new();
    for (at, task) in tasks.into_iter().enumerate() {
        match task.await.unwrap() {
            Ok(_) => made.push(name(&format!("p{at}"))),
            Err(refused) => {
                assert_eq!(refused.kind, ProblemKind::QuotaExceeded);
                for part in [
                    "3 pipelines",
                    "quota `pipelines` is 3",
                    "sandbar quota set a pipelines=",
                ] {
                    assert!(refused.to_string().contains(part), "{refused}");
                }
            }
        }
    }
    made
}

pub(crate) async fn no_tenant_has_more_pipelines_than_its_quota(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let a = name("a");
    catalog
        .set_quotas(
            &a,
            &Quotas {
                pipelines: Some(3),
                ..Quotas::default()
            },
        )
        .await
        .unwrap();
    let made = made_of_many(&catalog, &a).await;
    assert_eq!(
        (made.len(), catalog.pipelines(&a, None, 9).await.unwrap().len()),
        (3, 3)
    );
    let plugins = BTreeMap::new();
    // What is there changes as before, others have their own, and one that goes makes room.
    assert_eq!(
        catalog
            .apply(&a, &made[0], "y", &plugins, "me", None)
            .await
            .unwrap()
            .version,
        2
    );
    assert!(
        catalog
            .apply(&name("b"), &made[0], "x", &plugins, "me", None)
            .await
            .is_ok()
    );
    catalog.delete_pipeline(&a, &made[0]).await.unwrap();
    assert!(catalog.apply(&a, &name("new"), "x", &plugins, "me", None).await.is_ok());
    catalog
        .set_quotas(
            &a,
            &Quotas {
                pipelines: Some(0),
                ..Quotas::default()
            },
        )
        .await
        .unwrap();
    assert!(
        catalog
            .apply(&a, &name("next"), "x", &plugins, "me", None)
            .await
            .is_err()
    );
    assert_eq!(catalog.pipelines(&a, None, 9).await.unwrap().len(), 3);
}

pub(crate) async fn the_newest_versions_are_kept(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views, other) = (name("a"), name("views"), name("other"));
    let plugins = BTreeMap::new();
    let versions = async |pipeline| -> Vec<i64> {
        let versions = catalog.versions(&a, pipeline).await.unwrap();
        versions.iter().map(|version| version.version).collect()
    };
    for at in 1..=52 {
        let applied = catalog
            .apply(&a, &views, &format!("{at}"), &plugins, "me", None)
            .await
            .unwrap();
        assert_eq!(applied.version, at);
    }
    catalog.apply(&a, &other, "x", &plugins, "me", None).await.unwrap();
    assert_eq!(versions(&views).await, (3..=52).rev().collect::<Vec<_>>());
    catalog
        .set_quotas(
            &a,
            &Quotas {
                versions: Some(2),
                ..Quotas::default()
            },
        )
        .await
        .unwrap();
    assert_eq!(versions(&views).await.len(), 50);
    catalog.apply(&a, &views, "53", &plugins, "me", None).await.unwrap();
    assert_eq!(versions(&views).await, [53, 52]);
    catalog
        .set_quotas(
            &a,
            &Quotas {
                versions: Some(1),
                ..Quotas::default()
            },
        )
        .await
        .unwrap();
    catalog.apply(&a, &views, "54", &plugins, "me", None).await.unwrap();
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap().unwrap().file, "54");
    assert_eq!(versions(&views).await, [54]);
    assert_eq!(versions(&other).await, [1]);
}

pub(crate) async fn no_tenant_has_more_plugins_than_its_quota(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let a = name("a");
    catalog
        .set_quotas(
            &a,
            &Quotas {
                plugins: Some(2),
                ..Quotas::default()
            },
        )
        .await
        .unwrap();
    let tasks: Vec<_> = (0..6)
        .map(|byte| {
            let (catalog, a) = (catalog.clone(), a.clone());
            tokio::spawn(async move { (byte, catalog.add_plugin(&a, &plugin(byte)).await) })
        })
        .collect();
    let mut made = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            (byte, Ok(is_new)) => {
                assert!(is_new);
                made.push(byte);
            }
            (_, Err(refused)) => {
                assert_eq!(refused.kind, ProblemKind::QuotaExceeded);
                assert!(
                    refused.to_string().contains("2 plugins, and its quota `plugins` is 2"),
                    "{refused}"
                );
            }
        }
    }
    assert_eq!((made.len(), catalog.plugins(&a, None, 9).await.unwrap().len()), (2, 2));
    assert!(!catalog.add_plugin(&a, &plugin(made[0])).await.unwrap());
    assert!(catalog.add_plugin(&name("b"), &plugin(9)).await.unwrap());
}
