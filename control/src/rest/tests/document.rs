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
            assert!(operation["responses"]["default"]["content"]["application/problem+json"].is_object());
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
