//! Lazy values: they are what serde_json reads, wherever they stand, and no bytes bring them down.

use std::borrow::Cow;
use std::fmt::Write;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{LazyValue, Pointer};
use crate::testing::chance::Chance;

fn lazy(document: &str) -> LazyValue<'_> {
    LazyValue::new(document.as_bytes()).unwrap()
}

const TEXTS: [&str; 9] = [
    "",
    "a",
    "a/b",
    "m~n",
    "~1",
    "ä€😀",
    "q\"\\\n\u{1}",
    "{[",
    "a long text, of more than a word",
];
const NUMBERS: [&str; 10] = [
    "0",
    "-1",
    "12",
    "9223372036854775807",
    "-9223372036854775808",
    "9223372036854775808",
    "0.5",
    "-12.25e-3",
    "1E2",
    "5.0",
];

/// A document by chance, with spaces and escapes wherever they may stand.
fn document(chance: &mut Chance, levels: u64, into: &mut String) {
    space(chance, into);
    match chance.below(if levels == 0 { 5 } else { 9 }) {
        0 => into.push_str(["null", "true", "false"][chance.below(3) as usize]),
        1 | 2 => into.push_str(NUMBERS[chance.below(NUMBERS.len() as u64) as usize]),
        3 | 4 => text(chance, into),
        5 | 6 => {
            into.push('[');
            for at in 0..chance.below(4) {
                into.push_str(if at > 0 { "," } else { "" });
                document(chance, levels - 1, into);
            }
            space(chance, into);
            into.push(']');
        }
        _ => {
            into.push('{');
            for at in 0..chance.below(5) {
                into.push_str(if at > 0 { "," } else { "" });
                space(chance, into);
                text(chance, into);
                space(chance, into);
                into.push(':');
                document(chance, levels - 1, into);
            }
            space(chance, into);
            into.push('}');
        }
    }
    space(chance, into);
}

fn space(chance: &mut Chance, into: &mut String) {
    (0..chance.below(8) / 6).for_each(|_| into.push([' ', '\n', '\t'][chance.below(3) as usize]));
}

fn text(chance: &mut Chance, into: &mut String) {
    let text = TEXTS[chance.below(TEXTS.len() as u64) as usize];
    if chance.below(2) == 0 {
        into.push_str(&json!(text).to_string());
        return;
    }
    into.push('"');
    for unit in text.encode_utf16() {
        write!(into, "\\u{unit:04x}").unwrap();
    }
    into.push('"');
}

/// What stands in the tree stands here, and is told to stand at this place.
fn check(lazy: LazyValue, tree: &Value, at: &str, top: LazyValue) {
    let told = lazy.to::<std::net::IpAddr>().unwrap_err().to_string();
    let place = if at.is_empty() {
        "the top".to_owned()
    } else {
        format!("\"{at}\"")
    };
    assert!(told.starts_with(&format!("at {place} stands ")), "{told}");
    assert_eq!(top.at(at).unwrap().text(), lazy.text(), "{at}");
    assert_eq!(lazy.to::<Value>().unwrap(), *tree, "{at}");
    assert_eq!(lazy.is_null(), tree.is_null(), "{at}");
    assert_eq!(lazy.as_bool().ok(), tree.as_bool(), "{at}");
    assert_eq!(lazy.as_i64().ok(), tree.as_i64(), "{at}");
    assert_eq!(lazy.as_f64().ok(), tree.as_f64(), "{at}");
    assert_eq!(lazy.as_str().ok().as_deref(), tree.as_str(), "{at}");
    let entries = lazy.entries().ok().map(Iterator::collect::<Vec<_>>);
    assert_eq!(entries.as_ref().map(Vec::len), tree.as_array().map(Vec::len), "{at}");
    for (index, (entry, of_tree)) in entries
        .iter()
        .flatten()
        .zip(tree.as_array().into_iter().flatten())
        .enumerate()
    {
        check(*entry, of_tree, &format!("{at}/{index}"), top);
    }
    let members = lazy.members().ok().map(Iterator::collect::<Vec<_>>);
    assert_eq!(members.is_some(), tree.is_object(), "{at}");
    for (name, _) in members.iter().flatten() {
        // Of equal names the last one counts.
        let (_, last) = members.iter().flatten().rfind(|(other, _)| other == name).unwrap();
        let step = name.replace('~', "~0").replace('/', "~1");
        check(*last, &tree[&**name], &format!("{at}/{step}"), top);
    }
    let names = tree.as_object().into_iter().flatten();
    assert_eq!(
        names
            .filter(|(name, _)| lazy.members().unwrap().all(|(is, _)| is != **name))
            .count(),
        0
    );
}

