//! What a tenant sees of the inside of its pipelines, by a program that says what it was asked.

use std::path::Path;
use std::time::Duration;

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixListener;

use super::super::asked::Patience;
use super::daemon::{Answer, Daemon, FILE};
use crate::model::Role;

const VIEWS: &str = "/v1/tenants/alpha/pipelines/views";

/// A daemon with the pipeline `views`, and a token of an operator.
async fn with_views() -> (Daemon, String) {
    let daemon = Daemon::new().await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    assert_eq!(daemon.apply("views", &operator, FILE).await.status, StatusCode::CREATED);
    (daemon, operator)
}

/// The words that the program was called with last.
fn words(daemon: &Daemon) -> Vec<String> {
    let bytes = std::fs::read(daemon.home("views").join("words")).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    text.trim_end_matches('\0').split('\0').map(str::to_owned).collect()
}

/// Waits until a condition holds.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    for _ in 0..600 {
        if let Some(found) = look().await {
            return found;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{what}: not within 30 s");
}

async fn until_state(daemon: &Daemon, token: &str, state: &str) {
    until(state, async || {
        let status = daemon.get(&format!("{VIEWS}/status"), token).await.json();
        (status["state"] == state).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_look_answers_what_its_verb_says() {
    let (daemon, operator) = with_views().await;
    for (path, of_verb) in [
        ("positions", &["offsets", "show"][..]),
        ("checkpoints", &["checkpoint", "list"]),
        ("savepoints", &["savepoint", "list"]),
        ("state?count=true", &["state", "count"]),
        ("state?operator=o&store=s", &["state", "scan"]),
        ("dead-letters?from=earliest", &["dead-letters", "list"]),
        ("dead-letters/0-17", &["dead-letters", "show"]),
    ] {
        let answer = daemon.get(&format!("{VIEWS}/{path}"), &operator).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        let words = words(&daemon);
        assert_eq!(words[..2], *of_verb);
        assert_eq!(words[2..5], ["--granted", "-o", "json"]);
        assert!(words.windows(2).any(|pair| pair == ["--", "asked.toml"]), "{words:?}");
    }
    let get = async |path: &str| daemon.get(&format!("{VIEWS}/{path}"), &operator).await;
    assert_eq!(get("positions").await.json()["items"][0]["committed"], 7);
    assert_eq!(
        get("checkpoints").await.json()["items"],
        json!([{ "checkpoint": "c1", "bytes": 3 }])
    );
    let letters = get("dead-letters").await.text();
    assert!(letters.contains("reason") && !letters.contains("secret"), "{letters}");
    assert_eq!(get("dead-letters/0-17").await.json()["key"], "content");
    assert_eq!(words(&daemon).last().unwrap(), "0/17");
    let bundle = get("support").await.json();
    assert_eq!(
        (&bundle["pipeline"]["file"], &bundle["machine"]["ok"]),
        (&FILE.into(), &true.into())
    );
    assert_eq!(bundle["positions"].as_array().unwrap().len(), 2);
    assert_eq!(bundle["checkpoints"][0]["checkpoint"], "c1");
    assert_eq!(bundle["versions"][0]["version"], 1);
    until("its log is in the bundle", async || {
        let bundle = get("support").await.json();
        bundle["log"].to_string().contains("a line of text").then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn savepoints_are_made_and_deleted_by_name() {
    let (daemon, operator) = with_views().await;
    let path = format!("{VIEWS}/savepoints");
    let made = daemon.ask(&Method::POST, &path, Some(&operator)).await;
    assert_eq!(
        (made.status, &made.json()["savepoint"]),
        (StatusCode::CREATED, &"made".into())
    );
    let named = daemon
        .tell(&Method::POST, &path, &operator, &json!({ "name": "before" }))
        .await;
    assert_eq!(named.status, StatusCode::CREATED);
    assert!(words(&daemon).contains(&"--name=before".to_owned()));
    for wrong in ["../x", "s3://bucket/x", "", "--set=a", "a\nb", "a/b"] {
        let answer = daemon
            .tell(&Method::POST, &path, &operator, &json!({ "name": wrong }))
            .await;
        assert_eq!(answer.kind(), "invalid", "{wrong}");
    }
    let delete = async |name: &str| {
        daemon
            .ask(&Method::DELETE, &format!("{path}/{name}"), Some(&operator))
            .await
    };
    assert_eq!(delete("there").await.status, StatusCode::NO_CONTENT);
    for absent in ["gone", "%2e%2e", "--set=a", "a%2fb"] {
        assert_eq!(delete(absent).await.kind(), "not-found", "{absent}");
    }
    let audit = daemon.audit().await;
    assert!(
        audit
            .iter()
            .any(|entry| entry.object == "pipelines/views/savepoints/made"),
        "{audit:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_word_of_a_request_is_never_an_option_or_a_path() {
    let (daemon, operator) = with_views().await;
    for (sent, meant) in [
        ("--set=x.y%3Dz", "--set=x.y=z"),
        ("-o", "-o"),
        ("--", "--"),
        ("a%0Ab%20c%27%22%24%28x%29", "a\nb c'\"$(x)"),
        ("../../etc/passwd", "../../etc/passwd"),
        ("%C3%A4", "ä"),
    ] {
        let path = format!("{VIEWS}/state?operator={sent}&store={sent}&key={sent}");
        assert_eq!(daemon.get(&path, &operator).await.status, StatusCode::OK, "{sent}");
        let words = words(&daemon);
        let behind = words.iter().position(|word| word == "--").unwrap();
        assert_eq!(words[behind..], ["--", "asked.toml", meant, meant, meant]);
        let path = format!("{VIEWS}/state?operator=o&store=s&prefix={sent}");
        assert_eq!(daemon.get(&path, &operator).await.status, StatusCode::OK, "{sent}");
        assert!(self::words(&daemon).contains(&format!("--prefix={meant}")));
        let answer = daemon
            .get(&format!("{VIEWS}/dead-letters?from={sent}"), &operator)
            .await;
        assert_eq!(answer.status, StatusCode::OK, "{sent}");
        assert!(self::words(&daemon).contains(&format!("--from={meant}")));
    }
    let zero = daemon
        .get(&format!("{VIEWS}/state?operator=o&store=s&key=a%00b"), &operator)
        .await;
    assert_eq!(zero.kind(), "invalid");
    let address = daemon.serve().await;
    let huge = "x".repeat(10 << 20);
    let head = format!("Host: x\r\nAuthorization: Bearer {operator}\r\n\r\n");
    let request = format!("GET {VIEWS}/state?operator=o&store=s&key={huge} HTTP/1.1\r\n{head}");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    // It may hang up before all is sent.
    let _sent = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer).await;
    assert!(
        answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
        "{}",
        String::from_utf8_lossy(&answer)
    );
    for path in [
        "dead-letters/--all",
        "dead-letters/..%2f..",
        "dead-letters/0-1-2",
        "dead-letters/0-18",
    ] {
        assert_eq!(
            daemon.get(&format!("{VIEWS}/{path}"), &operator).await.kind(),
            "not-found",
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_fails_is_too_long_or_too_slow_is_told_and_ends() {
    let daemon = Daemon::with_patience(Patience {
        look: Duration::from_millis(1500),
        ..Patience::default()
    })
    .await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    daemon.apply("views", &operator, FILE).await;
    let get = async |key: &str| {
        daemon
            .get(&format!("{VIEWS}/state?operator=o&store=s&key={key}"), &operator)
            .await
    };
    for (key, status, kind) in [
        ("long", StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
        ("nothing", StatusCode::NOT_FOUND, "not-found"),
        ("usage", StatusCode::UNPROCESSABLE_ENTITY, "invalid"),
        ("kafka", StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
        ("text", StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        ("object", StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        ("killed", StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        ("slow", StatusCode::SERVICE_UNAVAILABLE, "unavailable"),
    ] {
        let answer = get(key).await;
        assert_eq!(
            (answer.status, answer.kind().as_str()),
            (status, kind),
            "{key}: {answer:?}"
        );
    }
    let id = std::fs::read_to_string(daemon.home("views").join("look")).unwrap();
    until("the slow one is gone", async || {
        let is_there = Path::new("/proc").join(id.trim()).exists();
        (!is_there).then_some(())
    })
    .await;
    assert_eq!(get("loud").await.json()["items"], json!([1]));
    let (slow, other) = tokio::join!(get("slow"), async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        get("a").await
    });
    assert_eq!(slow.kind(), "unavailable");
    // It had its turn when the slow one was ended.
    assert_eq!(other.status, StatusCode::OK, "{other:?}");
    let (a, b, c) = tokio::join!(get("slow"), get("slow"), get("slow"));
    let kinds = [a, b, c].map(|answer| answer.kind());
    assert!(kinds.contains(&"too-many".to_owned()), "{kinds:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_question_leaves_nothing_of_a_pipeline_that_is_deleted_meanwhile() {
    let daemon = Daemon::with_patience(Patience {
        look: Duration::from_secs(3),
        ..Patience::default()
    })
    .await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    // Whoever asks waits for the answer, or goes.
    for waits in [true, false] {
        assert_eq!(daemon.apply("views", &operator, FILE).await.status, StatusCode::CREATED);
        let begun = daemon.home("views").join("look");
        let path = format!("{VIEWS}/state?operator=o&store=s&key=stubborn");
        let asks = async {
            tokio::select! {
                answer = daemon.get(&path, &operator) => assert_eq!(answer.kind(), "unavailable"),
                () = until("it is asked", async || begun.exists().then_some(())), if !waits => {}
            }
        };
        let deletes = async {
            until("it is asked", async || begun.exists().then_some(())).await;
            let deleted = daemon.ask(&Method::DELETE, VIEWS, Some(&operator)).await;
            assert_eq!(deleted.status, StatusCode::NO_CONTENT, "{deleted:?}");
        };
        tokio::join!(asks, deletes);
        assert!(!daemon.home("views").exists(), "it waits: {waits}");
        assert_eq!(daemon.get(&path, &operator).await.kind(), "not-found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_are_set_while_nobody_runs_and_told_before() {
    let (daemon, operator) = with_views().await;
    let seek = async |body: &Value| -> Answer {
        daemon
            .tell(&Method::POST, &format!("{VIEWS}/seek"), &operator, body)
            .await
    };
    let dry = seek(&json!({ "to": "earliest", "dry-run": true })).await;
    assert_eq!((dry.status, &dry.json()["moves"][1]["to"]), (StatusCode::OK, &2.into()));
    assert_eq!(words(&daemon)[..2], ["offsets", "show"], "nothing is set");
    let refused = seek(&json!({ "to": "earliest" })).await;
    assert_eq!(
        (refused.status, refused.kind().as_str()),
        (StatusCode::CONFLICT, "conflict")
    );
    assert_eq!(words(&daemon)[..2], ["offsets", "show"], "nothing is set");
    daemon
        .ask(&Method::POST, &format!("{VIEWS}/pause"), Some(&operator))
        .await;
    until_state(&daemon, &operator, "paused").await;
    let done = seek(&json!({ "to": "earliest" })).await;
    assert_eq!(
        (done.status, &done.json()["is-dry-run"]),
        (StatusCode::OK, &false.into())
    );
    assert!(words(&daemon).contains(&"--to=earliest".to_owned()));
    let done = seek(&json!({ "to": { "offsets": { "views": { "1": 3 } } } })).await;
    assert_eq!(
        done.json()["moves"],
        json!([{ "source": "in", "topic": "views", "partition": 1, "from": null, "to": 3 }])
    );
    assert!(words(&daemon).contains(&"--to=asked/content.json".to_owned()));
    let content = std::fs::read_to_string(daemon.home("views").join("content")).unwrap();
    assert_eq!(content, r#"{"views":{"1":3}}"#);
    for wrong in [
        json!({}),
        json!({ "to": "nowhere" }),
        json!({ "to": "--set=a" }),
        json!({ "to": { "file": "/etc/passwd" } }),
        json!({ "to": { "offsets": { "views": { "1": 30 } } } }),
        json!({ "to": { "offsets": { "other": { "1": 3 } } } }),
        json!({ "to": { "offsets": { "views": { "x": 3 } } } }),
        json!({ "to": "latest", "more": 1 }),
    ] {
        assert_eq!(seek(&wrong).await.kind(), "invalid", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_completed_when_it_is_behind_what_is_committed() {
    let (daemon, operator) = with_views().await;
    let ask = async |body: Value| {
        daemon
            .tell(&Method::POST, &format!("{VIEWS}/completed"), &operator, &body)
            .await
    };
    let of = |partition: i32, offset: i64, wait: u64| {
        let mut record = json!({ "topic": "views", "partition": partition, "offset": offset });
        record["wait"] = wait.into();
        record
    };
    let answer = ask(of(0, 6, 30)).await.json();
    assert_eq!(answer, json!({ "is-completed": true, "committed": 7 }));
    assert_eq!(
        ask(of(0, 7, 1)).await.json(),
        json!({ "is-completed": false, "committed": 7 })
    );
    assert_eq!(
        ask(of(1, 0, 0)).await.json(),
        json!({ "is-completed": false, "committed": null })
    );
    assert_eq!(ask(of(2, 0, 0)).await.kind(), "not-found");
    for wrong in [of(0, 7, 31), of(-1, 0, 0), of(0, -1, 0), json!({ "topic": "views" })] {
        assert_eq!(ask(wrong.clone()).await.kind(), "invalid", "{wrong}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_replayed_is_told_and_what_was_not() {
    let (daemon, operator) = with_views().await;
    let path = format!("{VIEWS}/dead-letters/replay");
    let body = json!({ "letters": ["0-17", "0-18"], "dry-run": true });
    let answer = daemon.tell(&Method::POST, &path, &operator, &body).await.json();
    assert_eq!(answer["letters"].as_array().unwrap().len(), 2);
    assert!(answer["problem"].as_str().unwrap().contains("1 of 2"), "{answer}");
    let words = words(&daemon);
    assert!(words.contains(&"--dry-run".to_owned()) && words.ends_with(&["0/17".to_owned(), "0/18".to_owned()]));
    for wrong in [
        json!({}),
        json!({ "letters": ["--all"] }),
        json!({ "all": true, "letters": ["0-1"] }),
    ] {
        assert_eq!(
            daemon.tell(&Method::POST, &path, &operator, &wrong).await.kind(),
            "invalid",
            "{wrong}"
        );
    }
}

/// A process that answers on the socket of `views`. Asked to stop, it lets the keeper look a while, and ends.
fn process(daemon: &Daemon) {
    let folders = std::fs::read_dir(daemon.folder().join("sockets")).unwrap();
    let socket = folders.map(|folder| folder.unwrap().path().join("s")).next().unwrap();
    let file = daemon.home("views").join("pipeline.toml");
    let listener = UnixListener::bind(socket).unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut asked = vec![0; 4096];
            let count = stream.read(&mut asked).await.unwrap_or_default();
            let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
            let body = match asked.split(' ').nth(1).unwrap_or_default() {
                "/status" => {
                    r#"{"running":true,"disconnected":false,"standstill":null,"records-in":1,"records-out":1,
                    "lag":0,"workers":1}"#
                }
                "/metrics" => "# TYPE a gauge\na{pipeline=\"alpha--views\"} 1\nb\"\n",
                "/stop" => {
                    assert!(
                        asked.ends_with(r#"{"drain":true,"pipeline":"alpha--views"}"#),
                        "{asked}"
                    );
                    tokio::time::sleep(Duration::from_secs(1)).await;
                    std::fs::remove_file(&file).unwrap();
                    r#"{"stopped":{"reason":"drained"}}"#
                }
                _ => "",
            };
            let answer = format!("HTTP/1.0 200 OK\r\n\r\n{body}");
            let _it_may_be_gone = stream.write_all(answer.as_bytes()).await;
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_say_whose_they_are() {
    let (daemon, operator) = with_views().await;
    let platform = daemon.token(None, Role::Viewer).await;
    assert_eq!(
        daemon.get(&format!("{VIEWS}/metrics"), &operator).await.kind(),
        "conflict"
    );
    let up = "# HELP sandbar_pipeline_up Whether its process answers.\n# TYPE sandbar_pipeline_up gauge\n";
    let of = |value: u8| format!("sandbar_pipeline_up{{tenant=\"alpha\",pipeline=\"views\"}} {value}\n");
    assert_eq!(
        daemon.get("/v1/metrics", &platform).await.text(),
        format!("{up}{}", of(0))
    );
    process(&daemon);
    let own = daemon.get(&format!("{VIEWS}/metrics"), &operator).await;
    let text = "# TYPE a gauge\na{tenant=\"alpha\",pipeline=\"views\"} 1\n";
    assert_eq!(
        (own.text().as_str(), &own.headers["content-type"]),
        (text, &"text/plain; version=0.0.4".parse().unwrap())
    );
    let all = daemon.get("/v1/metrics", &platform).await.text();
    assert_eq!(all, format!("{text}{up}{}", of(1)));
    assert_eq!(daemon.get("/v1/metrics", &operator).await.kind(), "not-allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_drains_without_a_signal_and_is_saved() {
    let (daemon, operator) = with_views().await;
    let path = format!("{VIEWS}/stop");
    let stop = async |body: Value| daemon.tell(&Method::POST, &path, &operator, &body).await;
    assert_eq!(
        stop(json!({ "drain": true })).await.kind(),
        "conflict",
        "nobody answers"
    );
    assert_eq!(
        stop(json!({ "savepoint": "there" })).await.kind(),
        "conflict",
        "there is one"
    );
    assert_eq!(stop(json!({ "savepoint": "../x" })).await.kind(), "invalid");
    assert_eq!(stop(json!({ "savepoint": "x", "now": true })).await.kind(), "invalid");
    until("it runs", async || {
        let log = std::fs::read_to_string(daemon.home("views").join("log.jsonl")).unwrap_or_default();
        log.contains("started").then_some(())
    })
    .await;
    process(&daemon);
    until_state(&daemon, &operator, "running").await;
    let answer = stop(json!({ "drain": true, "savepoint": "before" })).await;
    let stopped = answer.json();
    assert_eq!(
        (answer.status, &stopped["state"]),
        (StatusCode::OK, &"stopped".into()),
        "{stopped}"
    );
    assert_eq!(stopped["savepoint"], "made");
    assert!(words(&daemon).contains(&"--name=before".to_owned()));
    assert!(!daemon.home("views").join("term").exists(), "no signal came");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_savepoint_is_taken_when_the_process_has_ended_or_nothing_is_stopped() {
    let (daemon, operator) = with_views().await;
    let answer = daemon
        .tell(
            &Method::POST,
            &format!("{VIEWS}/stop"),
            &operator,
            &json!({ "savepoint": true }),
        )
        .await;
    let stopped = answer.json();
    assert_eq!(
        (&stopped["state"], &stopped["savepoint"]),
        (&"stopped".into(), &"made".into()),
        "{stopped}"
    );
    let without = format!("{FILE}# no checkpoints\n");
    daemon.apply("views", &operator, &without).await;
    daemon
        .ask(&Method::POST, &format!("{VIEWS}/start"), Some(&operator))
        .await;
    let answer = daemon
        .tell(
            &Method::POST,
            &format!("{VIEWS}/stop"),
            &operator,
            &json!({ "savepoint": true }),
        )
        .await;
    assert_eq!(answer.kind(), "invalid");
    let shown = daemon.get(VIEWS, &operator).await.json();
    assert_eq!(shown["pipeline"]["wanted"], "running", "nothing was stopped");
}
