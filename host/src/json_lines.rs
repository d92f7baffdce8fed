//! Records as JSON lines, one object a line: what file sources and sinks, `produce` and `consume` read and write.
//!
//! ```text
//! {"key":"user-1","value":{"n":5},"timestamp":1700000000000,"headers":{"trace":"a1"}}
//! ```
//!
//! | field | read | written |
//! |---|---|---|
//! | `key`, `value` | a string: its text; `null` or absent: Kafka's null; anything else: its JSON text as it stands in the line | an object or array that is JSON on one line: as it is; other UTF-8: a string |
//! | `key-base64`, `value-base64` | bytes, in place of the one above | if the bytes are not UTF-8 |
//! | `timestamp` | milliseconds since 1970; absent: the time of reading | always |
//! | `headers` | an object, or an array of `[name, value]` if a name repeats; an entry is a string, `null`, or `{"base64":"…"}` | if there are any |
//! | `topic`, `partition`, `offset` | ignored, so that what `consume` prints can be produced again | by `consume` |
//! | `input` | ignored: it belongs to the cases of `sandbar test` | never |
//!
//! Any other field is an error. Always: what `write` wrote, `read` reads back to the same bytes.

use std::borrow::Cow;
use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::record::{Column, Records};

/// Adds the record of a line. Its offset is 0: the reader of a file knows better. A line without a timestamp gets
/// `now_ms`.
///
/// # Errors
/// Why the line is not a record, for a person; `into` is then as it was.
pub fn read(line: &[u8], now_ms: i64, into: &mut Records) -> Result<(), String> {
    if !matches!(line.trim_ascii_start().first(), Some(b'{')) {
        return Err("expected a JSON object with `key` and `value`".to_owned());
    }
    let line: JsonLine<'_> = serde_json::from_slice(line).map_err(|why| on_one_line(&why))?;
    let key = entry("key", line.key, line.key_base64)?;
    let value = entry("value", line.value, line.value_base64)?;
    let headers = match &line.headers {
        None => Vec::new(),
        Some(JsonHeaders(pairs)) => pairs.iter().map(JsonHeader::bytes).collect::<Result<_, String>>()?,
    };
    let at = into.len() as u32;
    into.keys.push(key.as_deref());
    into.values.push(value.as_deref());
    into.timestamps.push(line.timestamp.unwrap_or(now_ms));
    for (name, value) in &headers {
        into.headers.push(at, name, value.as_deref());
    }
    into.offsets.push(0);
    Ok(())
}

/// Adds the line of record `index`, with its end of line; with `place` (a topic and a partition) also where the record
/// lies.
pub fn write(records: &Records, index: usize, place: Option<(&str, i32)>, into: &mut Vec<u8>) {
    into.push(b'{');
    if let Some((topic, partition)) = place {
        into.extend_from_slice(b"\"topic\":");
        write_string(topic, into);
        let offset = records.offsets[index];
        into.extend_from_slice(format!(",\"partition\":{partition},\"offset\":{offset},").as_bytes());
    }
    write_entry("key", &records.keys, index, into);
    into.push(b',');
    write_entry("value", &records.values, index, into);
    into.extend_from_slice(b",\"timestamp\":");
    write_json(&records.timestamps[index], into);
    if !records.headers.is_empty() {
        write_headers(records, index, into);
    }
    into.extend_from_slice(b"}\n");
}

#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    rename_all = "kebab-case",
    expecting = "a JSON object with `key` and `value`"
)]
struct JsonLine<'a> {
    #[serde(borrow, default)]
    key: Option<&'a RawValue>,
    #[serde(borrow, default)]
    value: Option<&'a RawValue>,
    #[serde(borrow, default)]
    key_base64: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    value_base64: Option<Cow<'a, str>>,
    #[serde(default)]
    timestamp: Option<i64>,
    #[serde(borrow, default)]
    headers: Option<JsonHeaders<'a>>,
    #[serde(default, rename = "topic")]
    _topic: Option<IgnoredAny>,
    #[serde(default, rename = "partition")]
    _partition: Option<IgnoredAny>,
    #[serde(default, rename = "offset")]
    _offset: Option<IgnoredAny>,
    #[serde(default, rename = "input")]
    _input: Option<IgnoredAny>,
}

