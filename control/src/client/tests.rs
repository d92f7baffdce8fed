//! The client against a server that remembers what it was asked.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use axum::body::Bytes;
use axum::extract::Request;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::any;
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::*;
use crate::means::{Access, ClusterProperty, SecretText, TenantCluster};
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind};
use crate::model::{Role, State};

/// What the server was asked.
#[derive(Debug, Clone)]
struct Asked {
    line: String,
    headers: HeaderMap,
    body: Bytes,
}

/// A server that answers as a function of `METHOD PATH` says: status and JSON.
struct Daemon {
    url: String,
    asked: Arc<Mutex<Vec<Asked>>>,
    folder: tempfile::TempDir,
    _runtime: Runtime,
}

impl Daemon {
    fn new(answer: impl Fn(&str) -> (u16, Value) + Clone + Send + Sync + 'static) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked: Arc<Mutex<Vec<Asked>>> = Arc::default();
        let kept = asked.clone();
        let answered = async move |request: Request| {
            let (head, body) = request.into_parts();
            let asked = Asked {
                line: format!("{} {}", head.method, head.uri),
                headers: head.headers,
                body: axum::body::to_bytes(body, usize::MAX).await.unwrap(),
            };
            let (status, value) = answer(&asked.line);
            kept.lock().unwrap().push(asked);
            let media_type = if status < 400 {
                "application/json"
            } else {
                "application/problem+json"
            };
            (
                StatusCode::from_u16(status).unwrap(),
                [(CONTENT_TYPE, media_type)],
                value.to_string(),
            )
        };
        let router = axum::Router::new().fallback(any(answered));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            asked,
            folder: tempfile::tempdir().unwrap(),
            _runtime: runtime,
        }
    }

    fn connection(&self) -> Connection {
        connection(&self.url, &self.folder)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().drain(..).collect()
    }

    fn lines(&self) -> Vec<String> {
        self.asked().into_iter().map(|asked| asked.line).collect()
    }
}

fn connection(url: &str, folder: &tempfile::TempDir) -> Connection {
    let token = folder.path().join("token");
    std::fs::write(&token, "sbt_hunter2\n").unwrap();
    let choice = Choice {
        url: Some(url.to_owned()),
        token_file: Some(token),
        context: None,
    };
    Connection::open(&Endpoint::choose(&choice, &Surroundings::default()).unwrap()).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn status(name: &str) -> Value {
    json!({ "name": name, "tenant": "t", "state": "running", "reason": "", "since": 7, "restarts": 0, "version": 1,
        "records-in": 3, "records-out": null, "lag": 0, "workers": 2, "pid": 1, "of-a-later-version": true })
}

#[test]
fn who_asks_is_told_by_the_token_which_stands_nowhere_else() {
    let daemon = Daemon::new(|_| (200, json!({ "token": "id", "tenant": null, "role": "admin" })));
    let connection = daemon.connection();
    let whoami = connection.whoami().unwrap();
    assert_eq!((whoami.tenant, whoami.role), (None, Role::Admin));
    let asked = daemon.asked();
    assert_eq!(asked[0].line, "GET /v1/whoami");
    assert_eq!(asked[0].headers[AUTHORIZATION], "Bearer sbt_hunter2");
    assert!(!format!("{connection:?}").contains("hunter2"));
}

#[test]
fn a_refusal_is_the_problem_that_the_daemon_told() {
    let daemon = Daemon::new(|_| {
        let details = json!({ "type": "about:blank", "title": "failed to find pipeline `a`", "status": 404,
            "detail": "tenant `t` has none of that name", "kind": "not-found", "hint": "sandbar list" });
        (404, details)
    });
    let why = "tenant `t` has none of that name";
    let told = Problem::new(ProblemKind::NotFound, "failed to find pipeline `a`", why).hint("sandbar list");
    let connection = daemon.connection();
    assert_eq!(connection.status(&name("t"), &name("a")), Err(told.clone()));
    assert_eq!(connection.delete_pipeline(&name("t"), &name("a")), Err(told.clone()));
    assert_eq!(connection.logs(&name("t"), &name("a"), 1, false).err(), Some(told));
}

#[test]
fn a_daemon_that_is_not_there_is_unavailable() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", gone.local_addr().unwrap());
    drop(gone);
    let problem = connection(&url, &tempfile::tempdir().unwrap()).whoami().unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert_eq!(problem.what, format!("failed to reach the daemon at {url}"));
    assert!(problem.why.contains("refused"), "{problem}");
    assert!(problem.hint.unwrap().contains("sandbar serve"));
}

