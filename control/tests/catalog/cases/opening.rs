//! Opening, again, at once, and what cannot be opened.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::time::Duration;

use sandbar_control::{Catalog, ProblemKind, Role, Wanted};

use crate::place::{Place, name, plugin, text, with_tenants};
use crate::server::Server;

pub(crate) async fn all_is_there_after_a_restart(place: &Place) {
    let (a, views) = (name("a"), name("views"));
    let catalog = with_tenants(place, &["a"]).await;
    let token = catalog.create_token(Some(&a), Role::Author, "", None).await.unwrap();
    let revoked = catalog.create_token(Some(&a), Role::Author, "", None).await.unwrap();
    catalog.revoke(Some(&a), &revoked.id).await.unwrap();
    catalog.add_plugin(&a, &plugin(1)).await.unwrap();
    let plugins = BTreeMap::from([("count".to_owned(), plugin(1).digest)]);
    catalog.apply(&a, &views, "x", &plugins, "me", None).await.unwrap();
    catalog.want(&a, &views, Wanted::Paused).await.unwrap();
    catalog
        .note(1, Some(&a), "id", "apply", "pipelines/views", "ok", "")
        .await
        .unwrap();
    let before = catalog.pipeline(&a, &views).await.unwrap();
    // Without a close, as after a kill.
    drop(catalog);

    let catalog = place.open().await;
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap(), before);
    assert_eq!(catalog.all_pipelines().await.unwrap().len(), 1);
    assert_eq!(
        catalog.identify(&token.token).await.unwrap().unwrap().role,
        Role::Author
    );
    assert_eq!(catalog.identify(&revoked.token).await.unwrap(), None);
    assert_eq!(catalog.plugins(&a, None, 9).await.unwrap(), [plugin(1)]);
    catalog
        .note(2, Some(&a), "id", "apply", "pipelines/views", "ok", "")
        .await
        .unwrap();
    let numbers: Vec<_> = catalog
        .audit(None, 0, 9)
        .await
        .unwrap()
        .iter()
        .map(|e| e.number)
        .collect();
    assert_eq!(numbers, [1, 2]);
    let again = catalog.apply(&a, &views, "y", &plugins, "me", None).await.unwrap();
    assert_eq!((again.version, again.revision), (2, 3));
}

