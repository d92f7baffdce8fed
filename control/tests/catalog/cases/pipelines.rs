//! Pipelines and their versions.

use std::collections::BTreeMap;

use sandbar_control::{Applied, Catalog, Digest, ProblemKind, Wanted};

use crate::place::{Place, name, plugin, with_tenants};

async fn apply(
    catalog: &Catalog,
    pipeline: &str,
    file: &str,
    expected: Option<i64>,
) -> sandbar_control::Result<Applied> {
    catalog
        .apply(&name("a"), &name(pipeline), file, &BTreeMap::new(), "me", expected)
        .await
}

fn applied(version: i64, revision: i64, is_new: bool, is_changed: bool) -> Applied {
    Applied {
        version,
        revision,
        is_new,
        is_changed,
        overtaken: None,
    }
}

pub(crate) async fn versions_and_revisions_grow(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views) = (name("a"), name("views"));
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap(), None);
    assert!(catalog.versions(&a, &views).await.unwrap().is_empty());
    assert!(!catalog.want(&a, &views, Wanted::Paused).await.unwrap());
    assert!(!catalog.want(&name("none"), &views, Wanted::Paused).await.unwrap());
    assert_eq!(
        apply(&catalog, "views", "one", None).await.unwrap(),
        applied(1, 1, true, true)
    );
    assert_eq!(
        catalog.pipeline(&a, &views).await.unwrap().unwrap().wanted,
        Wanted::Running
    );
    for wanted in [Wanted::Running, Wanted::Paused, Wanted::Paused] {
        assert!(catalog.want(&a, &views, wanted).await.unwrap());
    }
    assert_eq!(
        apply(&catalog, "views", "two", None).await.unwrap(),
        applied(2, 3, false, true)
    );

    let pipeline = catalog.pipeline(&a, &views).await.unwrap().unwrap();
    assert_eq!((&pipeline.tenant, &pipeline.name), (&a, &views));
    assert_eq!(
        (pipeline.wanted, pipeline.version, pipeline.revision),
        (Wanted::Paused, 2, 3)
    );
    assert_eq!(pipeline.file, "two");
    assert!(catalog.want(&a, &views, Wanted::Stopped).await.unwrap());
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap().unwrap().revision, 4);

    let versions = catalog.versions(&a, &views).await.unwrap();
    let told: Vec<_> = versions
        .iter()
        .map(|v| (v.version, v.file.as_str(), v.author.as_str()))
        .collect();
    assert_eq!(told, [(2, "two", "me"), (1, "one", "me")]);
    assert!(versions[0].applied >= versions[1].applied && versions[0].applied == pipeline.applied);
    for number in 3..=102 {
        apply(&catalog, "views", &number.to_string(), None).await.unwrap();
    }
    let versions = catalog.versions(&a, &views).await.unwrap();
    assert_eq!(
        (versions.len(), versions[0].version, versions[49].version),
        (50, 102, 53)
    );
}

pub(crate) async fn the_same_again_is_no_change(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views) = (name("a"), name("views"));
    let plugins = |byte| BTreeMap::from([("count".to_owned(), Digest::of_hash(&[byte; 32]))]);
    for byte in [1, 2] {
        catalog.add_plugin(&a, &plugin(byte)).await.unwrap();
    }
    let apply = |byte| {
        let (catalog, plugins) = (catalog.clone(), plugins(byte));
        async move {
            catalog
                .apply(&name("a"), &name("views"), "x", &plugins, "me", None)
                .await
                .unwrap()
        }
    };
    assert_eq!(apply(1).await, applied(1, 1, true, true));
    assert_eq!(apply(1).await, applied(1, 1, false, false));
    assert_eq!(apply(2).await, applied(2, 2, false, true));
    assert_eq!(apply(2).await, applied(2, 2, false, false));
    assert_eq!(apply(1).await, applied(3, 3, false, true));
    let versions = catalog.versions(&a, &views).await.unwrap();
    let told: Vec<_> = versions.iter().map(|version| version.plugins.clone()).collect();
    assert_eq!(told, [plugins(1), plugins(2), plugins(1)]);
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap().unwrap().plugins, plugins(1));
}