#[test]
fn a_token_is_not_carried_to_another_address() {
    let other = Daemon::new(|_| (200, json!({})));
    let to = format!(
        "HTTP/1.1 307 Go\r\nlocation: {}/v1/whoami\r\ncontent-length: 0\r\n\r\n",
        other.url
    );
    let (url, _) = server(vec![to]);
    let problem = connection(&url, &other.folder).whoami().unwrap_err();
    assert!(problem.why.contains("307"), "{problem}");
    assert!(other.asked().is_empty());
}

#[test]
fn each_request_is_the_one_of_the_interface() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let plugin = json!({ "digest": digest, "bytes": 1, "name": "p", "version": "1", "pushed": 7 });
    let daemon = Daemon::new(move |line| match line {
        "POST /v1/tenants/t/tokens" => (201, json!({ "id": "i", "token": "sbt_new" })),
        "POST /v1/tenants/t/plugins?name=a+b" => (201, plugin.clone()),
        line if line.starts_with("PUT /v1/tenants/t/pipelines/p") => (
            201,
            json!({ "version": 1, "revision": 2, "is-new": true, "is-changed": true, "difference": ["+a"] }),
        ),
        line if line.starts_with("POST") => (202, status("p")),
        line if line.starts_with("DELETE") => (204, json!(null)),
        line if line.contains('?') => (200, json!({ "items": [] })),
        _ => (200, json!({ "name": "t", "created": 7 })),
    });
    let (it, t, p) = (daemon.connection(), name("t"), name("p"));
    it.create_tenant(&t).unwrap();
    it.tenant(&t).unwrap();
    it.delete_tenant(&t).unwrap();
    let lifetime = Some(std::time::Duration::from_secs(1));
    assert_eq!(
        it.create_token(&t, Role::Operator, Some("n"), lifetime).unwrap().token,
        "sbt_new"
    );
    it.revoke_token(&t, "a/b").unwrap();
    it.push_plugin(&t, ("a b", ""), None, b"\0asm".to_vec()).unwrap();
    let plugins = [("o".to_owned(), digest_of("0"))].into();
    assert!(
        it.apply((&t, &p), "name = 'p'", &plugins, true, Some(5))
            .unwrap()
            .is_new
    );
    it.apply((&t, &p), "", &plugins, false, None).unwrap();
    for order in [Order::Pause, Order::Resume, Order::Stop, Order::Start] {
        assert_eq!(it.order(&t, &p, order).unwrap().state, State::Running);
    }
    it.delete_pipeline(&t, &p).unwrap();
    it.audit(None, 3, 4).unwrap();
    it.audit(Some(&t), 0, 500).unwrap();
    let asked = daemon.asked();
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    let wanted = [
        "PUT /v1/tenants/t",
        "GET /v1/tenants/t",
        "DELETE /v1/tenants/t",
        "POST /v1/tenants/t/tokens",
        "DELETE /v1/tenants/t/tokens/a%2Fb",
        "POST /v1/tenants/t/plugins?name=a+b",
        "PUT /v1/tenants/t/pipelines/p?dry-run=true",
        "PUT /v1/tenants/t/pipelines/p",
        "POST /v1/tenants/t/pipelines/p/pause",
        "POST /v1/tenants/t/pipelines/p/resume",
        "POST /v1/tenants/t/pipelines/p/stop",
        "POST /v1/tenants/t/pipelines/p/start",
        "DELETE /v1/tenants/t/pipelines/p",
        "GET /v1/audit?after=3&most=4",
        "GET /v1/tenants/t/audit?after=0&most=500",
    ];
    assert_eq!(lines, wanted);
    let body = |index: usize| serde_json::from_slice::<Value>(&asked[index].body).unwrap();
    let token = body(3);
    assert_eq!((&token["role"], &token["note"]), (&json!("operator"), &json!("n")));
    assert!(token["expires"].as_i64().unwrap() > 1_700_000_000_000);
    assert_eq!(asked[5].body.as_ref(), b"\0asm");
    assert_eq!(
        body(6),
        json!({ "file": "name = 'p'", "plugins": { "o": digest_of("0") } })
    );
    assert_eq!(asked[6].headers[IF_MATCH], "\"5\"");
    assert!(!asked[7].headers.contains_key(IF_MATCH));
}

