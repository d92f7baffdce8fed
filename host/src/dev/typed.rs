//! What a person types into a session.

use serde_json::{Value, json};

use crate::json_lines;
use crate::record::Records;

/// A line, understood.
#[derive(Debug)]
pub(super) enum Typed {
    /// A record for a source, by its index.
    Record(usize, Box<Records>),
    /// Show what is kept of a key.
    State(String),
    Help,
    Quit,
    Nothing,
}

/// Reads a line: `KEY VALUE` or a JSON object as `sandbar produce` takes it, behind the name of a source if there are
/// several; or `:state KEY`, `:help`, `:quit`.
///
/// # Errors
/// Why it is none of these.
pub(super) fn read(line: &str, sources: &[String], now_ms: i64) -> Result<Typed, String> {
    let line = line.trim();
    if line.is_empty() {
        return Ok(Typed::Nothing);
    }
    if let Some(command) = line.strip_prefix(':') {
        return match command
            .split_once(' ')
            .map_or((command, ""), |(verb, rest)| (verb, rest.trim()))
        {
            ("state", key) if !key.is_empty() => Ok(Typed::State(key.to_owned())),
            ("state", _) => Err("`:state` takes a key".to_owned()),
            ("help", _) => Ok(Typed::Help),
            ("quit", _) => Ok(Typed::Quit),
            (other, _) => Err(format!("there is no `:{other}`; `:help` tells what there is")),
        };
    }
    let (source, rest) = source_of(line, sources)?;
    let mut record = Records::default();
    match rest.starts_with('{') {
        true => json_lines::read(rest.as_bytes(), now_ms, &mut record)?,
        false => json_lines::read(key_and_value(rest)?.to_string().as_bytes(), now_ms, &mut record)?,
    }
    Ok(Typed::Record(source, Box::new(record)))
}

fn source_of<'a>(line: &'a str, sources: &[String]) -> Result<(usize, &'a str), String> {
    if sources.len() == 1 {
        return Ok((0, line));
    }
    let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
    let found = sources.iter().position(|source| source == name);
    found
        .map(|source| (source, rest.trim_start()))
        .ok_or_else(|| format!("`{name}` is no source; begin with one of {}", sources.join(", ")))
}

/// The first word is the key, the rest the value: JSON if it is, else text.
fn key_and_value(text: &str) -> Result<Value, String> {
    let (key, value) = text
        .split_once(' ')
        .ok_or("a record is typed as KEY VALUE, or as {\"key\":…,\"value\":…}")?;
    let value = value.trim_start();
    let as_json = serde_json::from_str::<Value>(value)
        .ok()
        .filter(|value| value.is_object() || value.is_array());
    Ok(json!({ "key": key, "value": as_json.unwrap_or_else(|| json!(value)) }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(line: &str, sources: &[&str]) -> (usize, String, String, i64) {
        let sources: Vec<String> = sources.iter().map(ToString::to_string).collect();
        let Typed::Record(source, records) = read(line, &sources, 7).unwrap() else {
            panic!("{line} is no record");
        };
        let text = |bytes: Option<&[u8]>| String::from_utf8_lossy(bytes.unwrap_or(b"null")).into_owned();
        (
            source,
            text(records.keys.get(0)),
            text(records.values.get(0)),
            records.timestamps[0],
        )
    }

    #[test]
    fn a_record_is_a_key_and_a_value_or_an_object() {
        let own = |key: &str, value: &str, time| (0, key.to_owned(), value.to_owned(), time);
        assert_eq!(record("a hello you", &["views"]), own("a", "hello you", 7));
        assert_eq!(record(" a  {\"ms\":7} ", &["views"]), own("a", "{\"ms\":7}", 7));
        assert_eq!(record("a 7", &["views"]), own("a", "7", 7));
        let object = r#"{"key":"b","value":{"n":1},"timestamp":5}"#;
        assert_eq!(record(object, &["views"]), own("b", "{\"n\":1}", 5));
        assert_eq!(
            record("right b x", &["left", "right"]),
            (1, "b".to_owned(), "x".to_owned(), 7)
        );
    }

    #[test]
    fn what_is_none_of_these_is_said() {
        let sources = ["left".to_owned(), "right".to_owned()];
        let wrong = |line: &str| read(line, &sources, 0).unwrap_err();
        assert!(wrong("a x").contains("left, right"));
        assert!(wrong("left a").contains("KEY VALUE"));
        assert!(wrong(":state").contains("takes a key"));
        assert!(wrong(":stat a").contains(":help"));
        assert!(wrong("left {\"key\":").contains("EOF"));
        assert!(matches!(read("", &sources, 0), Ok(Typed::Nothing)));
        assert!(matches!(read(":quit", &sources, 0), Ok(Typed::Quit)));
        assert!(matches!(read(":state  a b", &sources, 0), Ok(Typed::State(key)) if key == "a b"));
    }
}