pub(crate) async fn a_revision_that_was_not_expected_is_refused(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let refused = apply(&catalog, "views", "one", Some(1)).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Changed);
    assert_eq!(
        apply(&catalog, "views", "one", Some(0)).await.unwrap(),
        applied(1, 1, true, true)
    );
    assert_eq!(
        apply(&catalog, "views", "two", Some(1)).await.unwrap(),
        applied(2, 2, false, true)
    );
    for expected in [0, 1, 3, -1, i64::MAX, i64::MIN] {
        for file in ["two", "three"] {
            let refused = apply(&catalog, "views", file, Some(expected)).await.unwrap_err();
            assert_eq!(refused.kind, ProblemKind::Changed);
            assert!(
                refused.why.contains(&format!("its revision is 2, and {expected} was")),
                "{refused}"
            );
        }
    }
    assert_eq!(catalog.versions(&name("a"), &name("views")).await.unwrap().len(), 2);
    assert_eq!(
        apply(&catalog, "views", "two", Some(2)).await.unwrap(),
        applied(2, 2, false, false)
    );
}

pub(crate) async fn a_revision_never_comes_twice(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views) = (name("a"), name("views"));
    let first = apply(&catalog, "views", "one", None).await.unwrap();
    assert!(catalog.delete_pipeline(&a, &views).await.unwrap());
    assert!(!catalog.delete_pipeline(&a, &views).await.unwrap());
    assert!(!catalog.delete_pipeline(&name("none"), &views).await.unwrap());
    assert!(catalog.versions(&a, &views).await.unwrap().is_empty());
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap(), None);
    let second = apply(&catalog, "views", "other", None).await.unwrap();
    assert_eq!((second.version, second.is_new), (1, true));
    assert!(second.revision > first.revision);
    let stale = apply(&catalog, "views", "one", Some(first.revision)).await.unwrap_err();
    assert_eq!(stale.kind, ProblemKind::Changed);
}

pub(crate) async fn the_same_name_in_two_tenants(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b, views) = (name("a"), name("b"), name("views"));
    for (tenant, file) in [(&a, "of a"), (&b, "of b")] {
        let new = catalog
            .apply(tenant, &views, file, &BTreeMap::new(), "me", None)
            .await
            .unwrap();
        assert_eq!(new, applied(1, 1, true, true));
    }
    apply(&catalog, "clicks", "x", None).await.unwrap();
    catalog.want(&b, &views, Wanted::Stopped).await.unwrap();
    let of_a = catalog.pipeline(&a, &views).await.unwrap().unwrap();
    let of_b = catalog.pipeline(&b, &views).await.unwrap().unwrap();
    assert_eq!((of_a.file.as_str(), of_a.wanted), ("of a", Wanted::Running));
    assert_eq!((of_b.file.as_str(), of_b.wanted), ("of b", Wanted::Stopped));
    let names = |pipelines: Vec<sandbar_control::WantedPipeline>| -> Vec<String> {
        let told = |p: sandbar_control::WantedPipeline| format!("{}/{}", p.tenant, p.name);
        pipelines.into_iter().map(told).collect()
    };
    assert_eq!(
        names(catalog.pipelines(&a, None, 10).await.unwrap()),
        ["a/clicks", "a/views"]
    );
    assert_eq!(names(catalog.pipelines(&a, None, 1).await.unwrap()), ["a/clicks"]);
    assert_eq!(
        names(catalog.pipelines(&a, Some(&name("clicks")), 9).await.unwrap()),
        ["a/views"]
    );
    assert_eq!(names(catalog.pipelines(&b, None, 10).await.unwrap()), ["b/views"]);
    assert_eq!(
        names(catalog.all_pipelines().await.unwrap()),
        ["a/clicks", "a/views", "b/views"]
    );
    assert_eq!(catalog.versions(&b, &views).await.unwrap()[0].file, "of b");
    assert!(catalog.delete_pipeline(&b, &views).await.unwrap());
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap(), Some(of_a));
}

pub(crate) async fn plugins_of_others_are_refused(place: &Place) {
    let catalog = with_tenants(place, &["a", "b"]).await;
    let (a, b, views) = (name("a"), name("b"), name("views"));
    catalog.add_plugin(&b, &plugin(1)).await.unwrap();
    let plugins = BTreeMap::from([("count".to_owned(), plugin(1).digest)]);
    let refused = catalog.apply(&a, &views, "x", &plugins, "me", None).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::PluginRefused);
    assert!(refused.why.contains(plugin(1).digest.as_str()), "{refused}");
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap(), None);
    assert!(
        catalog
            .apply(&b, &views, "x", &plugins, "me", None)
            .await
            .unwrap()
            .is_new
    );
}