#[test]
fn an_upgrade_and_the_way_back_are_asked_for_as_they_were_meant() {
    let plan = json!({
        "from-version": 1, "version": 2, "revision": 5, "is-changed": true, "difference": ["+a"], "state": "dropped",
        "stores": [{ "operator": "o", "store": "s", "fate": "dropped", "why": null }], "begins": "there",
        "watch-seconds": 9,
    });
    let daemon = Daemon::new(move |_| (202, plan.clone()));
    let (it, t, p) = (daemon.connection(), name("t"), name("p"));
    let asked = UpgradeRequest {
        plugins: [("o".to_owned(), digest_of("0"))].into(),
        watch_seconds: Some(9),
        allow_dropped_state: true,
        ..UpgradeRequest::default()
    };
    let plan = it.upgrade(&t, &p, &asked).unwrap();
    assert_eq!((plan.version, plan.overtaken, plan.stores.len()), (2, None, 1));
    let back = RollbackRequest {
        to: Some(1),
        dry_run: true,
        ..RollbackRequest::default()
    };
    it.roll_back(&t, &p, &back).unwrap();
    let asked = daemon.asked();
    let lines: Vec<_> = asked.iter().map(|asked| asked.line.as_str()).collect();
    assert_eq!(
        lines,
        [
            "POST /v1/tenants/t/pipelines/p/upgrade",
            "POST /v1/tenants/t/pipelines/p/rollback"
        ]
    );
    let body = |index: usize| serde_json::from_slice::<Value>(&asked[index].body).unwrap();
    assert_eq!(
        body(0),
        json!({ "plugins": { "o": digest_of("0") }, "watch-seconds": 9, "allow-dropped-state": true, "dry-run": false })
    );
    assert_eq!(
        body(1),
        json!({ "to": 1, "allow-dropped-state": false, "dry-run": true })
    );
}

fn digest_of(digit: &str) -> Digest {
    format!("sha256:{}", digit.repeat(64)).parse().unwrap()
}

#[test]
fn a_list_is_read_to_its_end() {
    let daemon = Daemon::new(|line| match line {
        "GET /v1/tenants/t/pipelines?most=500" => (200, json!({ "items": [status("a")], "next": "a" })),
        "GET /v1/tenants/t/pipelines?most=500&after=a" => (200, json!({ "items": [status("b")], "next": null })),
        _ => (200, json!({ "items": [], "next": "same" })),
    });
    let connection = daemon.connection();
    let names: Vec<_> = connection
        .pipelines(&name("t"))
        .unwrap()
        .into_iter()
        .map(|status| status.name)
        .collect();
    assert_eq!(names, [name("a"), name("b")]);
    // A list that never ends is no list.
    assert!(connection.tenants().unwrap_err().why.contains("itself"));
}