/// The bytes of a key or a value.
fn entry<'a>(
    name: &str,
    json: Option<&'a RawValue>,
    base64: Option<Cow<'a, str>>,
) -> Result<Option<Cow<'a, [u8]>>, String> {
    match (json, base64) {
        (Some(_), Some(_)) => Err(format!("both `{name}` and `{name}-base64` are given")),
        (None, None) => Ok(None),
        (None, Some(text)) => Ok(Some(decoded(&format!("{name}-base64"), &text)?.into())),
        (Some(json), None) => text_or_json(json.get())
            .map(Some)
            .map_err(|why| format!("`{name}`: {}", on_one_line(&why))),
    }
}

/// The text of a JSON string, or the JSON as it stands.
fn text_or_json(json: &str) -> Result<Cow<'_, [u8]>, serde_json::Error> {
    match json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        None => Ok(json.as_bytes().into()),
        Some(text) if !text.contains('\\') => Ok(text.as_bytes().into()),
        Some(_) => serde_json::from_str::<String>(json).map(|text| text.into_bytes().into()),
    }
}

fn decoded(field: &str, text: &str) -> Result<Vec<u8>, String> {
    BASE64
        .decode(text)
        .map_err(|why| format!("`{field}` is not base64: {why}"))
}

/// A line is one line, so its number says nothing; the column does.
fn on_one_line(why: &serde_json::Error) -> String {
    let text = why.to_string();
    match text.rsplit_once(" at line ") {
        Some((what, _)) => format!("{what} at column {}", why.column()),
        None => text,
    }
}

/// Headers in their order; a name may repeat.
struct JsonHeaders<'a>(Vec<JsonHeader<'a>>);

#[derive(Deserialize)]
struct JsonHeader<'a>(#[serde(borrow)] Text<'a>, #[serde(borrow)] Option<Text<'a>>);

/// A header's name or value: a string, or `{"base64":"…"}`.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a header is a string, null or {\"base64\":\"…\"}")]
enum Text<'a> {
    Plain(#[serde(borrow)] Cow<'a, str>),
    #[serde(borrow)]
    Coded(Coded<'a>),
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Coded<'a> {
    Base64(#[serde(borrow)] Cow<'a, str>),
}

type HeaderBytes<'a> = (Cow<'a, [u8]>, Option<Cow<'a, [u8]>>);

impl JsonHeader<'_> {
    fn bytes(&self) -> Result<HeaderBytes<'_>, String> {
        let value = self.1.as_ref().map(Text::bytes).transpose()?;
        Ok((self.0.bytes()?, value))
    }
}

impl Text<'_> {
    fn bytes(&self) -> Result<Cow<'_, [u8]>, String> {
        match self {
            Text::Plain(text) => Ok(text.as_bytes().into()),
            Text::Coded(Coded::Base64(text)) => Ok(decoded("headers", text)?.into()),
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonHeaders<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(HeadersVisitor)
    }
}

struct HeadersVisitor;

impl<'de> Visitor<'de> for HeadersVisitor {
    type Value = JsonHeaders<'de>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("headers as an object, or as an array of [name, value]")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut headers = Vec::new();
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, Option<Text<'de>>>()? {
            headers.push(JsonHeader(Text::Plain(name), value));
        }
        Ok(JsonHeaders(headers))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
        let mut headers = Vec::new();
        while let Some(header) = pairs.next_element()? {
            headers.push(header);
        }
        Ok(JsonHeaders(headers))
    }
}

// Writing.

fn write_entry(name: &str, column: &Column, index: usize, into: &mut Vec<u8>) {
    let bytes = column.get(index);
    let text = bytes.map(std::str::from_utf8);
    let suffix = if matches!(text, Some(Err(_))) { "-base64" } else { "" };
    into.push(b'"');
    into.extend_from_slice(name.as_bytes());
    into.extend_from_slice(suffix.as_bytes());
    into.extend_from_slice(b"\":");
    match text {
        None => into.extend_from_slice(b"null"),
        Some(Ok(text)) if stands_as_json(text) => into.extend_from_slice(text.as_bytes()),
        Some(Ok(text)) => write_string(text, into),
        Some(Err(_)) => write_base64(bytes.unwrap_or_default(), into),
    }
}

