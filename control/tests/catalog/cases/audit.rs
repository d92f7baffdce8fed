//! The audit log.

use sandbar_control::AuditEntry;

use crate::place::{Place, name, with_tenants};

pub(crate) async fn the_audit_log_has_no_gap(place: &Place) {
    let catalog = with_tenants(place, &[]).await;
    let tasks: Vec<_> = (0..40)
        .map(|number| {
            let catalog = catalog.clone();
            tokio::spawn(async move {
                let tenant = name(["a", "b"][number % 2]);
                let tenant = (number >= 10).then_some(&tenant);
                let object = format!("pipelines/{number}");
                catalog
                    .note(7, tenant, "id", "apply", &object, "ok", "127.0.0.1:1")
                    .await
                    .unwrap();
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let all = catalog.audit(None, 0, 100).await.unwrap();
    let numbers: Vec<i64> = all.iter().map(|entry| entry.number).collect();
    assert_eq!(numbers, (1..=40).collect::<Vec<i64>>());
    let mut objects: Vec<_> = all.iter().map(|entry| entry.object.clone()).collect();
    objects.sort();
    objects.dedup();
    assert_eq!(objects.len(), 40);
    let of_a = catalog.audit(Some(&name("a")), 0, 100).await.unwrap();
    assert_eq!(of_a.len(), 15);
    assert!(of_a.iter().all(|entry| entry.tenant == Some(name("a"))));
    assert_eq!(catalog.audit(None, 38, 100).await.unwrap().len(), 2);
    assert_eq!(catalog.audit(None, -5, 3).await.unwrap().len(), 3);
    assert!(catalog.audit(None, i64::MAX, 3).await.unwrap().is_empty());
}

pub(crate) async fn the_audit_log_takes_every_text(place: &Place) {
    let catalog = with_tenants(place, &[]).await;
    let long = "ü".repeat(1 << 19);
    catalog
        .note(i64::MIN, None, "", "'\";--", "a\0b", &long, "\u{1f980}\n")
        .await
        .unwrap();
    let entry = AuditEntry {
        number: 1,
        at: i64::MIN,
        tenant: None,
        who: String::new(),
        verb: "'\";--".to_owned(),
        object: "a\\0b".to_owned(),
        result: format!("{}…", "ü".repeat(500)),
        from: "\u{1f980}\n".to_owned(),
    };
    assert_eq!(catalog.audit(None, 0, 10).await.unwrap(), [entry]);
}