pub(crate) async fn hostile_texts_come_back_as_they_were(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views) = (name("a"), name("views"));
    catalog.add_plugin(&a, &plugin(1)).await.unwrap();
    let strange = "'; DROP TABLE pipelines; -- \" \\ $1 ? % \u{1f980} \r\n\t\u{7f}\u{1}";
    let large = "'\"".repeat(1 << 19);
    let plugins = BTreeMap::from([(strange.to_owned(), plugin(1).digest)]);
    for file in ["", strange, &large] {
        catalog.apply(&a, &views, file, &plugins, strange, None).await.unwrap();
        let pipeline = catalog.pipeline(&a, &views).await.unwrap().unwrap();
        assert!(pipeline.file == file && pipeline.plugins == plugins);
        assert_eq!(catalog.versions(&a, &views).await.unwrap()[0].author, strange);
        assert!(
            !catalog
                .apply(&a, &views, file, &plugins, "me", None)
                .await
                .unwrap()
                .is_changed
        );
    }
}

pub(crate) async fn what_cannot_be_kept_is_refused(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views) = (name("a"), name("views"));
    let none = BTreeMap::new();
    let operator = |text: &str| BTreeMap::from([(text.to_owned(), plugin(1).digest)]);
    let many: BTreeMap<_, _> = (0..257).map(|n| (n.to_string(), plugin(1).digest)).collect();
    let large = "x".repeat((1 << 20) + 1);
    for (file, plugins, author, kind) in [
        ("a\0b", &none, "me", ProblemKind::Invalid),
        ("x", &none, "m\0", ProblemKind::Invalid),
        ("x", &operator("\0"), "me", ProblemKind::Invalid),
        ("x", &many, "me", ProblemKind::Invalid),
        (large.as_str(), &none, "me", ProblemKind::TooLarge),
        ("x", &operator(&large), "me", ProblemKind::TooLarge),
    ] {
        let refused = catalog
            .apply(&a, &views, file, plugins, author, None)
            .await
            .unwrap_err();
        assert_eq!(refused.kind, kind, "{refused}");
        assert!(refused.to_string().len() < 500);
    }
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap(), None);
}

pub(crate) async fn no_apply_of_many_at_once_is_lost(place: &Place) {
    const TASKS: i64 = 20;
    let catalog = with_tenants(place, &["a"]).await;
    let a = name("a");
    let tasks: Vec<_> = (0..TASKS)
        .map(|number| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                let own = format!("own-{number}");
                let own = apply(&catalog, &own, "x", None).await.unwrap();
                let shared = apply(&catalog, "shared", &number.to_string(), None).await.unwrap();
                assert!(own.is_new && shared.is_changed);
                [own.revision, shared.revision]
            })
        })
        .collect();
    let mut revisions = Vec::new();
    for task in tasks {
        revisions.extend(task.await.unwrap());
    }
    revisions.sort_unstable();
    assert_eq!(revisions, (1..=2 * TASKS).collect::<Vec<_>>());
    assert_eq!(catalog.pipelines(&a, None, 100).await.unwrap().len(), 21);
    let versions = catalog.versions(&a, &name("shared")).await.unwrap();
    let numbers: Vec<i64> = versions.iter().rev().map(|version| version.version).collect();
    assert_eq!(numbers, (1..=TASKS).collect::<Vec<_>>());
    let mut files: Vec<i64> = versions.iter().map(|version| version.file.parse().unwrap()).collect();
    files.sort_unstable();
    assert_eq!(files, (0..TASKS).collect::<Vec<_>>());
}

pub(crate) async fn one_of_many_with_the_same_expectation_wins(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    for round in 0..3 {
        let seen = match catalog.pipeline(&name("a"), &name("views")).await.unwrap() {
            Some(pipeline) => pipeline.revision,
            None => 0,
        };
        let tasks: Vec<_> = (0..20)
            .map(|number| {
                let catalog = catalog.clone();
                let file = format!("{round}: {number}");
                tokio::spawn(async move { apply(&catalog, "views", &file, Some(seen)).await })
            })
            .collect();
        let mut winners = 0;
        for task in tasks {
            match task.await.unwrap() {
                Ok(_) => winners += 1,
                Err(refused) => assert_eq!(refused.kind, ProblemKind::Changed, "{refused}"),
            }
        }
        assert_eq!(winners, 1);
    }
}