#[test]
fn a_plugin_is_pushed_if_it_is_not_there() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    file("a.wasm", b"a");
    file("b.wasm", b"b");
    let path = folder.path().join("pipeline.toml");
    let text = "name = \"p\"\n[operator.one]\nplugin = \"a.wasm\"\n[operator.two]\nplugin = \"b.wasm\"\n\
        [operator.three]\nplugin = \"window\"\n";
    std::fs::write(&path, text).unwrap();
    let of = |bytes: &[u8]| Digest::of_hash(&<sha2::Sha256 as sha2::Digest>::digest(bytes));
    let (a, b) = (of(b"a"), of(b"b"));
    let plugin = |digest: &Digest| json!({ "digest": digest, "bytes": 1, "name": "", "version": "", "pushed": 7 });
    let (there, pushed) = (plugin(&a), plugin(&b));
    let known = format!("GET /v1/tenants/t/plugins/{a}");
    let daemon = Daemon::new(move |line| match line {
        line if line == known => (200, there.clone()),
        line if line.starts_with("POST") => (201, pushed.clone()),
        _ => (404, json!({ "title": "failed", "detail": "none", "kind": "not-found" })),
    });
    let application = Application::read(&path).unwrap();
    let connection = daemon.connection();
    let plugins = connection
        .push_all(&name("t"), &application, &Registries::default())
        .unwrap();
    assert_eq!(
        plugins,
        [("one".to_owned(), a.clone()), ("two".to_owned(), b.clone())].into()
    );
    let lines = [
        format!("GET /v1/tenants/t/plugins/{a}"),
        format!("GET /v1/tenants/t/plugins/{b}"),
        "POST /v1/tenants/t/plugins?name=b".to_owned(),
    ];
    assert_eq!(daemon.lines(), lines);
    // What came over is not what was sent.
    file("b.wasm", b"other");
    let problem = connection
        .push_all(&name("t"), &application, &Registries::default())
        .unwrap_err();
    assert!(
        problem.what.starts_with("operator `two`") && problem.why.contains(b.as_str()),
        "{problem}"
    );
    let of_another = Daemon::new(|line| match line.starts_with("POST") {
        true => (
            422,
            json!({ "title": "failed to take the plugin", "detail": "none", "kind": "invalid" }),
        ),
        false => (404, json!({ "title": "failed", "detail": "none", "kind": "not-found" })),
    });
    let refused = of_another
        .connection()
        .push_all(&name("t"), &application, &Registries::default())
        .unwrap_err();
    assert_eq!(refused.kind, ProblemKind::PluginRefused);
    std::fs::remove_file(folder.path().join("b.wasm")).unwrap();
    let missing = connection
        .push_all(&name("t"), &application, &Registries::default())
        .unwrap_err();
    assert_eq!(missing.kind, ProblemKind::PluginRefused);
    assert!(missing.what.contains("b.wasm"), "{missing}");
}

#[test]
fn a_signature_goes_along_unless_its_signer_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let (path, beside) = (folder.path().join("a.wasm"), folder.path().join("a.wasm.minisig"));
    std::fs::write(&path, b"a").unwrap();
    let pair = minisign::KeyPair::generate_unencrypted_keypair().unwrap();
    let minisig = minisign::sign(None, &pair.sk, std::io::Cursor::new(b"a"), None, None).unwrap();
    std::fs::write(&beside, minisig.into_string()).unwrap();
    let digest = Digest::of_hash(&<sha2::Sha256 as sha2::Digest>::digest(b"a"));
    let key: crate::means::SigningKey = pair.pk.to_base64().parse().unwrap();
    let id = key.id().to_string();
    let pushed = |keys: &[&str], signers: &[&str], named: Option<&std::path::Path>| {
        let sign = |key| json!({ "key": key, "comment": "", "taken": 7, "is-valid": true });
        let signatures: Vec<Value> = signers.iter().map(sign).collect();
        let there = json!({ "digest": digest, "bytes": 1, "name": "", "version": "", "pushed": 7,
            "signatures": signatures });
        let key = |id| json!({ "id": id, "key": "", "note": "", "created": 7, "by": "" });
        let keys = json!({ "items": keys.iter().map(key).collect::<Vec<_>>() });
        let daemon = Daemon::new(move |line| match line.contains("signing-keys") {
            true => (200, keys.clone()),
            false => (200, there.clone()),
        });
        daemon.connection().push_file(&name("t"), &path, named).unwrap();
        let lines = daemon.lines();
        let posted = lines.into_iter().find(|line| line.starts_with("POST"));
        posted.map(|line| line.contains("&signature=untrusted+comment"))
    };
    // It is there: nothing is sent, unless it is signed by one more.
    assert_eq!(pushed(&[&id], &[&id], None), None);
    assert_eq!(pushed(&[&id], &[], None), Some(true));
    assert_eq!(pushed(&[&id], &["0123456789ABCDEF"], None), Some(true));
    // What merely lies beside it is for a tenant that has keys; what is named is sent.
    assert_eq!(pushed(&[], &[], None), None);
    assert_eq!(pushed(&[], &[], Some(&beside)), Some(true));
    std::fs::write(&beside, "none").unwrap();
    let daemon = Daemon::new(|_| (200, json!({ "items": [] })));
    let problem = daemon
        .connection()
        .push_file(&name("t"), &path, Some(&beside))
        .unwrap_err();
    assert_eq!(problem.kind, ProblemKind::PluginRefused);
    assert!(problem.what.contains("a.wasm.minisig"), "{problem}");
}