#[test]
fn every_value_of_a_document_is_what_serde_json_reads() {
    let mut chance = Chance(0x5eed);
    let mut bytes = 0;
    for _ in 0..800 {
        let mut text = String::new();
        document(&mut chance, 4, &mut text);
        let tree: Value = serde_json::from_str(&text).unwrap();
        let top = lazy(&text);
        check(top, &tree, "", top);
        bytes += text.len();
    }
    assert!(bytes > 15_000, "{bytes}");
}

/// Asks everything of a value and of all that stand in it.
fn ask(value: LazyValue) {
    let _ = (
        value.as_i64(),
        value.as_f64(),
        value.as_bool(),
        value.as_str(),
        value.is_null(),
    );
    let _ = (value.number(), value.identity(), value.to::<Value>(), value.to::<u8>());
    let _ = (
        value.at("/a/0"),
        value.pointer(""),
        value.at("~"),
        serde_json::to_string(&value),
    );
    value.entries().into_iter().flatten().for_each(ask);
    value.members().into_iter().flatten().for_each(|(_, value)| ask(value));
}

#[test]
fn no_bytes_bring_it_down() {
    let mut chance = Chance(0x5eed);
    let alphabet = b"{}[]\",:\\ud80019.-+eEtrufalsn \n\x00\x7f\x80\xc3\xa4\xff/~";
    let mut taken = 0;
    for round in 0..15_000 {
        let mut text = String::new();
        if round % 3 > 0 {
            document(&mut chance, 3, &mut text);
        }
        let mut bytes = text.into_bytes();
        for _ in 0..chance.below(4) {
            let byte = alphabet[chance.below(alphabet.len() as u64) as usize];
            let at = chance.below(bytes.len() as u64 + 1) as usize;
            match chance.below(3) {
                0 => bytes.insert(at, byte),
                1 if at < bytes.len() => bytes[at] = byte,
                _ => bytes.truncate(at),
            }
        }
        if let Ok(value) = LazyValue::new(&bytes) {
            ask(value);
            taken += 1;
        }
    }
    assert!(taken > 3_000, "only {taken} were JSON");
    // As deep as may be, and one more.
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    ask(lazy(&nested(128)));
    assert!(LazyValue::new(nested(129).as_bytes()).is_err());
    assert!(serde_json::from_str::<LazyValue>(&nested(129)).is_err());
}

