//! A plugin's configuration schema as a form: a line a key, with what goes there.
//!
//! Never decides whether a configuration is taken: that is the schema's. Always: what it shows is bounded and tamed,
//! for the plugin wrote the schema; a reference that leads in a circle ends, and one to another document is named and
//! not followed.

use std::cell::Cell;

use serde_json::{Map, Value};

use crate::plugin::tame;

/// Keys of a form, at most, and how deep they lie in one another.
const KEYS: usize = 500;
const DEPTH: usize = 6;

/// Alternatives, values or names that are listed in one place; bytes of a text.
const LISTED: usize = 16;
const TEXT: usize = 512;

/// Alternatives that are gone into, over the whole form: those of a schema that refers to itself would be without end.
const ALTERNATIVES: usize = 2000;

/// References that are followed from one to the next.
const REFERENCES: usize = 8;

/// What a person writes under `config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigForm {
    /// The keys, as the schema has them.
    pub keys: Vec<FormKey>,
    /// What holds of all of them together, in words.
    pub rules: Vec<String>,
}

/// A key of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FormKey {
    /// Its name; `…` for any name that is no other key's.
    pub name: String,
    /// What goes there: a type or the values, in words.
    pub kind: String,
    /// It has to be there.
    pub is_required: bool,
    /// What it is if it is not there, as JSON.
    pub default: Option<String>,
    /// What else holds of its value: a pattern, a range; in words.
    pub rules: Vec<String>,
    /// What it means, in the plugin's words.
    pub description: String,
    /// The keys of an object.
    pub keys: Vec<FormKey>,
}

impl ConfigForm {
    /// The form of a schema; none if the plugin takes no configuration.
    pub fn of(schema: &str) -> Option<Self> {
        let schema: Value = serde_json::from_str(schema).ok()?;
        let mut reading = Reading {
            root: &schema,
            left: KEYS,
            alternatives: Cell::new(ALTERNATIVES),
        };
        let root = reading.node(&schema);
        let keys = reading.keys(&root, 0);
        let mut rules = reading.rules(&root, 0);
        let (is_open, has_alternatives) = (is_open(&root), !root.alternatives().is_empty());
        if keys.is_empty() && (has_alternatives || !is_open) {
            rules.insert(0, reading.kind(&root, 0));
        } else if is_open && !has_alternatives {
            rules.push("keys of other names are not refused".to_owned());
        }
        if reading.left == 0 {
            rules.push("there are more keys than these".to_owned());
        }
        Some(Self { keys, rules })
    }

    /// All keys, those in objects too, each with its path: `window.size`.
    pub fn flat(&self) -> Vec<(String, &FormKey)> {
        let mut flat = Vec::new();
        self.keys.iter().for_each(|key| key.flatten("", &mut flat));
        flat
    }
}

impl FormKey {
    /// What goes there, in a line: `text, required, matches ^[0-9]+s$`.
    pub fn says(&self) -> String {
        let need = match (&self.default, self.is_required) {
            (_, true) => "required".to_owned(),
            (Some(default), _) => format!("{default} if it is absent"),
            (None, _) => "optional".to_owned(),
        };
        let all = [self.kind.clone(), need].into_iter().chain(self.rules.iter().cloned());
        all.collect::<Vec<_>>().join(", ")
    }

    fn flatten<'a>(&'a self, above: &str, into: &mut Vec<(String, &'a FormKey)>) {
        let path = match above {
            "" => self.name.clone(),
            above => format!("{above}.{}", self.name),
        };
        self.keys.iter().for_each(|key| key.flatten(&path, into));
        into.push((path, self));
    }
}

/// A schema being read, and how many keys and alternatives it may still have.
struct Reading<'a> {
    root: &'a Value,
    left: usize,
    alternatives: Cell<usize>,
}

/// A place of the schema: its own words, and behind them those of what it refers to.
struct Place<'a> {
    chain: Vec<&'a Map<String, Value>>,
    /// A reference that leads out of the schema, or nowhere.
    lost: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn get(&self, word: &str) -> Option<&'a Value> {
        self.chain.iter().find_map(|words| words.get(word))
    }

    fn text(&self, word: &str) -> Option<&'a str> {
        self.get(word)?.as_str()
    }

    fn list(&self, word: &str) -> &'a [Value] {
        self.get(word).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    fn alternatives(&self) -> &'a [Value] {
        let both = [self.list("oneOf"), self.list("anyOf")];
        both.into_iter().find(|list| !list.is_empty()).unwrap_or_default()
    }

    fn requires(&self, key: &str) -> bool {
        self.list("required").iter().any(|required| required == key)
    }
}