#[test]
fn an_answer_that_does_not_come_or_does_not_end_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    for begun in [
        "",
        "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n",
        "HTTP/1.1 500 No\r\ncontent-length: 9\r\n\r\n",
    ] {
        let (url, _server) = server(vec![begun.to_owned(), String::new()]);
        let mut connection = connection(&url, &folder);
        connection.patience = std::time::Duration::from_millis(100);
        let problem = connection.whoami().unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Unavailable);
        assert!(problem.why.contains("100ms"), "{problem}");
    }
    let length = (64 << 20) + 1;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let (url, _server) = server(vec![head + &"x".repeat(length)]);
    let problem = connection(&url, &folder).whoami().unwrap_err();
    assert!(problem.why.contains("67108864 bytes"), "{problem}");
}

/// Answers one request with these pieces, the first at once and each other when it has heard of the one before; what
/// was asked.
fn server(pieces: Vec<String>) -> (String, (std::sync::mpsc::Sender<()>, Receiver<String>)) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let ((go, gone), (tell, told)) = (channel(), channel());
    let serve = move || {
        let (mut stream, _) = listener.accept().unwrap();
        let (mut asked, mut piece) = (Vec::new(), [0; 4096]);
        while !asked.ends_with(b"\r\n\r\n") {
            let read = stream.read(&mut piece).unwrap();
            asked.extend_from_slice(&piece[..read]);
        }
        // Whoever has heard enough may be gone.
        let _ = tell.send(String::from_utf8(asked).unwrap());
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 && gone.recv().is_err() {
                return;
            }
            let _ = stream.write_all(piece.as_bytes());
        }
    };
    std::thread::Builder::new().spawn(serve).unwrap();
    (url, (go, told))
}

const STREAMED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

#[test]
fn a_line_comes_as_soon_as_it_is_whole() {
    let pieces = vec![
        format!("{STREAMED}{}", chunk("{\"a\":1}\n{\"b\"")),
        chunk(":2}\r\n\n") + &chunk("end") + "0\r\n\r\n",
    ];
    let folder = tempfile::tempdir().unwrap();
    let (url, (go, told)) = server(pieces);
    let connection = connection(&url, &folder);
    let mut lines = connection.logs(&name("t"), &name("p"), 20, true).unwrap();
    assert!(
        told.recv()
            .unwrap()
            .starts_with("GET /v1/tenants/t/pipelines/p/logs?last=20&follow=true ")
    );
    assert_eq!(lines.next(), Some(Ok("{\"a\":1}".to_owned())));
    go.send(()).unwrap();
    let rest: Vec<_> = lines.by_ref().map(Result::unwrap).collect();
    assert_eq!(rest, ["{\"b\":2}", "", "end"]);
    assert_eq!(lines.next(), None);
}

#[test]
fn a_daemon_that_dies_in_a_stream_is_no_end_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (url, (go, _)) = server(vec![format!("{STREAMED}{}", chunk("a\nb")), String::new()]);
    let connection = connection(&url, &folder);
    let mut lines = connection.logs(&name("t"), &name("p"), 20, true).unwrap();
    assert_eq!(lines.next(), Some(Ok("a".to_owned())));
    drop(go);
    let problem = lines.next().unwrap().unwrap_err();
    assert_eq!(problem.kind, ProblemKind::Unavailable);
    assert_eq!(lines.next(), None);
}

#[test]
fn a_line_without_an_end_is_a_problem() {
    let folder = tempfile::tempdir().unwrap();
    let (url, (_go, _)) = server(vec![
        format!("{STREAMED}{}", chunk(&"x".repeat((4 << 20) + 1))),
        String::new(),
    ]);
    let connection = connection(&url, &folder);
    let mut lines = connection.logs(&name("t"), &name("p"), 20, false).unwrap();
    assert!(lines.next().unwrap().unwrap_err().why.contains("4194304 bytes"));
    assert_eq!(lines.next(), None);
}

