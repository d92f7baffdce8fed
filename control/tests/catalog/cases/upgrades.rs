//! Upgrades, phase by phase.

use std::collections::BTreeMap;

use sandbar_control::{Applied, Catalog, PipelineUpgrade, ProblemKind, TakeBackOrder, UpgradeOrder, UpgradePhase};

use crate::place::{Place, name, with_tenants};

async fn with_a_pipeline(place: &Place) -> Catalog {
    let catalog = with_tenants(place, &["a"]).await;
    apply(&catalog, "one").await;
    catalog
}

async fn apply(catalog: &Catalog, file: &str) -> Applied {
    let (a, views) = (name("a"), name("views"));
    catalog
        .apply(&a, &views, file, &BTreeMap::new(), "me", None)
        .await
        .unwrap()
}

async fn begin(catalog: &Catalog, file: &str, changes_state: bool) -> sandbar_control::Result<Applied> {
    let order = UpgradeOrder {
        file,
        plugins: &BTreeMap::new(),
        author: "me",
        expected: None,
        watch_seconds: 9,
        saves: true,
        changes_state,
        canary_seconds: None,
        drops_state: false,
        lag: Some(7),
    };
    catalog.begin_upgrade(&name("a"), &name("views"), &order).await
}

async fn newest(catalog: &Catalog) -> PipelineUpgrade {
    let (a, views) = (name("a"), name("views"));
    catalog.upgrade(&a, &views).await.unwrap().unwrap()
}

async fn change(catalog: &Catalog, number: i64, change: impl FnOnce(&mut PipelineUpgrade) -> bool + Send) -> bool {
    let (a, views) = (name("a"), name("views"));
    catalog.change_upgrade(&a, &views, number, change).await.unwrap()
}

/// The savepoint is there, and the new version was started.
async fn save_and_watch(catalog: &Catalog, number: i64) {
    let enter = |upgrade: &mut PipelineUpgrade| {
        upgrade.savepoint = upgrade.saves.take();
        upgrade.enter(UpgradePhase::Watched, 5, "it was started");
        true
    };
    assert!(change(catalog, number, enter).await);
}

async fn take_back(catalog: &Catalog, number: i64, who: Option<&str>) -> Option<Applied> {
    let order = TakeBackOrder {
        why: "it fails \0",
        who,
        from_savepoint: true,
        records_out: Some(3),
    };
    let (a, views) = (name("a"), name("views"));
    catalog.take_back(&a, &views, number, &order).await.unwrap()
}

pub(crate) async fn an_upgrade_is_kept_as_it_goes_on(place: &Place) {
    let catalog = with_a_pipeline(place).await;
    assert_eq!(catalog.upgrade(&name("a"), &name("views")).await.unwrap(), None);
    assert!(catalog.open_upgrades().await.unwrap().is_empty());
    let made = begin(&catalog, "two", true).await.unwrap();
    assert_eq!((made.version, made.is_changed, made.overtaken), (2, true, None));
    assert_eq!(
        catalog
            .pipeline(&name("a"), &name("views"))
            .await
            .unwrap()
            .unwrap()
            .file,
        "two"
    );
    assert_eq!(catalog.open_upgrades().await.unwrap(), [(name("a"), name("views"))]);
    let first = newest(&catalog).await;
    assert_eq!(
        (first.number, first.from_version, first.to_version, first.lag),
        (1, 1, 2, Some(7))
    );
    assert_eq!((first.phase, first.to_begin), (UpgradePhase::Swapping, Some(2)));
    assert!(first.saves.as_ref().unwrap().starts_with("before-2-"));
    save_and_watch(&catalog, 1).await;
    let enter = |upgrade: &mut PipelineUpgrade| {
        upgrade.to_begin = None;
        upgrade.enter(UpgradePhase::Done, 6, "");
        true
    };
    assert!(change(&catalog, 1, enter).await);
    assert!(catalog.open_upgrades().await.unwrap().is_empty());
    catalog.close().await;
    let again = newest(&place.open().await).await;
    assert_eq!((again.savepoint, again.history.len()), (first.saves, 3));
    assert_eq!(again.history[1].why, "it was started");
    let catalog = place.open().await;
    assert!(catalog.delete_pipeline(&name("a"), &name("views")).await.unwrap());
    assert_eq!(catalog.upgrade(&name("a"), &name("views")).await.unwrap(), None);
}

