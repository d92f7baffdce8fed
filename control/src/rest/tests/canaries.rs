//! Canaries: what comes of them, what ends them, and that the version that runs is not touched.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

use super::mortal::{Mortal, VIEWS};
use crate::model::Role;

/// A pipeline that runs, and put something out.
fn running() -> Mortal {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    mortal.is_exact();
    mortal
}

fn canary(mortal: &Mortal, says: &str) {
    let asked = mortal.upgrade(says, &json!({ "canary-seconds": 1, "watch-seconds": 0 }));
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let plan = asked.json();
    assert_eq!(
        (&plan["version"], &plan["canary-seconds"]),
        (&2.into(), &1.into()),
        "{plan}"
    );
}

fn decide(mortal: &Mortal, how: &str) -> (StatusCode, Value) {
    let answer = mortal.tell(Method::POST, &format!("{VIEWS}/upgrade/{how}"), &Value::Null);
    (answer.status, answer.json())
}

/// Nothing of it is on the disk.
fn is_gone(mortal: &Mortal) {
    let canaries = mortal.home().parent().unwrap().parent().unwrap().join("canaries/views");
    mortal.until("nothing is left", |_| !canaries.exists());
}

fn phases(upgrade: &Value) -> Vec<&str> {
    let all = upgrade["history"].as_array().unwrap().iter();
    all.map(|entry| entry["phase"].as_str().unwrap()).collect()
}

#[test]
fn a_version_that_does_the_same_takes_over_by_itself() {
    let mortal = running();
    canary(&mortal, "two store=a");
    let under_way = mortal.now();
    assert_eq!(
        (&under_way["phase"], mortal.versions()),
        (&"canary".into(), 1),
        "{under_way}"
    );
    mortal.until("it is told", |mortal| {
        let reason = mortal.status()["reason"].as_str().unwrap().to_owned();
        reason.starts_with("canary: version 2 is compared with this one on the records until ")
    });
    let done = mortal.until_phase("done");
    assert_eq!(phases(&done), ["canary", "swapping", "done"], "{done}");
    let report = &done["canary"]["report"];
    assert_eq!((&report["keys"], &report["same"]), (&10.into(), &10.into()), "{report}");
    let records = report["old"]["records"].as_u64().unwrap();
    assert!(records > 10 && report["new"]["records"] == records, "{report}");
    assert_eq!(
        (&report["old"]["outputs"], &report["new"]["outputs"]),
        (&records.into(), &records.into())
    );
    mortal.until_running(2);
    mortal.is_exact();
    is_gone(&mortal);
    assert!(
        mortal.audit().contains(&"promote ok".to_owned()),
        "{:?}",
        mortal.audit()
    );
}

#[test]
fn a_version_that_differs_waits_for_a_decision_with_the_key_that_does() {
    let mortal = running();
    canary(&mortal, "differs store=a");
    assert_eq!(
        decide(&mortal, "promote").0,
        StatusCode::CONFLICT,
        "it is not compared yet"
    );
    let asks = mortal.until_phase("compared");
    let report = &asks["canary"]["report"];
    assert_eq!(
        (&report["same"], &report["differing"]),
        (&9.into(), &1.into()),
        "{report}"
    );
    let shown = &report["shown"][0];
    assert_eq!(
        (&shown["key"], &shown["fate"], &shown["output"]),
        (&"\"key-7\"".into(), &"differs".into(), &1.into())
    );
    for (role, shown) in [(Role::Viewer, 0), (Role::Author, 0), (Role::Operator, 1)] {
        let seen = mortal.wait(move |daemon| {
            Box::pin(async move {
                let token = daemon.token(Some("alpha"), role).await;
                daemon.get(&format!("{VIEWS}/upgrade"), &token).await.json()
            })
        });
        let seen = &seen["canary"]["report"];
        assert_eq!(
            seen["shown"].as_array().unwrap().len(),
            shown,
            "{role:?} sees records: {seen}"
        );
        assert_eq!(seen["differing"], 1, "{role:?} sees figures");
    }
    mortal.until("it is told", |mortal| {
        let reason = mortal.status()["reason"].as_str().unwrap().to_owned();
        reason.contains("1 of 10 keys differ") && reason.contains("--promote")
    });
    mortal.is_exact();
    is_gone(&mortal);
    let (status, dropped) = decide(&mortal, "drop");
    assert_eq!(
        (status, &dropped["phase"]),
        (StatusCode::OK, &"dropped".into()),
        "{dropped}"
    );
    let of_catalog = &dropped["canary"]["report"];
    assert_eq!(
        (&of_catalog["differing"], &of_catalog["shown"]),
        (&1.into(), &serde_json::json!([])),
        "the catalog keeps no record"
    );
    assert_eq!((mortal.versions(), &mortal.status()["version"]), (1, &1.into()));
    assert_eq!(decide(&mortal, "promote").0, StatusCode::CONFLICT);
    mortal.until("nothing is said of it", |mortal| mortal.status()["reason"] == "");
    canary(&mortal, "differs store=a store=b");
    mortal.until_phase("compared");
    let (status, promoted) = decide(&mortal, "promote");
    assert_eq!(
        (status, &promoted["phase"]),
        (StatusCode::ACCEPTED, &"swapping".into()),
        "{promoted}"
    );
    mortal.until_running(2);
    mortal.until_phase("done");
    mortal.is_exact();
}

