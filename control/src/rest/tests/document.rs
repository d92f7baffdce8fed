//! The OpenAPI document.

use axum::http::{Method, StatusCode};
use serde_json::Value;

use super::super::openapi::openapi;
use super::daemon::Daemon;

#[tokio::test]
async fn the_document_that_is_kept_is_the_one_that_is_answered() {
    let answer = Daemon::new().await.ask(&Method::GET, "/v1/openapi.json", None).await;
    assert_eq!(
        (answer.status, &answer.headers["content-type"]),
        (StatusCode::OK, &"application/json".parse().unwrap())
    );
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("openapi.json");
    let text = answer.text() + "\n";
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == text,
        "control/openapi.json is not what the routes say: run with UPDATE_DOCS=1"
    );
}

const HEAD: &str = "# The interface of sandbar serve

This page is made from the OpenAPI document, which `GET /v1/openapi.json` answers and `control/openapi.json` keeps: that
has every field of what comes in and goes out. A request carries `Authorization: Bearer TOKEN`. A problem is
`application/problem+json` (RFC 9457) with the sentences of the command line; another tenant is one that is not there.
Lists come in pieces: `most` items behind `after`, and `next` is where to go on.
";

/// What the page says of the document: a table for each tag, a row for each route.
fn page() -> String {
    let document = serde_json::to_value(openapi()).unwrap();
    let mut tags: std::collections::BTreeMap<String, Vec<String>> = std::collections::BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let text = |name: &str| operation[name].as_str().unwrap_or_default().replace('\n', " ");
            let row = format!(
                "| `{} {path}` | {} | {} |",
                method.to_uppercase(),
                text("summary"),
                text("description")
            );
            let tag = operation["tags"][0].as_str().unwrap_or("other").to_owned();
            tags.entry(tag).or_default().push(row);
        }
    }
    let mut page = HEAD.to_owned();
    for (tag, rows) in tags {
        page += &format!("\n## {tag}\n\n| route | | |\n|---|---|---|\n{}\n", rows.join("\n"));
    }
    page
}

#[test]
fn the_page_says_what_the_document_says() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/rest.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page(),
        "docs/rest.md is not what the routes say: run with UPDATE_DOCS=1"
    );
}

#[test]
fn the_document_is_whole() {
    let document = serde_json::to_value(openapi()).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let mut ids = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap();
            assert!(ids.insert(id.to_owned()), "{id} is there twice");
            assert!(
                operation["description"].as_str().unwrap().starts_with("Needs "),
                "{method} {path}"
            );
            let refused = &operation["responses"]["401"]["content"]["application/problem+json"];
            assert_eq!(refused.is_object(), path != "/v1/openapi.json", "{method} {path}");
            assert!(
                operation["responses"]["default"].is_null(),
                "every status is named: {method} {path}"
            );
            let names: Vec<&str> = path
                .split('{')
                .skip(1)
                .filter_map(|part| part.split('}').next())
                .collect();
            let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
            let of_path = parameters.iter().filter(|parameter| parameter["in"] == "path");
            let described: Vec<&str> = of_path.filter_map(|parameter| parameter["name"].as_str()).collect();
            assert_eq!(names, described, "{method} {path}");
        }
    }
    refers(&document, &document);
}

/// What it refers to is there.
fn refers(part: &Value, document: &Value) {
    match part {
        Value::Object(fields) => {
            if let Some(Value::String(target)) = fields.get("$ref") {
                let found = document.pointer(target.strip_prefix('#').unwrap());
                assert!(found.is_some(), "{target} is not there");
            }
            fields.values().for_each(|field| refers(field, document));
        }
        Value::Array(items) => items.iter().for_each(|item| refers(item, document)),
        _ => {}
    }
}