/// Whether the text may stand in a line as it is: an object or an array (a number or a word would come back the same
/// too, but a text `5` would look like a number to other programs), on one line, without space around that a reader
/// would lose.
fn stands_as_json(text: &str) -> bool {
    let bytes = text.as_bytes();
    let enclosed = matches!(
        (bytes.first(), bytes.last()),
        (Some(b'{'), Some(b'}')) | (Some(b'['), Some(b']'))
    );
    enclosed
        && !bytes.iter().any(|byte| matches!(byte, b'\n' | b'\r'))
        && serde_json::from_str::<IgnoredAny>(text).is_ok()
}

fn write_headers(records: &Records, index: usize, into: &mut Vec<u8>) {
    let headers: Vec<_> = records.headers.of(index as u32).collect();
    if headers.is_empty() {
        return;
    }
    into.extend_from_slice(b",\"headers\":");
    let repeats = |at: usize| headers[..at].iter().any(|(name, _)| *name == headers[at].0);
    let plain = (0..headers.len()).all(|at| std::str::from_utf8(headers[at].0).is_ok() && !repeats(at));
    into.push(if plain { b'{' } else { b'[' });
    for (at, (name, value)) in headers.iter().enumerate() {
        if at > 0 {
            into.push(b',');
        }
        if !plain {
            into.push(b'[');
        }
        write_text(Some(name), into);
        into.push(if plain { b':' } else { b',' });
        write_text(*value, into);
        if !plain {
            into.push(b']');
        }
    }
    into.push(if plain { b'}' } else { b']' });
}

fn write_text(bytes: Option<&[u8]>, into: &mut Vec<u8>) {
    match bytes.map(std::str::from_utf8) {
        None => into.extend_from_slice(b"null"),
        Some(Ok(text)) => write_string(text, into),
        Some(Err(_)) => {
            into.extend_from_slice(b"{\"base64\":");
            write_base64(bytes.unwrap_or_default(), into);
            into.push(b'}');
        }
    }
}

fn write_base64(bytes: &[u8], into: &mut Vec<u8>) {
    into.push(b'"');
    into.extend_from_slice(BASE64.encode(bytes).as_bytes());
    into.push(b'"');
}

fn write_string(text: &str, into: &mut Vec<u8>) {
    write_json(text, into);
}

