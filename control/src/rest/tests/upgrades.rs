//! Upgrades, what takes them back, and daemons that die in their midst.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use axum::http::{Method, StatusCode, header};
use serde_json::{Value, json};

use super::daemon::{json_request, name};
use super::mortal::{FILE, Mortal, VIEWS};
use super::program::outputs;

/// The arguments with which processes were started are in nobody's log; the starts that they led to are.
fn starts(home: &Path) -> Vec<String> {
    let log = std::fs::read_to_string(home.join("log.jsonl")).unwrap();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let origins = lines.filter(|line| line["event"] == "start");
    origins
        .map(|line| line["origin"].as_str().unwrap().split('-').next().unwrap().to_owned())
        .collect()
}

#[test]
fn a_version_with_the_same_state_goes_on_at_the_last_commit_and_stays() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    let asked = mortal.upgrade("two store=a", &json!({ "watch-seconds": 2 }));
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{asked:?}");
    assert_eq!(
        (&asked.json()["version"], &asked.json()["state"]),
        (&2.into(), &"same".into())
    );
    mortal.until_running(2);
    mortal.until("it is watched", |mortal| {
        let status = mortal.status();
        let reason = status["reason"].as_str().unwrap();
        reason.starts_with("upgrade to version 2 is watched until ")
    });
    let done = mortal.until_phase("done");
    assert!(done["savepoint"].as_str().unwrap().starts_with("before-2-"), "{done}");
    let phases: Vec<&Value> = done["history"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| &entry["phase"])
        .collect();
    assert_eq!(phases, ["swapping", "watched", "done"]);
    mortal.until("the note is gone", |mortal| mortal.status()["reason"] == "");
    mortal.is_exact();
    assert_eq!(starts(&mortal.home()), ["committed", "committed"]);
    // The same again changes nothing.
    let again = mortal.upgrade("two store=a", &json!({}));
    assert_eq!(
        (again.status, &again.json()["is-changed"]),
        (StatusCode::OK, &false.into())
    );
    assert_eq!(mortal.versions(), 2);
}

#[test]
fn a_version_with_other_state_begins_from_the_savepoint_once() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    let asked = mortal.upgrade("two store=a store=b", &json!({ "watch-seconds": 3 }));
    assert_eq!(asked.json()["state"], "restored", "{asked:?}");
    mortal.until_running(2);
    mortal.is_exact();
    let begun = mortal.until_phase("done");
    assert_eq!(begun["to-begin"], Value::Null);
    // It is started again by somebody, and goes on where it was.
    for verb in ["pause", "resume"] {
        mortal.tell(Method::POST, &format!("{VIEWS}/{verb}"), &Value::Null);
        let state = if verb == "pause" { "paused" } else { "running" };
        mortal.until(state, |mortal| mortal.status()["state"] == state);
    }
    mortal.is_exact();
    assert_eq!(starts(&mortal.home()), ["committed", "savepoint before", "committed"]);
}

#[test]
fn what_the_state_does_not_fit_is_refused_and_a_dry_run_changes_nothing() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    let refused = mortal.upgrade("two", &json!({}));
    assert_eq!(
        (refused.kind().as_str(), refused.status),
        ("plugin-refused", StatusCode::UNPROCESSABLE_ENTITY)
    );
    assert!(
        refused.json()["detail"].as_str().unwrap().contains("store `a`"),
        "{refused:?}"
    );
    let allowed = mortal.upgrade("two", &json!({ "allow-dropped-state": true, "dry-run": true }));
    let allowed = allowed.json();
    assert_eq!(
        (&allowed["state"], &allowed["stores"][0]["fate"]),
        (&"dropped".into(), &"dropped".into())
    );
    assert!(allowed["difference"].as_array().unwrap().len() >= 2, "{allowed}");
    assert_eq!(
        mortal.upgrade("two", &json!({ "watch-seconds": 86_401 })).kind(),
        "invalid"
    );
    assert_eq!(mortal.versions(), 1);
    assert_eq!(mortal.status()["version"], 1);
    mortal.is_exact();
    mortal.apply("three store=changed");
    let lost = mortal.upgrade("four store=changed", &json!({ "allow-dropped-state": true }));
    assert_eq!(lost.kind(), "plugin-refused", "what cannot be read is not dropped");
}