#[test]
fn changes_are_the_events_of_a_status() {
    let event = |event: &str, data: &Value| format!("event: {event}\ndata: {data}\n\n");
    let text = format!(
        ": alive\n\n{}{}retry: 3\n\n",
        event("other", &json!(1)),
        event("status", &status("p"))
    );
    let broken = "event:status\ndata:{}\n\n";
    let folder = tempfile::tempdir().unwrap();
    let (url, (_go, told)) = server(vec![format!("{STREAMED}{}0\r\n\r\n", chunk(&(text + broken)))]);
    let connection = connection(&url, &folder);
    let mut changes = connection.changes(&name("t"), &name("p")).unwrap();
    assert!(
        told.recv()
            .unwrap()
            .starts_with("GET /v1/tenants/t/pipelines/p/events ")
    );
    assert_eq!(changes.next().unwrap().unwrap().name, name("p"));
    assert_eq!(changes.next().unwrap().unwrap_err().kind, ProblemKind::Failed);
    assert!(changes.next().is_none());
}

#[test]
fn each_request_about_what_a_tenant_has_is_the_one_of_the_interface() {
    let cluster = json!({ "name": "c", "brokers": "a:1", "properties": { "linger.ms": null }, "changed": 7 });
    let used = json!({ "tenant": "t", "pipeline": "p", "cpu-ms": 1, "records-in": 2, "records-out": 3, "bytes-in": 4,
        "bytes-out": 5, "state-byte-hours": 6 });
    let daemon = Daemon::new(move |line| match line {
        "PUT /v1/tenants/t/clusters/c" => (201, cluster.clone()),
        "GET /v1/tenants/t/clusters?most=500" => (200, json!({ "items": [cluster] })),
        "GET /v1/tenants/t/quotas" => (200, json!({ "pipelines": 7 })),
        "GET /v1/usage?most=500&from=3&to=9" => (200, json!({ "items": [used], "next": "t/p" })),
        line if line.contains('?') => (200, json!({ "items": [] })),
        _ => (204, json!(null)),
    });
    let (it, t, c) = (daemon.connection(), name("t"), name("c"));
    it.set_secret(&t, &c, &SecretText::new("hunter2\n".to_owned()).unwrap())
        .unwrap();
    assert!(it.secrets(&t).unwrap().is_empty());
    it.delete_secret(&t, &c).unwrap();
    let brokers = "a:1".to_owned();
    let properties = [("linger.ms".to_owned(), ClusterProperty::Text("5".to_owned()))].into();
    it.set_cluster(&t, &c, &TenantCluster { brokers, properties }).unwrap();
    assert_eq!(it.clusters(&t).unwrap()[0].properties["linger.ms"], None);
    it.delete_cluster(&t, &c).unwrap();
    let access = Access {
        reads: Some(vec!["a.*".to_owned()]),
        writes: None,
    };
    it.set_access(&t, &access).unwrap();
    let quotas = it.quotas(&t).unwrap();
    assert_eq!(quotas.pipelines, Some(7));
    it.set_quotas(&t, &quotas).unwrap();
    assert_eq!(it.usage(None, Some(3), Some(9)).unwrap()[0].state_byte_hours, 6);
    assert!(it.usage(Some(&t), None, None).unwrap().is_empty());
    let asked = daemon.asked();
    let lines: Vec<String> = asked
        .iter()
        .map(|asked| format!("{} {}", asked.line, String::from_utf8_lossy(&asked.body)))
        .collect();
    assert_eq!(
        lines.iter().map(|line| line.trim()).collect::<Vec<_>>(),
        [
            "PUT /v1/tenants/t/secrets/c hunter2",
            "GET /v1/tenants/t/secrets?most=500",
            "DELETE /v1/tenants/t/secrets/c",
            "PUT /v1/tenants/t/clusters/c {\"brokers\":\"a:1\",\"properties\":{\"linger.ms\":\"5\"}}",
            "GET /v1/tenants/t/clusters?most=500",
            "DELETE /v1/tenants/t/clusters/c",
            "PUT /v1/tenants/t/access {\"reads\":[\"a.*\"]}",
            "GET /v1/tenants/t/quotas",
            "PUT /v1/tenants/t/quotas {\"pipelines\":7}",
            "GET /v1/usage?most=500&from=3&to=9",
            "GET /v1/usage?most=500&from=3&to=9&after=t%2Fp",
            "GET /v1/tenants/t/usage?most=500",
        ]
    );
    assert_eq!(asked[0].body, "hunter2\n");
    assert_eq!(asked[0].headers[CONTENT_TYPE], "text/plain");
}
