//! `docs/pipeline.md` is made from the schema: `UPDATE_DOCS=1 make one TEST=the_reference_page` writes it
//! anew.

use std::fmt::Write;
use std::path::Path;

use serde_json::Value;

use super::super::schema;

const HEAD: &str = "# pipeline.toml, key by key

This page is made from the schema of the file (`sandbar schema pipeline`). Unknown keys are refused. Durations are texts
such as \"500ms\", \"5s\", \"1m\", \"2h\"; sizes such as \"10KiB\", \"64MiB\". A path is relative to the file that names
it. `sandbar run --set source.views.start=earliest` changes a key for one run.
";

/// The tables of the file: heading, and where the schema has them.
const TABLES: &[(&str, &str)] = &[
    ("Top level", ""),
    (
        "[kafka], and [source.NAME.kafka], [sink.NAME.kafka], [dead-letters.kafka]",
        "Kafka",
    ),
    ("[source.NAME]", "Source"),
    ("[operator.NAME]", "Operator"),
    ("[operator.NAME.limits]", "Limits"),
    ("[sink.NAME]", "Sink"),
    ("[dead-letters]", "DeadLetters"),
    ("[checkpoint]", "Checkpoint"),
    ("[state]", "State"),
];

fn page() -> String {
    let root = schema();
    let mut page = HEAD.to_owned();
    for (heading, name) in TABLES {
        let table = if name.is_empty() { &root } else { &root["$defs"][*name] };
        _ = writeln!(page, "\n## {heading}\n\n{}\n", paragraph(&text(table)));
        _ = writeln!(page, "| key | allowed | default | |\n|---|---|---|---|");
        let required: Vec<_> = table["required"].as_array().into_iter().flatten().collect();
        let mut keys: Vec<_> = table["properties"].as_object().unwrap().iter().collect();
        keys.sort_by_key(|(key, _)| !required.iter().any(|name| *name == *key));
        for (key, schema) in keys {
            let default = match schema.get("default") {
                _ if required.iter().any(|name| *name == key) => "required".to_owned(),
                Some(Value::Object(_)) | None => String::new(),
                Some(value) => format!("`{value}`"),
            };
            _ = writeln!(
                page,
                "| `{key}` | {} | {default} | {} |",
                allowed(schema, &root),
                text(schema)
            );
        }
    }
    page
}

fn text(schema: &Value) -> String {
    schema["description"]
        .as_str()
        .unwrap_or_default()
        .replace("\n\n", " ")
        .replace('\n', " ")
        .replace('|', "\\|")
}

/// In lines of 120 columns, as every file of the repository has them.
fn paragraph(text: &str) -> String {
    let (mut lines, mut columns) = (String::new(), 0);
    for word in text.split(' ') {
        let length = word.chars().count();
        if columns > 0 {
            let wraps = columns + 1 + length > 120;
            lines.push(if wraps { '\n' } else { ' ' });
            columns = if wraps { 0 } else { columns + 1 };
        }
        lines.push_str(word);
        columns += length;
    }
    lines
}

/// What a value may be, in a few words.
fn allowed(schema: &Value, root: &Value) -> String {
    if let Some(target) = schema["$ref"].as_str() {
        let table = TABLES
            .iter()
            .any(|(_, name)| target.ends_with(&format!("/{name}")) && !name.is_empty());
        return if table {
            "a table".to_owned()
        } else {
            allowed(&root.pointer(&target[1..]).unwrap().clone(), root)
        };
    }
    for words in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[words].as_array() {
            let choices: Vec<_> = choices.iter().map(|choice| allowed(choice, root)).collect();
            return choices.join(", ");
        }
    }
    if let Some(word) = schema.get("const") {
        return format!("`{word}`");
    }
    if let Some(words) = schema["enum"].as_array() {
        return words
            .iter()
            .map(|word| format!("`{word}`"))
            .collect::<Vec<_>>()
            .join(", ");
    }
    match (schema["type"].as_str(), schema["required"].as_array()) {
        (Some("object"), Some(key)) => format!("`{{ {} = … }}`", key[0].as_str().unwrap()),
        (Some("object"), None) => "a table".to_owned(),
        (Some("array"), _) => "a list".to_owned(),
        (Some("integer"), _) => format!("{} to {}", schema["minimum"], schema["maximum"]),
        (Some("string"), _) => match schema["pattern"].as_str() {
            Some(pattern) if pattern.contains("ms|") => "a duration".to_owned(),
            Some(pattern) if pattern.contains("KiB") => "a size".to_owned(),
            _ => "text".to_owned(),
        },
        (Some(other), _) => other.to_owned(),
        (None, _) => "anything".to_owned(),
    }
}

#[test]
fn the_reference_page_says_what_the_schema_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/pipeline.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, page()).unwrap();
    }
    assert_eq!(
        std::fs::read_to_string(&path).unwrap_or_default(),
        page(),
        "write it anew with UPDATE_DOCS=1"
    );
}