#[test]
fn a_version_that_fails_is_taken_back_by_itself() {
    for (says, more) in [("traps", "failed"), ("dies", "restarted 2 times")] {
        let mortal = Mortal::new();
        mortal.apply("one store=a");
        mortal.until_running(1);
        assert_eq!(
            mortal.upgrade(&format!("{says} store=a"), &json!({})).status,
            StatusCode::ACCEPTED
        );
        let back = mortal.until_phase("taken-back");
        assert_eq!(back["back-version"], 3, "{back}");
        mortal.until_running(3);
        let reason = mortal.status()["reason"].as_str().unwrap().to_owned();
        assert!(
            reason.contains("version 2 was taken back at ") && reason.contains(more),
            "{reason}"
        );
        mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
        mortal.is_exact();
        let versions = mortal.get(&format!("{VIEWS}/versions"));
        assert_eq!(versions["items"][0]["plugins"], versions["items"][2]["plugins"]);
        assert_eq!(versions["items"][0]["author"], "sandbar");
        let taken = mortal.audit().iter().filter(|entry| *entry == "take-back ok").count();
        assert_eq!(taken, 1);
        // Whoever goes back from here does not meet the version that failed.
        assert_eq!(
            mortal
                .tell(Method::POST, &format!("{VIEWS}/rollback"), &json!({}))
                .kind(),
            "conflict"
        );
    }
}

#[test]
fn what_a_version_put_out_before_it_failed_is_told() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    mortal.upgrade("late traps store=a", &json!({}));
    mortal.until_phase("taken-back");
    mortal.until_running(3);
    let text = mortal.status()["reason"].as_str().unwrap().to_owned();
    assert!(
        text.contains("stay in their topics") && text.contains("from its savepoint"),
        "{text}"
    );
    // Five numbers are there twice: those of the version that failed, and those of the one that came back.
    let before = outputs(&mortal.home()).len();
    mortal.until("it puts out", |mortal| outputs(&mortal.home()).len() > before);
    let mut counts: BTreeMap<u64, u32> = BTreeMap::new();
    outputs(&mortal.home())
        .into_iter()
        .for_each(|number| *counts.entry(number).or_default() += 1);
    assert_eq!(counts.values().filter(|count| **count == 2).count(), 5, "{counts:?}");
    assert!(counts.keys().copied().eq(0..counts.len() as u64) && counts.values().all(|count| *count <= 2));
}

#[test]
fn without_a_savepoint_the_version_before_goes_on() {
    let mortal = Mortal::new();
    mortal.apply("full store=a");
    mortal.until_running(1);
    mortal.upgrade("two store=a", &json!({}));
    let back = mortal.until_phase("taken-back");
    assert!(back.to_string().contains("the disk is full"), "{back}");
    mortal.until_running(3);
    mortal.is_exact();
    assert_eq!(
        starts(&mortal.home()),
        ["committed", "committed"],
        "version 2 never ran"
    );
}

#[test]
fn what_is_paused_is_saved_and_changed() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    mortal.tell(Method::POST, &format!("{VIEWS}/pause"), &Value::Null);
    mortal.until("it pauses", |mortal| mortal.status()["state"] == "paused");
    mortal.upgrade("two store=a store=b", &json!({}));
    let done = mortal.until_phase("done");
    assert!(done["savepoint"].is_string() && done["to-begin"] == 2, "{done}");
    assert_eq!(mortal.status()["state"], "paused");
    mortal.tell(Method::POST, &format!("{VIEWS}/resume"), &Value::Null);
    mortal.until_running(2);
    mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
    mortal.is_exact();
}

#[test]
fn the_newest_word_counts() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    mortal.upgrade("two store=a", &json!({}));
    mortal.until_phase("watched");
    let body = json!({ "file": FILE, "plugins": { "count": mortal.plugin("three store=a") } });
    let applied = mortal.tell(Method::PUT, VIEWS, &body).json();
    assert_eq!((&applied["version"], &applied["overtaken"]), (&3.into(), &2.into()));
    assert_eq!(mortal.now()["phase"], "overtaken");
    mortal.until_running(3);
    assert_eq!(mortal.status()["reason"], "");
    mortal.is_exact();
    let tag = |tag: &str| {
        let body = json!({ "plugins": { "count": mortal.plugin("four store=a") } });
        let mut request = json_request(
            &Method::POST,
            &format!("{VIEWS}/upgrade"),
            &mortal.token,
            body.to_string(),
        );
        request.headers_mut().insert(header::IF_MATCH, tag.parse().unwrap());
        mortal.wait(move |daemon| Box::pin(daemon.send(request)))
    };
    assert_eq!(tag("\"1\"").kind(), "changed");
    let revision = mortal.get(VIEWS)["pipeline"]["revision"].as_i64().unwrap();
    assert_eq!(tag(&format!("\"{revision}\"")).status, StatusCode::ACCEPTED);
}