#[test]
fn an_error_tells_what_stands_where() {
    let order = lazy(r#" {"user": {"na~me": "ann", "tags": ["x", 7, {"a/b": 1.5}]}, "id": "\ud800", "big": 1e999} "#);
    let told = |error: super::Invalid| error.to_string();
    let user = order.at("/user").unwrap();
    assert_eq!(told(user.at("/age").unwrap_err()), "there is nothing at \"/user/age\"");
    assert_eq!(
        told(user.at("/na~0me").unwrap().as_i64().unwrap_err()),
        "at \"/user/na~0me\" stands \"ann\": a whole number of 64 bits was expected"
    );
    let last = user.at("/tags").unwrap().entries().unwrap().last().unwrap();
    assert_eq!(
        told(last.members().unwrap().next().unwrap().1.as_i64().unwrap_err()),
        "at \"/user/tags/2/a~1b\" stands 1.5: a whole number of 64 bits was expected"
    );
    assert_eq!(
        told(last.as_str().unwrap_err()),
        "at \"/user/tags/2\" stands {\"a/b\":1.5}: a text was expected"
    );
    assert_eq!(
        told(order.at("/id").unwrap().as_str().unwrap_err()),
        "at \"/id\" stands \"\\ud800\": an escape in it is no character"
    );
    assert_eq!(
        told(order.at("/big").unwrap().as_f64().unwrap_err()),
        "at \"/big\" stands 1e999: a number within the range of 64 bits was expected"
    );
    let why = told(order.at("/user/tags").unwrap().to::<Vec<String>>().unwrap_err());
    assert!(
        why.starts_with("at \"/user/tags\" stands [\"x\",7,{\"a/b\":1.5}]: invalid type: integer `7`"),
        "{why}"
    );
    let long = format!("[\"{}\"]", "ä".repeat(500));
    let shown = format!("[\"{}…", "ä".repeat(78));
    assert_eq!(
        told(lazy(&long).members().map(|_| ()).unwrap_err()),
        format!("at the top stands {shown}: an object was expected")
    );
    assert_eq!(
        told(lazy("1").at("x").unwrap_err()),
        "the JSON pointer \"x\" does not start with a slash"
    );
    assert!(lazy("1").pointer("x").is_none());
}

#[test]
fn a_text_without_escapes_is_borrowed_and_a_strange_name_is_given_as_it_is_written() {
    let value = lazy(r#"["plain", "a\"b"]"#);
    let texts: Vec<_> = value.entries().unwrap().map(|text| text.as_str().unwrap()).collect();
    assert!(matches!(texts[..], [Cow::Borrowed("plain"), Cow::Owned(ref escaped)] if escaped == "a\"b"));
    let strange = lazy(r#"{"\ud800\"":{}}"#);
    let (name, value) = strange.members().unwrap().next().unwrap();
    assert_eq!(name, r#"\ud800\""#);
    assert!(value.as_i64().is_err());
}

#[test]
fn a_part_without_a_shape_stands_in_a_struct_and_is_written_as_it_stands() {
    #[derive(Serialize, Deserialize)]
    struct Envelope<'a> {
        id: u64,
        #[serde(borrow)]
        payload: LazyValue<'a>,
    }
    let text = r#"{"id":7,"payload":{"b": [1,  2],"a": null}}"#;
    let envelope: Envelope = serde_json::from_str(text).unwrap();
    assert_eq!(envelope.id, 7);
    assert_eq!(envelope.payload.at("/b/1").unwrap().as_i64(), Ok(2));
    let why = envelope.payload.at("/b").unwrap().as_bool().unwrap_err();
    assert_eq!(why.to_string(), "at \"/b\" stands [1,2]: true or false was expected");
    assert_eq!(serde_json::to_string(&envelope).unwrap(), text);
}

#[test]
fn a_pointer_that_is_kept_finds_the_same() {
    let document = r#" {"a": [10, {"b": "x"}]} "#;
    let found = Pointer::new("/a/1/b")
        .unwrap()
        .find(document.as_bytes())
        .unwrap()
        .unwrap();
    let why = found.as_i64().unwrap_err().to_string();
    assert_eq!(
        why,
        "at \"/a/1/b\" stands \"x\": a whole number of 64 bits was expected"
    );
}

#[test]
fn values_are_told_apart_by_what_they_are_and_not_by_how_they_are_written() {
    let identity = |document: &str| LazyValue::new(document.as_bytes()).unwrap().identity();
    for (one, other) in [
        ("5", "5.0"),
        ("5", "0.5e1"),
        ("-0.0", "0"),
        ("0.5", "5e-1"),
        ("\"a\"", "\"\\u0061\""),
        ("[1, 2]", "[1,2]"),
    ] {
        assert_eq!(identity(one), identity(other), "{one} {other}");
    }
    let all = [
        "5",
        "\"5\"",
        "5.5",
        "true",
        "\"true\"",
        "\"\"",
        "null",
        "[]",
        "{}",
        "9223372036854775807",
        "9223372036854775808",
        "9223372036854775809",
        "1e999",
        "1e998",
        "\"\\ud800\"",
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().map(|document| identity(document)).collect();
    assert_eq!(distinct.len(), all.len());
}

#[test]
fn numbers_are_told_from_what_looks_like_them() {
    let number = |document: &str| LazyValue::new(document.as_bytes()).unwrap().number();
    assert_eq!(number("5"), Some(5.0));
    assert_eq!(number("-0.5e1"), Some(-5.0));
    assert_eq!(number("0"), Some(0.0));
    assert_eq!(number("999999999999999"), Some(999_999_999_999_999.0));
    assert_eq!(number("1000000000000000"), Some(1e15));
    assert_eq!(number("1e999"), Some(f64::INFINITY));
    assert_eq!(number("9007199254740993"), Some(9_007_199_254_740_992.0));
    for document in ["\"5\"", "true", "null", "[5]", "{}"] {
        assert_eq!(number(document), None, "{document}");
    }
}