pub(crate) async fn many_open_at_once(place: &Place) {
    let tasks: Vec<_> = (0..6)
        .map(|number| {
            let url = place.url().to_owned();
            tokio::spawn(async move {
                let catalog = Catalog::open(&url).await.unwrap();
                assert!(catalog.create_tenant(&name(&format!("t{number}"))).await.unwrap());
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(place.open().await.tenants(None, 10).await.unwrap().len(), 6);
}

pub(crate) async fn a_newer_schema_is_refused_by_name(place: &Place) {
    with_tenants(place, &["a"]).await.close().await;
    place
        .meddle("INSERT INTO schema_steps (version, name, done) VALUES (5, 'secrets', 0)")
        .await;
    let refused = Catalog::open(place.url()).await.unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Conflict);
    for part in [
        "version 5 (\"secrets\")",
        "up to version 4 (\"signatures\")",
        "newer sandbar",
    ] {
        assert!(refused.to_string().contains(part), "{refused}");
    }
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
    place.meddle("DELETE FROM schema_steps WHERE version = 5").await;
    assert_eq!(place.open().await.tenants(None, 10).await.unwrap().len(), 1);
}

pub(crate) async fn a_catalog_of_a_step_before_is_brought_up_to_date(place: &Place) {
    let (a, views) = (name("a"), name("views"));
    let catalog = with_tenants(place, &["a"]).await;
    catalog
        .apply(&a, &views, "x", &BTreeMap::new(), "me", None)
        .await
        .unwrap();
    catalog.close().await;
    // As the first version left it.
    place
        .meddle(
            "ALTER TABLE tenants DROP COLUMN reads; ALTER TABLE tenants DROP COLUMN writes; \
             ALTER TABLE tenants DROP COLUMN quotas; DROP TABLE secrets; DROP TABLE sealing; DROP TABLE clusters; \
             DROP TABLE usage; DROP TABLE upgrades; DROP TABLE signing_keys; DROP TABLE plugin_signatures; \
             ALTER TABLE tenants DROP COLUMN signatures_required; DELETE FROM schema_steps WHERE version > 1",
        )
        .await;
    let catalog = place.open_sealed().await;
    assert_eq!(catalog.pipeline(&a, &views).await.unwrap().unwrap().file, "x");
    assert_eq!(catalog.tenant(&a).await.unwrap().unwrap().reads, None);
    assert!(catalog.set_secret(&a, &views, &text("hunter2"), "me").await.unwrap());
    assert_eq!(catalog.means(&a).await.unwrap().secrets["views"].reveal(), "hunter2");
}

pub(crate) async fn what_others_wrote_wrongly_is_named(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let (a, views) = (name("a"), name("views"));
    catalog
        .apply(&a, &views, "x", &BTreeMap::new(), "me", None)
        .await
        .unwrap();
    for (text, part) in [
        ("UPDATE pipelines SET wanted = 'flying'", "flying"),
        (
            "UPDATE pipelines SET wanted = 'running'; UPDATE versions SET plugins = '{\"x\": \"../y\"}'",
            "../y",
        ),
    ] {
        place.meddle(text).await;
        let refused = catalog.pipeline(&a, &views).await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Failed);
        assert!(refused.to_string().contains(part), "{refused}");
    }
}

pub(crate) async fn a_writer_of_another_process_is_waited_for(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let beside = place.beside().await;
    let mut other = beside.begin_with("BEGIN IMMEDIATE").await.unwrap();
    sqlx::query("UPDATE tenants SET created = 1")
        .execute(&mut *other)
        .await
        .unwrap();
    let (a, views) = (name("a"), name("views"));
    let waiting = {
        let catalog = catalog.clone();
        let (a, views) = (a.clone(), views.clone());
        tokio::spawn(async move { catalog.apply(&a, &views, "x", &BTreeMap::new(), "me", None).await })
    };
    tokio::time::sleep(Duration::from_millis(700)).await;
    assert!(!waiting.is_finished());
    // Who only reads does not wait, and sees what was.
    assert_ne!(catalog.tenant(&a).await.unwrap().unwrap().created, 1);
    other.commit().await.unwrap();
    assert!(waiting.await.unwrap().unwrap().is_new);
    assert_eq!(catalog.tenant(&a).await.unwrap().unwrap().created, 1);
}

pub(crate) async fn the_file_is_for_one_user_alone(place: &Place) {
    let catalog = with_tenants(place, &["a"]).await;
    let files = place.files();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        let mode = std::fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    drop(catalog);
}

pub(crate) async fn what_cannot_be_opened_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let junk = folder.path().join("junk.db");
    std::fs::write(&junk, "no database ".repeat(1000)).unwrap();
    let missing = folder.path().join("none/catalog.db");
    for (path, part) in [(&junk, "not a database"), (&missing, "No such file")] {
        let refused = Catalog::open(&format!("sqlite:{}", path.display())).await.unwrap_err();
        assert_eq!(refused.kind, ProblemKind::Failed, "{refused}");
        assert!(refused.to_string().contains(part), "{refused}");
        assert!(refused.to_string().contains(&path.display().to_string()), "{refused}");
    }
    // Nothing listens at port 1.
    let refused = Catalog::open("postgres://me:hunter2@127.0.0.1:1/sandbar")
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ProblemKind::Unavailable, "{refused}");
    assert!(refused.to_string().contains("Connection refused"), "{refused}");
    assert!(!refused.to_string().contains("hunter2"), "{refused}");
}

pub(crate) async fn a_server_that_comes_back_is_found_again(mut server: Server) {
    let place = server.place("catalog").await;
    let catalog = with_tenants(&place, &["a"]).await;
    let wrong = Catalog::open(&server.url("catalog", "swordfish")).await.unwrap_err();
    assert!(wrong.to_string().contains("password authentication failed"), "{wrong}");
    assert!(!wrong.to_string().contains("swordfish"), "{wrong}");
    server.stop();
    let away = catalog.tenant(&name("a")).await.unwrap_err();
    assert_eq!(away.kind, ProblemKind::Unavailable, "{away}");
    assert!(!format!("{away:?} {catalog:?}").contains("hunter2"));
    server.run().await;
    assert!(catalog.tenant(&name("a")).await.unwrap().is_some());
    catalog.close().await;
}