#[test]
fn a_way_back_is_a_new_version_that_goes_on_or_begins_from_the_savepoint() {
    let mortal = Mortal::new();
    let back = |body: &Value| mortal.tell(Method::POST, &format!("{VIEWS}/rollback"), body);
    mortal.apply("one store=a");
    mortal.until_running(1);
    assert_eq!(back(&json!({})).kind(), "conflict");
    assert_eq!(back(&json!({ "to": 7 })).kind(), "not-found");
    mortal.upgrade("two store=a", &json!({ "watch-seconds": 0 }));
    mortal.until_phase("done");
    mortal.until_running(2);
    let dry = back(&json!({ "dry-run": true })).json();
    assert_eq!(
        (&dry["version"], &dry["begins"]),
        (&3.into(), &"at the last commit".into())
    );
    assert_eq!(back(&json!({})).status, StatusCode::ACCEPTED);
    mortal.until_running(3);
    mortal.is_exact();
    // To a version that is not the one before: an upgrade to what it was.
    assert_eq!(back(&json!({ "to": 2 })).status, StatusCode::ACCEPTED);
    mortal.until_running(4);
    mortal.is_exact();
    // Another file is no other state.
    let file = format!("{FILE}# a comment\n");
    let changed = mortal.upgrade("two store=a", &json!({ "file": file, "watch-seconds": 0 }));
    assert_eq!(
        changed.json()["begins"],
        "at a savepoint of the last commit",
        "{changed:?}"
    );
    mortal.until_running(5);
    mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
    assert_eq!(back(&json!({ "dry-run": true })).json()["begins"], "at the last commit");
    assert_eq!(back(&json!({})).status, StatusCode::ACCEPTED);
    mortal.until_running(6);
    mortal.is_exact();
    mortal.upgrade("three store=a store=b", &json!({ "watch-seconds": 0 }));
    mortal.until_running(7);
    mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
    mortal.is_exact();
    let dry = back(&json!({ "dry-run": true }));
    assert!(
        dry.json()["begins"].as_str().unwrap().contains("is read again"),
        "{dry:?}"
    );
    assert_eq!(back(&json!({})).status, StatusCode::ACCEPTED);
    mortal.until_running(8);
    mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
    assert_eq!(starts(&mortal.home()).last().unwrap(), "savepoint before");
    assert!(
        mortal.audit().iter().all(|entry| entry != "take-back ok"),
        "somebody asked for it"
    );
    let newest = mortal.now()["savepoint"].as_str().unwrap().to_owned();
    mortal.until("the newest savepoint is the only one", |mortal| {
        let left = std::fs::read_dir(mortal.home().join("savepoints")).unwrap().flatten();
        left.map(|file| file.file_name().into_string().unwrap())
            .eq([newest.clone()])
    });
}

/// A daemon dies so long after the upgrade was asked for, and begins again.
fn dies_after(says: &str, delay: Duration) -> Mortal {
    let mut mortal = Mortal::new();
    mortal.apply("slow store=a");
    mortal.until_running(1);
    mortal.is_exact();
    mortal.upgrade(says, &json!({ "watch-seconds": 2 }));
    std::thread::sleep(delay);
    mortal.die();
    std::thread::sleep(delay / 4);
    mortal.begin();
    mortal
}

fn a_death_is_survived(millis: u64) {
    for says in ["two store=a", "two store=a store=b"] {
        let mortal = dies_after(says, Duration::from_millis(millis));
        let done = mortal.until_phase("done");
        assert_eq!(done["to-version"], 2, "after {millis} ms: {done}");
        mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
        mortal.until_running(2);
        mortal.is_exact();
    }
    let mortal = dies_after("traps store=a store=b", Duration::from_millis(millis));
    mortal.until_phase("taken-back");
    mortal.until("it began", |mortal| mortal.now()["to-begin"] == Value::Null);
    mortal.until_running(3);
    mortal.is_exact();
    let taken = mortal.audit().iter().filter(|entry| *entry == "take-back ok").count();
    assert_eq!(taken, 1, "after {millis} ms");
}

#[test]
fn a_daemon_that_dies_in_the_midst_goes_on_where_it_was() {
    std::thread::scope(|scope| {
        for millis in [0, 60, 150, 300, 600, 900, 1500, 2500] {
            scope.spawn(move || a_death_is_survived(millis));
        }
    });
}

#[test]
fn a_deleted_pipeline_has_no_upgrade() {
    let mortal = Mortal::new();
    mortal.apply("one store=a");
    mortal.until_running(1);
    mortal.upgrade("two store=a", &json!({}));
    let (path, token) = (VIEWS.to_owned(), mortal.token.clone());
    let gone =
        mortal.wait(move |daemon| Box::pin(async move { daemon.ask(&Method::DELETE, &path, Some(&token)).await }));
    assert_eq!(gone.status, StatusCode::NO_CONTENT);
    let of_none =
        mortal.wait(|daemon| Box::pin(async { daemon.catalog.upgrade(&name("alpha"), &name("views")).await }));
    assert_eq!(of_none.unwrap(), None);
}
