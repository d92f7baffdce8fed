//! What tenants, tokens, plugins and pipelines go through.

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::json;

use super::daemon::{Answer, Daemon, FILE, json_request, name};
use super::mortal::{self, Mortal, VIEWS};
use crate::model::names::Digest;
use crate::model::{Role, Wanted};

const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

async fn push(daemon: &Daemon, tenant: &str, token: &str, bytes: &'static [u8]) -> Answer {
    let request = Request::post(format!("/v1/tenants/{tenant}/plugins?name=count&version=1.0"))
        .header(header::AUTHORIZATION, format!("Bearer {token}"))
        .header(header::CONTENT_TYPE, "application/wasm");
    daemon.send(request.body(Body::from(bytes)).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_made_once_and_deleted_when_it_has_no_pipelines() {
    let daemon = Daemon::new().await;
    let platform = daemon.token(None, Role::Admin).await;
    let path = "/v1/tenants/charlie";
    for status in [StatusCode::CREATED, StatusCode::OK] {
        let answer = daemon.ask(&Method::PUT, path, Some(&platform)).await;
        assert_eq!((answer.status, &answer.json()["name"]), (status, &"charlie".into()));
    }
    let mut names = Vec::new();
    let mut next = Some(String::new());
    while let Some(after) = next {
        let query = if after.is_empty() {
            String::new()
        } else {
            format!("&after={after}")
        };
        let piece = daemon
            .get(&format!("/v1/tenants?most=1{query}"), &platform)
            .await
            .json();
        let items = piece["items"].as_array().unwrap();
        names.extend(items.iter().map(|tenant| tenant["name"].as_str().unwrap().to_owned()));
        next = piece["next"].as_str().map(str::to_owned);
    }
    assert_eq!(names, ["alpha", "bravo", "charlie"]);
    let own = daemon.token(Some("charlie"), Role::Admin).await;
    let who = daemon.get("/v1/whoami", &own).await.json();
    assert_eq!((&who["tenant"], &who["role"]), (&"charlie".into(), &"admin".into()));
    assert!(daemon.get("/v1/whoami", &platform).await.json().get("tenant").is_none());
    assert_eq!(daemon.apply("views", &platform, FILE).await.status, StatusCode::CREATED);
    let answer = daemon.ask(&Method::DELETE, "/v1/tenants/alpha", Some(&platform)).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (StatusCode::CONFLICT, "conflict")
    );
    assert_eq!(
        push(&daemon, "charlie", &own, COMPONENT).await.status,
        StatusCode::CREATED
    );
    assert_eq!(
        daemon.ask(&Method::DELETE, path, Some(&platform)).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(daemon.get("/v1/whoami", &own).await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_shown_once_works_and_is_revoked() {
    let daemon = Daemon::new().await;
    let admin = daemon.token(Some("alpha"), Role::Admin).await;
    let path = "/v1/tenants/alpha/tokens";
    let answer = daemon
        .tell(
            &Method::POST,
            path,
            &admin,
            &json!({ "role": "viewer", "note": "for a wall" }),
        )
        .await;
    assert_eq!(
        (answer.status, &answer.headers[header::CACHE_CONTROL]),
        (StatusCode::CREATED, &"no-store".parse().unwrap())
    );
    let made = answer.json();
    let (id, secret) = (made["id"].as_str().unwrap(), made["token"].as_str().unwrap());
    assert_eq!(daemon.get(VIEWS, secret).await.kind(), "not-found");
    let listed = daemon.get(path, &admin).await;
    assert!(listed.text().contains("for a wall") && !listed.text().contains(&secret[4..]));
    let of_bravo = daemon.token(Some("bravo"), Role::Admin).await;
    let others = format!("/v1/tenants/bravo/tokens/{id}");
    assert_eq!(
        daemon.ask(&Method::DELETE, &others, Some(&of_bravo)).await.status,
        StatusCode::NOT_FOUND
    );
    let own = format!("{path}/{id}");
    assert_eq!(
        daemon.ask(&Method::DELETE, &own, Some(&admin)).await.status,
        StatusCode::NO_CONTENT
    );
    assert_eq!(daemon.get(VIEWS, secret).await.status, StatusCode::UNAUTHORIZED);
    for wrong in [
        json!({}),
        json!({ "role": "root" }),
        json!({ "role": "viewer", "expires": 1 }),
        json!({ "role": "viewer", "note": "x".repeat(201) }),
        json!({ "role": "viewer", "note": "a\nb" }),
        json!({ "role": "viewer", "tenant": "bravo" }),
    ] {
        assert_eq!(
            daemon.tell(&Method::POST, path, &admin, &wrong).await.kind(),
            "invalid",
            "{wrong}"
        );
    }
    let audit = daemon.audit().await;
    assert!(
        audit
            .iter()
            .any(|entry| entry.object == format!("tokens/{id}") && entry.verb == "create-token")
    );
    assert!(!format!("{audit:?}").contains(&secret[4..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plugin_is_known_by_its_bytes_within_its_tenant() {
    let daemon = Daemon::new().await;
    let author = daemon.token(Some("alpha"), Role::Author).await;
    let answer = push(&daemon, "alpha", &author, COMPONENT).await;
    let plugin = answer.json();
    assert_eq!(
        (answer.status, &plugin["name"], &plugin["bytes"]),
        (StatusCode::CREATED, &"count".into(), &8.into())
    );
    let again = push(&daemon, "alpha", &author, COMPONENT).await;
    assert_eq!((again.status, again.json()), (StatusCode::OK, plugin.clone()));
    let digest = plugin["digest"].as_str().unwrap();
    let shown = daemon
        .get(&format!("/v1/tenants/alpha/plugins/{digest}"), &author)
        .await;
    assert_eq!(shown.json(), plugin);
    assert_eq!(
        daemon.get("/v1/tenants/alpha/plugins", &author).await.json()["items"],
        json!([plugin])
    );
    let of_bravo = daemon.token(Some("bravo"), Role::Admin).await;
    let others = daemon
        .get(&format!("/v1/tenants/bravo/plugins/{digest}"), &of_bravo)
        .await;
    assert_eq!(others.kind(), "not-found");
    let body = json!({ "file": format!("{FILE}operator.count.inputs = [\"in\"]"), "plugins": { "count": digest } });
    let path = "/v1/tenants/bravo/pipelines/views";
    assert_eq!(
        daemon.tell(&Method::PUT, path, &of_bravo, &body).await.kind(),
        "plugin-refused"
    );
    assert_eq!(push(&daemon, "alpha", &author, b"no component").await.kind(), "invalid");
    let noted = daemon.audit().await;
    assert!(
        noted
            .iter()
            .any(|entry| entry.object == format!("plugins/{digest}") && entry.result == "ok")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_applied_and_changed() {
    let daemon = Daemon::new().await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    let made = daemon.apply("views", &operator, FILE).await;
    assert_eq!(made.status, StatusCode::CREATED);
    assert_eq!(
        (&made.json()["version"], &made.json()["is-new"]),
        (&1.into(), &true.into())
    );
    let same = daemon.apply("views", &operator, FILE).await;
    assert_eq!(
        (same.status, &same.json()["is-changed"]),
        (StatusCode::OK, &false.into())
    );
    assert_eq!(same.headers[header::ETAG], made.headers[header::ETAG]);
    let changed = format!("{FILE}# a comment\n");
    let dry = json_request(
        &Method::PUT,
        &format!("{VIEWS}?dry-run=true"),
        &operator,
        json!({ "file": changed }).to_string(),
    );
    let dry = daemon.send(dry).await.json();
    assert_eq!((&dry["version"], &dry["is-changed"]), (&2.into(), &true.into()));
    let after = daemon.apply("views", &operator, &changed).await;
    assert_eq!(after.json()["difference"], dry["difference"]);
    assert_eq!(dry["difference"].as_array().unwrap().last().unwrap(), "+# a comment");
    assert_ne!(after.headers[header::ETAG], made.headers[header::ETAG]);
    let shown = daemon.get(VIEWS, &operator).await;
    assert_eq!(shown.headers[header::ETAG], after.headers[header::ETAG]);
    assert_eq!(
        (&shown.json()["pipeline"]["file"], &shown.json()["pipeline"]["version"]),
        (&changed.into(), &2.into())
    );
    let versions = daemon.get(&format!("{VIEWS}/versions"), &operator).await.json();
    assert_eq!(versions["items"].as_array().unwrap().len(), 2);
    let verbs: Vec<String> = daemon.audit().await.into_iter().map(|entry| entry.verb).collect();
    assert_eq!(verbs, ["apply", "apply", "dry-run", "apply"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pipeline_is_told_what_to_do_and_deleted() {
    let daemon = Daemon::new().await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    assert_eq!(daemon.apply("views", &operator, FILE).await.status, StatusCode::CREATED);
    for (verb, wanted) in [
        ("pause", Wanted::Paused),
        ("resume", Wanted::Running),
        ("stop", Wanted::Stopped),
        ("start", Wanted::Running),
        ("stop", Wanted::Stopped),
    ] {
        let answer = daemon
            .ask(&Method::POST, &format!("{VIEWS}/{verb}"), Some(&operator))
            .await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{verb}: {answer:?}");
        let pipeline = daemon.catalog.pipeline(&name("alpha"), &name("views")).await;
        assert_eq!(pipeline.unwrap().unwrap().wanted, wanted);
    }
    let listed = daemon.get("/v1/tenants/alpha/pipelines", &operator).await.json();
    assert_eq!(listed["items"][0]["name"], "views");
    assert_eq!(
        daemon.ask(&Method::DELETE, VIEWS, Some(&operator)).await.status,
        StatusCode::NO_CONTENT
    );
    for (method, path) in [
        (Method::GET, VIEWS.to_owned()),
        (Method::DELETE, VIEWS.to_owned()),
        (Method::POST, format!("{VIEWS}/start")),
    ] {
        assert_eq!(
            daemon.ask(&method, &path, Some(&operator)).await.kind(),
            "not-found",
            "{method} {path}"
        );
    }
    let verbs: Vec<String> = daemon
        .audit()
        .await
        .into_iter()
        .map(|entry| format!("{} {}", entry.verb, entry.result))
        .collect();
    let expected = [
        "apply ok",
        "pause ok",
        "resume ok",
        "stop ok",
        "start ok",
        "stop ok",
        "delete ok",
        "delete not-found",
        "start not-found",
    ];
    assert_eq!(verbs, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let daemon = Daemon::new().await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    let put = async |file: &str, tag: &str| {
        let mut request = json_request(&Method::PUT, VIEWS, &operator, json!({ "file": file }).to_string());
        request.headers_mut().insert(header::IF_MATCH, tag.parse().unwrap());
        daemon.send(request).await
    };
    assert_eq!(put(FILE, "*").await.kind(), "changed");
    assert_eq!(put(FILE, "\"1\"").await.kind(), "changed");
    let made = daemon.apply("views", &operator, FILE).await;
    let tag = made.headers[header::ETAG].to_str().unwrap().to_owned();
    let second = put("a = 1\n", &tag).await;
    assert_eq!(second.status, StatusCode::OK, "{second:?}");
    let late = put("a = 2\n", &tag).await;
    assert_eq!(
        (late.status, late.kind().as_str()),
        (StatusCode::PRECONDITION_FAILED, "changed")
    );
    assert_eq!(put("a = 2\n", "*").await.status, StatusCode::OK);
    assert_eq!(put("a = 2\n", "W/\"3\"").await.kind(), "invalid");
    let mut request = json_request(&Method::DELETE, VIEWS, &operator, String::new());
    request.headers_mut().insert(header::IF_MATCH, tag.parse().unwrap());
    assert_eq!(daemon.send(request).await.kind(), "invalid");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_its_check_refuses_is_not_taken() {
    let daemon = Daemon::new().await;
    let operator = daemon.token(Some("alpha"), Role::Operator).await;
    let answer = daemon.apply("views", &operator, "# refuse\n").await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "invalid")
    );
    let hint = daemon.apply("views", &operator, "# refuse\n").await.json()["hint"].clone();
    assert_eq!(hint, "leave it out");
    assert_eq!(daemon.get(VIEWS, &operator).await.kind(), "not-found");
    let digest = format!("sha256:{}", "0".repeat(64));
    let body = json!({ "file": FILE, "plugins": { "count": digest } });
    let answer = daemon.tell(&Method::PUT, VIEWS, &operator, &body).await;
    assert_eq!(
        (answer.status, answer.kind().as_str()),
        (StatusCode::UNPROCESSABLE_ENTITY, "plugin-refused")
    );
}

#[test]
fn a_tenant_reads_which_plugin_it_is_and_never_where_it_lies() {
    let mortal = Mortal::new();
    let names_it = |text: &str, digest: &Digest| {
        let lies_in = mortal.home().ancestors().nth(3).unwrap().display().to_string();
        assert!(text.contains(digest.as_str()) && !text.contains(&lies_in), "{text}");
    };
    let unfit = mortal.plugin("unfit");
    let body = json!({ "file": mortal::FILE, "plugins": { "count": &unfit } });
    let refused = mortal.tell(Method::PUT, VIEWS, &body);
    assert_eq!(refused.kind(), "plugin-refused");
    names_it(&refused.text(), &unfit);
    mortal.apply("astray");
    mortal.until("it fails", |mortal| mortal.status()["state"] == "failed");
    let astray = mortal.plugin("astray");
    names_it(mortal.status()["reason"].as_str().unwrap(), &astray);
    names_it(&mortal.get(&format!("{VIEWS}/support"))["log"].to_string(), &astray);
}
