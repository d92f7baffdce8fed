//! Whether a line means what is expected. A field that the expected line leaves out is not looked at.
//!
//! Keys and values are bytes in Kafka: text that is JSON and JSON are the same there, so they are compared as JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::Value;

/// What an expected record may say. What `consume` prints beside may stand there, and is not looked at.
pub(super) const RECORD_FIELDS: &[&str] = &[
    "key",
    "key-base64",
    "value",
    "value-base64",
    "timestamp",
    "headers",
    "topic",
    "partition",
    "offset",
];
/// What an expected refusal may say.
pub(super) const REFUSED_FIELDS: &[&str] = &["record", "how", "reason", "operator"];
/// What an expected entry of the state, or a timer, may say.
pub(super) const STATE_FIELDS: &[&str] = &[
    "operator",
    "store",
    "key",
    "key-base64",
    "user-key",
    "user-key-hex",
    "value",
    "value-hex",
    "items",
    "timer",
    "clock",
    "at",
];

/// Where a record differs from the expected one: a field, and the place in it.
pub(super) fn record_differs(expected: &Value, got: &Value) -> Option<String> {
    for part in ["key", "value"] {
        let is_given = [part.to_owned(), format!("{part}-base64")];
        if is_given.iter().all(|name| expected.get(name).is_none()) {
            continue;
        }
        let at = match (Meaning::of(expected, part), Meaning::of(got, part)) {
            (Meaning::Json(expected), Meaning::Json(got)) => json_differs(&expected, &got),
            (expected, got) => (expected != got).then(String::new),
        };
        if let Some(at) = at {
            return Some(format!("{part}{at}"));
        }
    }
    let differs = |field: &str| expected.get(field).is_some_and(|said| got.get(field) != Some(said));
    if differs("timestamp") {
        return Some("timestamp".to_owned());
    }
    let headers_differ = expected
        .get("headers")
        .is_some_and(|said| headers(said) != headers(&got["headers"]));
    headers_differ.then(|| "headers".to_owned())
}

/// The first field in which a line differs from the expected one.
pub(super) fn fields_differ(expected: &Value, got: &Value) -> Option<String> {
    let mut fields = expected.as_object()?.iter();
    let (name, said) = fields.find(|(name, said)| got.get(name.as_str()) != Some(*said))?;
    let at = got
        .get(name)
        .and_then(|got| json_differs(said, got))
        .unwrap_or_default();
    Some(format!("{name}{at}"))
}

/// What the bytes of a key or a value are.
#[derive(Debug, PartialEq)]
enum Meaning {
    /// Kafka's null.
    Null,
    Json(Value),
    Text(String),
    Bytes(Vec<u8>),
}

impl Meaning {
    fn of(line: &Value, part: &str) -> Self {
        if let Some(coded) = line.get(format!("{part}-base64")).and_then(Value::as_str) {
            return match BASE64.decode(coded).map(String::from_utf8) {
                Ok(Ok(text)) => Self::of_text(&text),
                Ok(Err(bytes)) => Meaning::Bytes(bytes.into_bytes()),
                Err(_) => Meaning::Text(format!("no base64: {coded}")),
            };
        }
        match line.get(part) {
            None | Some(Value::Null) => Meaning::Null,
            Some(Value::String(text)) => Self::of_text(text),
            Some(json) => Meaning::Json(json.clone()),
        }
    }

    fn of_text(text: &str) -> Self {
        match serde_json::from_str(text) {
            Ok(json @ (Value::Object(_) | Value::Array(_) | Value::Number(_) | Value::Bool(_))) => Meaning::Json(json),
            _ => Meaning::Text(text.to_owned()),
        }
    }
}

/// The place where two JSON values part, as a pointer.
fn json_differs(expected: &Value, got: &Value) -> Option<String> {
    match (expected, got) {
        (Value::Object(expected), Value::Object(got)) => {
            let missing = |name: &String| !expected.contains_key(name);
            let of_both = expected.iter().find_map(|(name, said)| match got.get(name) {
                Some(got) => json_differs(said, got).map(|at| format!("/{name}{at}")),
                None => Some(format!("/{name}")),
            });
            of_both.or_else(|| got.keys().find(|name| missing(name)).map(|name| format!("/{name}")))
        }
        (Value::Array(expected), Value::Array(got)) if expected.len() == got.len() => {
            let mut pairs = expected.iter().zip(got).enumerate();
            pairs.find_map(|(index, (said, got))| json_differs(said, got).map(|at| format!("/{index}{at}")))
        }
        (expected, got) => (expected != got).then(String::new),
    }
}

/// The headers as pairs; those of an object are in no order, so none is looked at.
fn headers(said: &Value) -> Vec<(String, String)> {
    let mut pairs: Vec<(String, String)> = match said {
        Value::Object(headers) => {
            let names = headers
                .iter()
                .map(|(name, value)| (Value::from(name.as_str()).to_string(), value.to_string()));
            names.collect()
        }
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| (pair[0].to_string(), pair[1].to_string()))
            .collect(),
        _ => Vec::new(),
    };
    pairs.sort();
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn text_that_is_json_is_json_and_a_tombstone_is_none() {
        let same = |expected: Value, got: Value| {
            assert_eq!(
                record_differs(&json!({ "value": expected }), &json!({ "value": got })),
                None
            );
        };
        same(json!({"a": 1, "b": 2}), json!("{\"b\":2, \"a\":1}"));
        same(json!(5), json!("5"));
        same(json!("plain"), json!("plain"));
        same(json!(null), json!(null));
        let differs = |expected: Value, got: Value, at: &str| {
            let found = record_differs(&json!({ "value": expected }), &json!({ "value": got }));
            assert_eq!(found.as_deref(), Some(at));
        };
        differs(json!(null), json!("null"), "value");
        differs(json!({"a": [1, 2]}), json!("{\"a\":[1,3]}"), "value/a/1");
        differs(json!({"a": 1}), json!({"a": 1, "b": 2}), "value/b");
        differs(json!({"a": 1}), json!({}), "value/a");
        differs(json!("1.0"), json!("1"), "value");
    }

    #[test]
    fn what_is_left_out_is_not_looked_at() {
        let got = json!({"key": "k", "value": "v", "timestamp": 7, "headers": {"a": "1", "b": null}});
        for (expected, at) in [
            (json!({}), None),
            (json!({"value": "v"}), None),
            (json!({"value-base64": "dg=="}), None),
            (json!({"key": "other"}), Some("key")),
            (json!({"key": null}), Some("key")),
            (json!({"timestamp": 8}), Some("timestamp")),
            (json!({"headers": {"b": null, "a": "1"}}), None),
            (json!({"headers": [["b", null], ["a", "1"]]}), None),
            (json!({"headers": {}}), Some("headers")),
        ] {
            assert_eq!(record_differs(&expected, &got).as_deref(), at, "{expected}");
        }
        assert_eq!(record_differs(&json!({"headers": {}}), &json!({"value": "v"})), None);
        let refusal = json!({"record": 3, "how": "dead-letter", "reason": "no key"});
        assert_eq!(fields_differ(&json!({"record": 3}), &refusal), None);
        assert_eq!(
            fields_differ(&json!({"record": 3, "how": "fault"}), &refusal).as_deref(),
            Some("how")
        );
    }
}