impl<'a> Reading<'a> {
    /// A place with what it refers to.
    fn node(&self, value: &'a Value) -> Place<'a> {
        let mut place = Place {
            chain: Vec::new(),
            lost: None,
        };
        let mut next = value.as_object();
        while let Some(words) = next.take() {
            place.chain.push(words);
            let Some(to) = words.get("$ref").and_then(Value::as_str) else {
                continue;
            };
            let found = to.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            match found.and_then(Value::as_object) {
                Some(found) if place.chain.len() < REFERENCES => next = Some(found),
                _ => place.lost = Some(to),
            }
        }
        place
    }

    fn keys(&mut self, place: &Place<'a>, depth: usize) -> Vec<FormKey> {
        let mut keys = Vec::new();
        if depth == DEPTH {
            return keys;
        }
        let named = place.get("properties").and_then(Value::as_object);
        for (name, value) in named.into_iter().flatten() {
            let is_required = place.requires(name);
            keys.extend(self.key(in_a_line(name), value, is_required, depth));
        }
        if let Some(other) = place.get("additionalProperties").filter(|other| other.is_object()) {
            keys.extend(self.key("…".to_owned(), other, false, depth));
        }
        keys
    }

    fn key(&mut self, name: String, value: &'a Value, is_required: bool, depth: usize) -> Option<FormKey> {
        self.left = self.left.checked_sub(1)?;
        let place = self.node(value);
        let has_alternatives = !place.alternatives().is_empty();
        let keys = match has_alternatives && place.get("properties").is_none() {
            true => Vec::new(),
            false => self.keys(&place, depth + 1),
        };
        Some(FormKey {
            name,
            kind: tame(&self.kind(&place, depth), TEXT),
            is_required,
            default: place.get("default").map(shown),
            rules: self.rules(&place, depth),
            description: in_a_line(place.text("description").unwrap_or_default()),
            keys,
        })
    }

    /// What goes in a place.
    fn kind(&self, place: &Place<'a>, depth: usize) -> String {
        let alternatives = place.alternatives();
        if let Some(lost) = place.lost {
            format!("what `{}` says", in_a_line(lost))
        } else if let Some(value) = place.get("const") {
            shown(value)
        } else if !place.list("enum").is_empty() {
            listed(place.list("enum"), shown, " or ")
        } else if !alternatives.is_empty() && place.get("properties").is_none() {
            format!("one of {}", self.each_of(alternatives, depth))
        } else {
            self.typed(place, depth)
        }
    }

    fn typed(&self, place: &Place<'a>, depth: usize) -> String {
        let word = |kind: &Value| match kind.as_str().unwrap_or_default() {
            "string" => "text".to_owned(),
            "integer" => "whole number".to_owned(),
            "boolean" => "true or false".to_owned(),
            "array" => self.list_of(place, depth),
            other => in_a_line(other),
        };
        match place.get("type") {
            Some(Value::Array(kinds)) => listed(kinds, word, " or "),
            Some(kind) => word(kind),
            None if place.get("properties").is_some() => "object".to_owned(),
            None => "anything".to_owned(),
        }
    }

    fn list_of(&self, place: &Place<'a>, depth: usize) -> String {
        if depth >= DEPTH {
            return "list".to_owned();
        }
        let kind = |value: &'a Value| self.alternative(value, depth + 1);
        match (place.list("prefixItems"), place.get("items")) {
            ([], Some(items)) if items.is_object() => format!("list of {}", kind(items)),
            ([], _) => "list".to_owned(),
            (each, _) => format!("[{}]", listed(each, kind, ", ")),
        }
    }

    fn each_of(&self, alternatives: &'a [Value], depth: usize) -> String {
        match depth < DEPTH {
            true => tame(&listed(alternatives, |of| self.alternative(of, depth + 1), ", "), TEXT),
            false => "several forms".to_owned(),
        }
    }

    /// An alternative in words; an object by its keys: `{ hopping, every, offset? }`.
    fn alternative(&self, value: &'a Value, depth: usize) -> String {
        let Some(left) = self.alternatives.get().checked_sub(1) else {
            return "…".to_owned();
        };
        self.alternatives.set(left);
        let place = self.node(value);
        let named = place.get("properties").and_then(Value::as_object);
        let required = place.list("required").iter().filter_map(Value::as_str);
        let mut keys: Vec<String> = required.map(in_a_line).collect();
        let optional = named.into_iter().flatten().filter(|(name, _)| !place.requires(name));
        keys.extend(optional.map(|(name, _)| format!("{}?", in_a_line(name))));
        match keys.is_empty() || place.lost.is_some() {
            true => tame(&self.kind(&place, depth), TEXT),
            false => tame(&format!("{{ {} }}", listed(&keys, String::clone, ", ")), TEXT),
        }
    }

    /// What else holds of a value, in words.
    fn rules(&self, place: &Place<'a>, depth: usize) -> Vec<String> {
        let mut rules = Vec::new();
        if let Some(pattern) = place.text("pattern") {
            rules.push(format!("matches {}", in_a_line(pattern)));
        }
        for (word, says) in LIMITS {
            if let Some(limit) = place.get(word).filter(|limit| limit.is_number() || limit.is_string()) {
                rules.push(says.replace('_', limit.as_str().map_or_else(|| shown(limit), in_a_line).as_str()));
            }
        }
        if place.get("uniqueItems") == Some(&Value::Bool(true)) {
            rules.push("no item twice".to_owned());
        }
        if place.get("properties").is_some() && !place.alternatives().is_empty() {
            rules.push(format!("one of {}", self.each_of(place.alternatives(), depth)));
        }
        let beyond: Vec<&str> = BEYOND
            .iter()
            .copied()
            .filter(|word| place.get(word).is_some())
            .collect();
        if !beyond.is_empty() {
            rules.push(format!("and what `{}` of the schema says", beyond.join("`, `")));
        }
        rules
    }
}

/// Limits of values, and how they are told.
const LIMITS: [(&str, &str); 12] = [
    ("minimum", "at least _"),
    ("exclusiveMinimum", "more than _"),
    ("maximum", "at most _"),
    ("exclusiveMaximum", "less than _"),
    ("multipleOf", "a multiple of _"),
    ("minLength", "at least _ characters"),
    ("maxLength", "at most _ characters"),
    ("minItems", "at least _ items"),
    ("maxItems", "at most _ items"),
    ("minProperties", "at least _ keys"),
    ("maxProperties", "at most _ keys"),
    ("format", "as _"),
];

/// Words of a schema that no form shows.
const BEYOND: [&str; 9] = [
    "not",
    "allOf",
    "if",
    "contains",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "unevaluatedProperties",
];

/// Whether an object takes keys that the schema does not name, and says nothing of them.
fn is_open(place: &Place<'_>) -> bool {
    let other = place.get("additionalProperties");
    let is_object = place.get("type").is_none_or(|kind| kind == "object");
    is_object && other.is_none_or(|other| *other == Value::Bool(true)) && place.get("unevaluatedProperties").is_none()
}

fn shown(value: &Value) -> String {
    in_a_line(&value.to_string())
}

fn in_a_line(text: &str) -> String {
    tame(text, TEXT).replace('\n', " ")
}

/// The first of them, and how many more there are.
fn listed<'a, T>(all: &'a [T], word: impl Fn(&'a T) -> String, between: &str) -> String {
    let shown: Vec<String> = all.iter().take(LISTED).map(word).collect();
    match all.len() - shown.len() {
        0 => shown.join(between),
        more => format!("{} and {more} more", shown.join(between)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn lines(schema: &str) -> Vec<String> {
        let form = ConfigForm::of(schema).unwrap();
        let keys = form
            .flat()
            .into_iter()
            .map(|(path, key)| format!("{path}: {}", key.says()));
        keys.chain(form.rules.iter().cloned()).collect()
    }

    macro_rules! ready_made {
        ($plugin:literal) => {
            include_str!(concat!("../../../plugins/", $plugin, "/config.schema.json"))
        };
    }

    #[test]
    fn a_plain_schema_is_a_line_a_key() {
        let form = ConfigForm::of(ready_made!("filter")).unwrap();
        assert_eq!(form.rules, Vec::<String>::new());
        assert_eq!(form.keys.len(), 2);
        let field = form.keys.iter().find(|key| key.name == "field").unwrap();
        assert_eq!(field.says(), "text, required, matches ^(/([^~]|~0|~1)*)?$");
        assert_eq!(
            field.description,
            "JSON pointer to the number, such as /ms or /user/age"
        );
        assert!(lines(ready_made!("deduplicate")).contains(&"keep: \"first\" or \"last\", optional".to_owned()));
    }

    #[test]
    fn references_are_followed_and_alternatives_are_told_in_words() {
        let window = lines(ready_made!("window"));
        let forms = "window: one of \"global\", { tumbling, offset? }, { hopping, every, offset? }, \
                     { cumulating, every, offset? }, { session }, { count, every? }, required";
        assert!(window.contains(&forms.to_owned()), "{window:#?}");
        let lateness = "allowed-lateness: text, optional, matches ^[0-9]+(ms|s|m|h|d)$";
        assert!(window.contains(&lateness.to_owned()), "{window:#?}");
        let aggregate = window.iter().find(|line| line.starts_with("aggregates.…: ")).unwrap();
        assert!(
            aggregate.contains("one of \"count\", one of { count }, { sum }"),
            "{aggregate}"
        );
        let join = lines(ready_made!("join"));
        assert!(join.contains(&"one of { within }, { window }, { table, kind? }, { as-of, kind? }".to_owned()));
        assert!(join.contains(&"within.before: text, optional, matches ^-?[0-9]+(ms|s|m|h|d)$".to_owned()));
        let by = "by: one of text, list of [text, \"ascending\" or \"descending\"], required";
        let ranked = lines(ready_made!("top-n"));
        assert!(ranked.contains(&by.to_owned()), "{ranked:#?}");
        assert!(ranked.contains(&"n: whole number, required, at least 1, at most 4294967295".to_owned()));
    }

    #[test]
    fn defaults_and_what_no_form_shows_are_told() {
        let schema = json!({
            "properties": {
                "top": { "type": ["integer", "null"], "default": 10, "exclusiveMinimum": 0 },
                "from": { "$ref": "http://example.test/x" },
                "names": { "type": "array", "items": { "type": "string" }, "minItems": 1, "uniqueItems": true },
            },
            "not": { "required": ["top", "from"] },
        });
        let expected = [
            "from: what `http://example.test/x` says, optional",
            "names: list of text, optional, at least 1 items, no item twice",
            "top: whole number or null, 10 if it is absent, more than 0",
            "and what `not` of the schema says",
            "keys of other names are not refused",
        ];
        assert_eq!(lines(&schema.to_string()), expected);
        assert_eq!(lines("{}"), ["keys of other names are not refused"]);
        assert_eq!(lines(r#"{"type":"array"}"#), ["list"]);
        let either = json!({ "oneOf": [{ "required": ["a"] }, { "properties": { "b": {} } }] });
        assert_eq!(lines(&either.to_string()), ["one of { a }, { b? }"]);
        assert_eq!(ConfigForm::of(""), None);
    }

    #[test]
    fn a_hostile_schema_has_an_end() {
        let circle = json!({ "properties": { "a": { "$ref": "#" }, "b": { "$ref": "#" }, "c": { "$ref": "#" } } });
        let form = ConfigForm::of(&circle.to_string()).unwrap();
        assert!(form.flat().len() <= KEYS);
        assert!(form.rules.contains(&"there are more keys than these".to_owned()));
        let itself =
            json!({ "$defs": { "x": { "$ref": "#/$defs/x" } }, "properties": { "a": { "$ref": "#/$defs/x" } } });
        assert_eq!(lines(&itself.to_string())[0], "a: what `#/$defs/x` says, optional");
        let nested = json!({ "oneOf": vec![json!({ "$ref": "#" }); 16] });
        assert!(lines(&nested.to_string()).concat().len() < 100_000);
        let loud = json!({ "properties": { "a\u{1b}[2J\n": { "description": "x\n\u{1b}y".repeat(1000) } } });
        let form = ConfigForm::of(&loud.to_string()).unwrap();
        assert_eq!(form.keys[0].name, "a [2J ");
        assert!(form.keys[0].description.len() < 600 && !form.keys[0].description.contains(char::is_control));
    }
}
