//! A configuration as a form: for people a line a key, those of an object indented under it.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::inspect::{ConfigForm, FormKey};

/// Spaces before the first key, and for each object that a key lies in.
const MARGIN: usize = 4;
const STEP: usize = 2;

/// A name that is longer does not push the others to the right.
const NAME: usize = 32;

/// Lines for a person.
pub(super) fn form_text(form: &ConfigForm) -> String {
    let width = form.keys.iter().map(|key| widest(key, 0)).max().unwrap_or(0).min(NAME);
    let mut text = String::new();
    form.keys.iter().for_each(|key| lines(key, 0, width, &mut text));
    for rule in &form.rules {
        let _cannot_fail = writeln!(text, "{:MARGIN$}{rule}", "");
    }
    text
}

fn widest(key: &FormKey, depth: usize) -> usize {
    let own = depth * STEP + key.name.chars().count();
    let inside = key.keys.iter().map(|key| widest(key, depth + 1));
    inside.max().unwrap_or(0).max(own)
}

fn lines(key: &FormKey, depth: usize, width: usize, into: &mut String) {
    let name = format!("{:1$}{2}", "", depth * STEP, key.name);
    let _cannot_fail = write!(into, "{:MARGIN$}{name:<width$}  {}", "", key.says());
    if !key.description.is_empty() {
        let _cannot_fail = write!(into, ": {}", key.description);
    }
    into.push('\n');
    key.keys.iter().for_each(|key| lines(key, depth + 1, width, into));
}

/// The same for a program.
pub(super) fn form_json(form: &ConfigForm) -> Value {
    json!({ "keys": form.keys.iter().map(key_json).collect::<Vec<_>>(), "rules": form.rules })
}

fn key_json(key: &FormKey) -> Value {
    json!({
        "name": key.name,
        "kind": key.kind,
        "required": key.is_required,
        "default": key.default,
        "rules": key.rules,
        "description": key.description,
        "keys": key.keys.iter().map(key_json).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_has_a_line_a_key_and_those_of_an_object_are_indented() {
        let schema = json!({
            "properties": {
                "at-least": { "type": "number", "description": "what passes" },
                "window": {
                    "properties": { "size": { "type": "string", "default": "10s" } },
                    "additionalProperties": false,
                },
            },
            "required": ["at-least"],
            "additionalProperties": false,
            "not": {},
        });
        let form = ConfigForm::of(&schema.to_string()).unwrap();
        let expected = "    at-least  number, required: what passes\n    \
                        window    object, optional\n      \
                        size    text, \"10s\" if it is absent\n    \
                        and what `not` of the schema says\n";
        assert_eq!(form_text(&form), expected);
        assert_eq!(form_json(&form)["keys"][1]["keys"][0]["default"], "\"10s\"");
    }
}