/// Adds a JSON value; writing strings and numbers to memory cannot fail.
fn write_json<T: Serialize + ?Sized>(value: &T, into: &mut Vec<u8>) {
    let written = serde_json::to_writer(&mut *into, value);
    debug_assert!(written.is_ok(), "a string or a number is JSON and memory takes it");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(line: &str) -> Result<Records, String> {
        let mut records = Records::default();
        read(line.as_bytes(), 99, &mut records).map(|()| records)
    }

    #[test]
    fn a_string_is_its_text_and_anything_else_its_json() {
        for (json, bytes) in [
            (r#""a b""#, Some(&b"a b"[..])),
            (r#""\u00e4\n\"""#, Some("ä\n\"".as_bytes())),
            (r#""""#, Some(b"")),
            ("null", None),
            ("5", Some(b"5")),
            ("1e400", Some(b"1e400")),
            ("true", Some(b"true")),
            (r#"{"a" : [1, 2.50] }"#, Some(br#"{"a" : [1, 2.50] }"#)),
        ] {
            let records = one(&format!(r#"{{"key": {json}, "value": {json} }}"#)).unwrap();
            assert_eq!((records.keys.get(0), records.values.get(0)), (bytes, bytes), "{json}");
        }
        assert_eq!(one("{}").unwrap().values.get(0), None);
        assert_eq!(one("{}").unwrap().timestamps, [99]);
        assert_eq!(
            one(r#"{"timestamp":-5,"topic":"t","partition":0,"offset":7}"#)
                .unwrap()
                .timestamps,
            [-5]
        );
    }

    #[test]
    fn a_wrong_line_says_why_and_adds_nothing() {
        for (line, why) in [
            (r#"{"ke":1}"#, "unknown field `ke`"),
            (r#"{"key":1,"key":2}"#, "duplicate field `key`"),
            (
                r#"{"key":"a","key-base64":"YQ=="}"#,
                "both `key` and `key-base64` are given",
            ),
            (r#"{"value-base64":"?"}"#, "`value-base64` is not base64"),
            (r#"{"value":"\ud800"}"#, "`value`: "),
            (r#"{"value":"#, "EOF while parsing a value at column 9"),
            (
                r#"{"timestamp":1.5}"#,
                "floating point `1.5`, expected i64 at column 16",
            ),
            (
                r#"{"headers":5}"#,
                "headers as an object, or as an array of [name, value]",
            ),
            (r#"{"headers":{"a":5}}"#, "a header is a string, null or"),
            ("5", "expected a JSON object with `key` and `value`"),
            ("[1]", "expected a JSON object"),
            ("", "expected a JSON object"),
            (r#"{"headers":{"a":["YQ=="]}}"#, "a header is a string, null or"),
            (r#"{"headers":{"a":{"base64":"?"}}}"#, "`headers` is not base64"),
            ("{} {}", "trailing characters"),
        ] {
            let mut records = Records::default();
            let error = read(line.as_bytes(), 0, &mut records).unwrap_err();
            assert!(error.contains(why), "{line}: {error}");
            assert_eq!(records, Records::default(), "{line}");
        }
        assert!(read(b"{\"value\":\"\xff\"}", 0, &mut Records::default()).is_err());
    }

    #[test]
    fn a_line_is_what_a_person_would_write() {
        let mut records = one(r#"{"key":"k","value":{"n":5},"timestamp":12,"headers":{"a":"1","b":null}}"#).unwrap();
        records.offsets[0] = 7;
        let mut line = Vec::new();
        write(&records, 0, Some(("views", 3)), &mut line);
        let place = r#""topic":"views","partition":3,"offset":7"#;
        let golden = r#""key":"k","value":{"n":5},"timestamp":12,"headers":{"a":"1","b":null}"#;
        assert_eq!(String::from_utf8(line).unwrap(), format!("{{{place},{golden}}}\n"));
        let mut line = Vec::new();
        let repeated = one(r#"{"value":"5","headers":[["a","1"],["a",null],[{"base64":"/w=="},{"base64":"AP8="}]]}"#);
        write(&repeated.unwrap(), 0, None, &mut line);
        let headers = r#"[["a","1"],["a",null],[{"base64":"/w=="},{"base64":"AP8="}]]"#;
        let golden = format!(r#"{{"key":null,"value":"5","timestamp":99,"headers":{headers}}}"#);
        assert_eq!(String::from_utf8(line).unwrap(), format!("{golden}\n"));
    }

    /// A fixed sequence of numbers that looks random.
    struct Dice(u64);

    impl Dice {
        fn below(&mut self, limit: u64) -> u64 {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            self.0 % limit
        }

        /// Bytes near JSON: mostly pieces of it, sometimes anything.
        fn bytes(&mut self) -> Option<Vec<u8>> {
            const PIECES: [&[u8]; 20] = [
                b"{",
                b"}",
                b"[",
                b"]",
                b"\"",
                b":",
                b",",
                b" ",
                b"\n",
                b"\r",
                b"\\",
                b"a",
                b"5",
                b"null",
                b"true",
                b"\xff",
                b"\0",
                "ä🦀\u{2028}".as_bytes(),
                br#"{"a":[1, {}]}"#,
                br#""\ud800""#,
            ];
            match self.below(8) {
                0 => None,
                1 => Some(Vec::new()),
                2 => Some(br#"{"a" : [1,2,{"b":"\ud800 \u00e4"}], "c":1e999}"#.to_vec()),
                _ => Some(
                    (0..self.below(6))
                        .flat_map(|_| PIECES[self.below(20) as usize].to_vec())
                        .collect(),
                ),
            }
        }
    }

    #[test]
    fn what_is_written_reads_back_to_the_same_bytes() {
        let mut dice = Dice(0x5eed_1234_5678_9abc);
        let mut records = Records::default();
        for index in 0..20_000 {
            records.keys.push(dice.bytes().as_deref());
            records.values.push(dice.bytes().as_deref());
            records.timestamps.push(dice.below(u64::MAX) as i64);
            records.offsets.push(0);
            for _ in 0..dice.below(4) {
                let (name, value) = (dice.bytes().unwrap_or_default(), dice.bytes());
                records.headers.push(index, &name, value.as_deref());
            }
        }
        let mut text = Vec::new();
        (0..records.len()).for_each(|index| write(&records, index, None, &mut text));
        let lines: Vec<_> = text
            .split(|byte| *byte == b'\n')
            .filter(|line| !line.is_empty())
            .collect();
        assert_eq!(lines.len(), records.len());
        let mut back = Records::default();
        for line in lines {
            read(line, -1, &mut back).unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(line)));
        }
        assert_eq!(back, records);
    }
}