#[test]
fn a_canary_does_not_end_an_upgrade_that_is_under_way() {
    let mortal = running();
    let asked = mortal.upgrade("two store=a", &json!({ "watch-seconds": 120 }));
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    let refused = mortal.upgrade("three store=a", &json!({ "canary-seconds": 1 }));
    assert_eq!(refused.status, StatusCode::CONFLICT, "{refused:?}");
    mortal.until_phase("watched");
}

#[test]
fn a_version_that_traps_is_dropped_and_the_one_that_runs_does_not_notice() {
    let mortal = running();
    let pid = mortal.status()["pid"].clone();
    canary(&mortal, "traps store=a");
    let dropped = mortal.until_phase("dropped");
    let why = dropped["history"][1]["why"].as_str().unwrap().to_owned();
    assert!(
        why.contains("version 2 did not come to the end of the records") && why.contains("trapped"),
        "{why}"
    );
    assert_eq!(mortal.status()["pid"], pid);
    mortal.is_exact();
    is_gone(&mortal);
    // The number is another version's now: nothing of what was dropped counts for that.
    mortal.apply("two store=a");
    mortal.until_running(2);
    let back = mortal.tell(Method::POST, &format!("{VIEWS}/rollback"), &json!({}));
    assert_eq!(
        (back.status, &back.json()["version"]),
        (StatusCode::ACCEPTED, &3.into()),
        "{back:?}"
    );
    mortal.until_running(3);
    mortal.is_exact();
}

#[test]
fn what_is_applied_meanwhile_ends_a_canary_and_what_cannot_be_one_is_refused() {
    let mortal = running();
    canary(&mortal, "slow two store=a");
    mortal.apply("three store=a");
    assert_eq!(mortal.now()["phase"], "overtaken");
    mortal.until_running(2);
    is_gone(&mortal);
    mortal.is_exact();
    let long = mortal.upgrade("four store=a", &json!({ "canary-seconds": 86_401 }));
    assert_eq!(long.kind(), "invalid");
    mortal.tell(Method::POST, &format!("{VIEWS}/pause"), &Value::Null);
    mortal.until("it pauses", |mortal| mortal.status()["state"] == "paused");
    let paused = mortal.upgrade("four store=a", &json!({ "canary-seconds": 1 }));
    assert_eq!(paused.kind(), "conflict", "{paused:?}");
    mortal.tell(Method::POST, &format!("{VIEWS}/resume"), &Value::Null);
    mortal.until_running(2);
    mortal.upgrade("five store=a", &json!({ "canary-seconds": 9 }));
    mortal.until("it began", |mortal| {
        let tenant = mortal.home();
        let canaries = tenant
            .parent()
            .unwrap()
            .parent()
            .unwrap()
            .join("canaries/views/begin.json");
        canaries.exists()
    });
    assert_eq!(decide(&mortal, "drop").0, StatusCode::OK, "whenever somebody wants it");
    is_gone(&mortal);
    assert_eq!(mortal.versions(), 2);
}

#[test]
fn a_daemon_that_dies_in_a_canary_goes_on_with_it() {
    for at in [0, 200, 700, 1100, 1400, 1800] {
        let mut mortal = running();
        canary(&mortal, "slow two store=a");
        std::thread::sleep(Duration::from_millis(at));
        mortal.die();
        mortal.begin();
        let done = mortal.until_phase("done");
        assert_eq!(phases(&done), ["canary", "swapping", "done"], "{at}: {done}");
        let report = &done["canary"]["report"];
        assert_eq!(
            (&report["keys"], &report["same"]),
            (&10.into(), &10.into()),
            "{at}: {report}"
        );
        mortal.until_running(2);
        mortal.is_exact();
        is_gone(&mortal);
    }
}

#[test]
fn a_pipeline_that_is_deleted_leaves_nothing_of_its_canary() {
    let mortal = running();
    canary(&mortal, "slow two store=a");
    mortal.until("it began", |mortal| mortal.now()["phase"] == "canary");
    let canaries = mortal.home().parent().unwrap().parent().unwrap().join("canaries/views");
    let answer = mortal.tell(Method::DELETE, VIEWS, &Value::Null);
    assert!(answer.status.is_success(), "{answer:?}");
    let end = tokio::time::Instant::now() + Duration::from_secs(60);
    while canaries.exists() {
        assert!(tokio::time::Instant::now() < end, "it is still there");
        std::thread::sleep(Duration::from_millis(20));
    }
}
