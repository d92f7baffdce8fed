//! Dead letters for people and for programs.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;
use crate::inspect::dead_letters::{FoundLetter, LetterList};
use crate::plugin::shown::{put, readable};
use crate::sink::dead_letter::DiedIn;

/// Characters of a reason in a list.
const REASON_CHARS: usize = 160;

/// A line a letter.
pub(super) fn list(list: &LetterList, out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("letter"),
        Head::Text("died"),
        Head::Text("in"),
        Head::Text("record"),
        Head::Text("kind"),
        Head::Text("reason"),
    ]);
    for letter in &list.letters {
        let text = &letter.text;
        let kind = match letter.is_replayed {
            true => format!("{}, replayed", text.kind),
            false => text.kind.clone(),
        };
        let reason = on_one_line(&text.reason);
        let cells = [
            letter.place.to_string(),
            moment(letter.died),
            text.died_in.name().to_owned(),
            format!("{} offset {}", letter.source(), text.offset),
            kind,
            cut(&reason),
        ];
        table.row(cells.map(|cell| on_one_line(&cell)));
    }
    out.rows(&list.letters.iter().map(as_json).collect(), &table)
}

/// Everything that a letter has.
pub(super) fn whole(topic: &str, letter: &FoundLetter, out: &Output) -> Result<()> {
    out.show(&as_json(letter), || as_text(topic, letter))
}

fn as_text(topic: &str, letter: &FoundLetter) -> String {
    let (text, content) = (&letter.text, letter.content());
    let (side, _) = side(&text.died_in);
    let mut shown = format!("dead letter {} of {topic}\n", letter.place);
    let mut line = |name: &str, value: &str| {
        let name = match value.starts_with('\n') {
            true => name.to_owned(),
            false => format!("{name:<9} "),
        };
        let _cannot_fail = writeln!(shown, "  {name}{}", below(&tamed(value)));
    };
    line("pipeline", &text.pipeline);
    line(side, text.died_in.name());
    line("kind", &text.kind);
    line("died", &moment(letter.died));
    line("record", &format!("{} offset {}", letter.source(), text.offset));
    line("time", &moment(text.timestamp));
    if let Some(timer) = &text.timer {
        line("timer", timer);
    }
    if letter.is_replayed {
        line("replayed", "yes");
    }
    if let Some(before) = &text.replayed {
        line("replay of", before);
    }
    if text.is_cut {
        line("cut", "the record did not fit whole");
    }
    line("reason", &text.reason);
    if !text.backtrace.is_empty() {
        line("backtrace", &format!("\n{}", text.backtrace));
    }
    for (name, value) in content.headers.of(0) {
        let value = value.map_or_else(|| "null".to_owned(), readable);
        line("header", &format!("{}: {value}", readable(name)));
    }
    line("key", &content.keys.get(0).map_or_else(|| "null".to_owned(), readable));
    line(
        "value",
        &content.values.get(0).map_or_else(|| "null".to_owned(), text_or_hex),
    );
    shown
}

/// A letter for a program; key, value and headers are the record's own.
pub(super) fn as_json(letter: &FoundLetter) -> Value {
    let (text, content) = (&letter.text, letter.content());
    let (side, name) = side(&text.died_in);
    let mut object = Map::new();
    let record = json!({
        "topic": text.topic,
        "partition": text.partition,
        "offset": text.offset,
        "timestamp": text.timestamp,
    });
    for (name, value) in [
        ("partition", json!(letter.place.partition)),
        ("offset", json!(letter.place.offset)),
        ("died", json!(letter.died)),
        ("pipeline", json!(text.pipeline)),
        (side, json!(name)),
        ("kind", json!(text.kind)),
        ("reason", json!(text.reason)),
        (
            "backtrace",
            json!((!text.backtrace.is_empty()).then_some(&text.backtrace)),
        ),
        ("record", record),
        ("timer", json!(text.timer)),
        ("cut", json!(text.is_cut)),
        ("replayed", json!(letter.is_replayed)),
        ("replay-of", json!(text.replayed)),
    ] {
        object.insert(name.to_owned(), value);
    }
    entry(&mut object, "key", content.keys.get(0));
    entry(&mut object, "value", content.values.get(0));
    let headers = content.headers.of(0).map(|(name, value)| {
        let mut header = Map::new();
        put(&mut header, "name", name);
        entry(&mut header, "value", value);
        Value::Object(header)
    });
    object.insert("headers".to_owned(), headers.collect());
    Value::Object(object)
}

fn entry(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes {
        Some(bytes) => put(object, name, bytes),
        None => drop(object.insert(name.to_owned(), Value::Null)),
    }
}

fn side(died_in: &DiedIn) -> (&'static str, &str) {
    match died_in {
        DiedIn::Source(name) => ("source", name),
        DiedIn::Operator(name) => ("operator", name),
        DiedIn::Sink(name) => ("sink", name),
    }
}

/// Text whose lines are kept, else hex digits.
fn text_or_hex(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => readable(bytes),
    }
}

/// Without characters that move a cursor, save line breaks.
pub(super) fn tamed(text: &str) -> String {
    let plain = |char: char| if char.is_control() && char != '\n' { ' ' } else { char };
    text.chars().map(plain).collect()
}

/// Further lines stand below the first.
pub(super) fn below(text: &str) -> String {
    text.trim_end().replace('\n', "\n    ")
}

fn on_one_line(text: &str) -> String {
    tamed(text).replace('\n', " ")
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(REASON_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