pub(crate) async fn a_phase_is_written_by_one(place: &Place) {
    let catalog = with_a_pipeline(place).await;
    begin(&catalog, "two", false).await.unwrap();
    let enter = |_| {
        let catalog = catalog.clone();
        tokio::spawn(async move {
            let enter = |upgrade: &mut PipelineUpgrade| {
                let is_first = upgrade.phase == UpgradePhase::Swapping;
                if is_first {
                    upgrade.enter(UpgradePhase::Watched, 1, "");
                }
                is_first
            };
            change(&catalog, 1, enter).await
        })
    };
    let mut first = 0;
    for task in (0..8).map(enter).collect::<Vec<_>>() {
        first += u32::from(task.await.unwrap());
    }
    assert_eq!((first, newest(&catalog).await.history.len()), (1, 2));
    assert!(!change(&catalog, 2, |_| true).await, "there is none of that number");
}

pub(crate) async fn an_upgrade_is_taken_back_once_and_noted(place: &Place) {
    let catalog = with_a_pipeline(place).await;
    begin(&catalog, "two", true).await.unwrap();
    save_and_watch(&catalog, 1).await;
    let back = take_back(&catalog, 1, None).await.unwrap();
    assert_eq!((back.version, back.is_changed), (3, true));
    assert_eq!(take_back(&catalog, 1, None).await, None, "it is taken back");
    let pipeline = catalog.pipeline(&name("a"), &name("views")).await.unwrap().unwrap();
    assert_eq!((pipeline.version, pipeline.file.as_str()), (3, "one"));
    let upgrade = newest(&catalog).await;
    assert_eq!(
        (upgrade.phase, upgrade.back_version),
        (UpgradePhase::TakenBack, Some(3))
    );
    assert_eq!(
        (upgrade.to_begin, upgrade.records_out, upgrade.why()),
        (Some(3), Some(3), "it fails \0")
    );
    assert_eq!(
        catalog.versions(&name("a"), &name("views")).await.unwrap()[0].author,
        "sandbar"
    );
    let audit = catalog.audit(Some(&name("a")), 0, 100).await.unwrap();
    let noted: Vec<_> = audit
        .iter()
        .map(|entry| (entry.who.as_str(), entry.verb.as_str()))
        .collect();
    assert_eq!(noted, [("sandbar", "take-back")]);
    assert_eq!(audit[0].object, "pipelines/views");
}

pub(crate) async fn the_newest_word_ends_an_upgrade(place: &Place) {
    let catalog = with_a_pipeline(place).await;
    begin(&catalog, "two", true).await.unwrap();
    assert_eq!(
        apply(&catalog, "two").await.overtaken,
        None,
        "the same is no other word"
    );
    assert_eq!(apply(&catalog, "three").await.overtaken, Some(2));
    let first = newest(&catalog).await;
    assert_eq!((first.phase, first.to_begin), (UpgradePhase::Overtaken, None));
    assert!(catalog.open_upgrades().await.unwrap().is_empty());
    assert_eq!(
        take_back(&catalog, 1, Some("me")).await,
        None,
        "another version took its place"
    );
    begin(&catalog, "four", false).await.unwrap();
    save_and_watch(&catalog, 2).await;
    assert_eq!(begin(&catalog, "five", false).await.unwrap().overtaken, Some(4));
    assert_eq!(newest(&catalog).await.number, 3);
    assert!(!change(&catalog, 2, |_| true).await, "it is not the newest any more");
    assert!(take_back(&catalog, 3, Some("me")).await.is_some());
    assert!(
        catalog.audit(None, 0, 100).await.unwrap().is_empty(),
        "whoever asks is noted elsewhere"
    );
}

pub(crate) async fn what_is_still_to_begin_is_not_upgraded(place: &Place) {
    let catalog = with_a_pipeline(place).await;
    begin(&catalog, "two", true).await.unwrap();
    save_and_watch(&catalog, 1).await;
    take_back(&catalog, 1, None).await.unwrap();
    let refused = begin(&catalog, "three", false).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    // What is applied begins there.
    apply(&catalog, "three").await;
    assert_eq!(newest(&catalog).await.to_begin, Some(3));
    assert_eq!(catalog.open_upgrades().await.unwrap().len(), 1);
    assert!(change(&catalog, 1, |upgrade| upgrade.to_begin.take().is_some()).await);
    assert!(begin(&catalog, "four", false).await.is_ok());
    catalog.delete_pipeline(&name("a"), &name("views")).await.unwrap();
    assert_eq!(
        begin(&catalog, "five", false).await.unwrap_err().kind,
        ProblemKind::NotFound
    );
}
