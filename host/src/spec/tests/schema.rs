//! The schema and the parser say the same.

use serde_json::Value;

use super::super::schema;

/// Why a value is not what a schema says, for the words that our schema uses; another word fails the test.
fn violation(schema: &Value, root: &Value, value: &Value) -> Option<String> {
    let Value::Object(words) = schema else { return None };
    let check = |word: &String, rule: &Value| -> Option<String> {
        let fails = |fine: bool| (!fine).then(|| format!("{value} breaks {word}: {rule}"));
        match word.as_str() {
            "$schema" | "$defs" | "title" | "description" | "default" | "format" => None,
            "$ref" => {
                let target = root.pointer(rule.as_str()?.strip_prefix('#')?);
                target.map_or(Some(format!("no {rule}")), |target| violation(target, root, value))
            }
            "type" => fails(is_of_type(value, rule.as_str().unwrap())),
            "enum" => fails(rule.as_array().unwrap().contains(value)),
            "const" => fails(rule == value),
            "pattern" => fails(
                value
                    .as_str()
                    .is_none_or(|text| regex::Regex::new(rule.as_str().unwrap()).unwrap().is_match(text)),
            ),
            "minimum" => fails(value.as_i64().is_none_or(|number| number >= rule.as_i64().unwrap())),
            "maximum" => fails(value.as_i64().is_none_or(|number| number <= rule.as_i64().unwrap())),
            "minProperties" => fails(
                value
                    .as_object()
                    .is_none_or(|object| object.len() as u64 >= rule.as_u64().unwrap()),
            ),
            "required" => fails(
                rule.as_array()
                    .unwrap()
                    .iter()
                    .all(|key| value.get(key.as_str().unwrap()).is_some()),
            ),
            "oneOf" => fails(
                rule.as_array()
                    .unwrap()
                    .iter()
                    .filter(|one| violation(one, root, value).is_none())
                    .count()
                    == 1,
            ),
            "anyOf" => fails(
                rule.as_array()
                    .unwrap()
                    .iter()
                    .any(|one| violation(one, root, value).is_none()),
            ),
            "items" => value.as_array()?.iter().find_map(|item| violation(rule, root, item)),
            "propertyNames" => value
                .as_object()?
                .keys()
                .find_map(|key| violation(rule, root, &key.as_str().into())),
            "properties" => (rule.as_object().unwrap().iter())
                .find_map(|(key, rule)| value.get(key).and_then(|value| violation(rule, root, value))),
            "additionalProperties" => {
                let known = words.get("properties").and_then(Value::as_object);
                let mut others = value
                    .as_object()?
                    .iter()
                    .filter(|(key, _)| known.is_none_or(|known| !known.contains_key(*key)));
                match rule {
                    Value::Bool(false) => others.next().map(|(key, _)| format!("unknown key {key}")),
                    rule => others.find_map(|(_, value)| violation(rule, root, value)),
                }
            }
            other => panic!("the schema has the word {other}, which this test does not know"),
        }
    };
    words.iter().find_map(|(word, rule)| check(word, rule))
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        other => panic!("the schema has the type {other}"),
    }
}

fn json(text: &str) -> Value {
    let table: toml::Table = text.parse().unwrap();
    plain(toml::Value::Table(table))
}

/// Dates as text, which is how the file's reader takes them.
fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(plain).collect(),
        toml::Value::Table(table) => table.into_iter().map(|(key, value)| (key, plain(value))).collect(),
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(truth) => truth.into(),
    }
}

#[test]
fn the_schema_accepts_what_the_parser_accepts() {
    let schema = schema();
    let whole = json(include_str!("whole.toml"));
    assert_eq!(violation(&schema, &schema, &whole), None);
}

#[test]
fn the_schema_refuses_what_the_parser_refuses() {
    let schema = schema();
    let changes = [
        ("/workers", Value::from(0)),
        ("/name", Value::from("Page")),
        ("/queue-memory", Value::from(5)),
        ("/source/views/start", Value::from("timestamp")),
        ("/source/views/otherwise", Value::from("earlist")),
        ("/source/some/start/offsets/views/0", Value::from(-1)),
        ("/source/some/partitions/views/0", Value::from(-1)),
        ("/kafka/properties/sasl.password", serde_json::json!({ "vault": "x" })),
        ("/checkpoint/interval", Value::from("1 second")),
        ("/operator/count", serde_json::json!({ "inputs": ["a"] })),
        ("/state", serde_json::json!({ "dirr": "x" })),
    ];
    for (pointer, wrong) in changes {
        let mut file = json(include_str!("whole.toml"));
        *file.pointer_mut(pointer).unwrap() = wrong;
        assert!(violation(&schema, &schema, &file).is_some(), "{pointer}");
    }
}

#[test]
fn every_key_is_described() {
    let schema = schema();
    let tables = schema["$defs"].as_object().unwrap().values().chain([&schema]);
    let keys = tables
        .filter_map(|table| table.get("properties")?.as_object())
        .flatten();
    let missing: Vec<_> = keys
        .filter(|(_, key)| key.get("description").is_none())
        .map(|(name, _)| name)
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn the_schema_says_the_defaults() {
    let schema = schema();
    let source = &schema["$defs"]["Source"]["properties"];
    assert_eq!(source["start"]["default"], "group-offsets");
    assert_eq!(source["auto-commit-interval"]["default"], "5s");
    assert_eq!(source["discovery-interval"]["default"], "5m");
    assert_eq!(source["max-batch"]["default"], 1000);
    assert_eq!(schema["properties"]["queue-memory"]["default"], "64MiB");
}
