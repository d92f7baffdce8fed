//! A plugin's configuration against the JSON schema that the plugin declares.
//!
//! What the schema refuses is the pipeline file's mistake (`Kind::Invalid`), told with the place in the configuration.
//! References to other documents are not followed: checking a file never talks to anybody.

use jsonschema::{PatternOptions, Validator};
use serde_json::Value;

use crate::error::{Error, Kind, Result};
use crate::plugin::limits::{TEXT_BYTES, tame};

/// Mistakes that are told at once.
const MISTAKES: usize = 8;

/// Compiles a declared schema, or says what is wrong with it. Empty: there is none.
pub(super) fn compile(schema: &str) -> Result<Option<Validator>, String> {
    if schema.is_empty() {
        return Ok(None);
    }
    let unfit = |why: String| {
        format!(
            "its configuration schema is not a JSON schema: {}",
            tame(&why, TEXT_BYTES)
        )
    };
    let schema: Value = serde_json::from_str(schema).map_err(|why| unfit(why.to_string()))?;
    jsonschema::options()
        .offline()
        // The plugin wrote the patterns; this engine takes time in proportion to the text, whatever the pattern.
        .with_pattern_options(PatternOptions::regex())
        .build(&schema)
        .map(Some)
        .map_err(|why| unfit(why.to_string()))
}

/// The text to open instances with. A plugin with a schema always gets JSON, `{}` if the file has no configuration;
/// one without gets none.
pub(super) fn check(operator: &str, schema: Option<&Validator>, config: &str) -> Result<String> {
    let wrong = |why: String| {
        Error::new(
            Kind::Invalid,
            format!("the config of operator `{operator}` is not valid"),
            why,
        )
    };
    let given = if config.is_empty() { "{}" } else { config };
    let value: Value = serde_json::from_str(given).map_err(|why| wrong(format!("it is not JSON: {why}")))?;
    let Some(schema) = schema else {
        let nothing = value.as_object().is_some_and(serde_json::Map::is_empty);
        return if nothing {
            Ok(String::new())
        } else {
            Err(wrong("the plugin takes no configuration".to_owned()).hint("remove `config`"))
        };
    };
    let mistakes: Vec<String> = schema
        .iter_errors(&value)
        .take(MISTAKES)
        .map(|mistake| sentence(&mistake))
        .collect();
    if mistakes.is_empty() {
        return Ok(given.to_owned());
    }
    Err(wrong(mistakes.join("\n")).hint("`sandbar inspect` prints the schema that the plugin declares"))
}

fn sentence(mistake: &jsonschema::ValidationError<'_>) -> String {
    let place = mistake.instance_path().to_string();
    let place = if place.is_empty() {
        "config".to_owned()
    } else {
        format!("config{place}")
    };
    format!("{place}: {}", tame(&mistake.to_string(), TEXT_BYTES))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"{"type": "object", "required": ["field"], "additionalProperties": false,
        "properties": {"field": {"type": "string"}, "at-least": {"type": "number"}}}"#;

    #[test]
    fn what_the_schema_takes_is_handed_on_as_it_was() {
        let schema = compile(SCHEMA).unwrap();
        let config = r#"{ "field": "/ms" }"#;
        assert_eq!(check("op", schema.as_ref(), config).unwrap(), config);
    }

    #[test]
    fn each_mistake_is_told_with_its_place() {
        let schema = compile(SCHEMA).unwrap();
        let error = check("op", schema.as_ref(), r#"{"at-least": "x", "fild": 1}"#).unwrap_err();
        assert_eq!(error.kind, Kind::Invalid);
        assert!(error.what.contains("`op`"));
        assert!(error.why.contains("config/at-least: "), "{}", error.why);
        assert!(error.why.contains("\"field\" is a required property"), "{}", error.why);
        assert!(error.why.contains("fild"), "{}", error.why);
    }

    #[test]
    fn no_configuration_is_checked_as_an_empty_one() {
        let schema = compile(SCHEMA).unwrap();
        assert!(check("op", schema.as_ref(), "").unwrap_err().why.contains("required"));
        assert_eq!(check("op", compile("{}").unwrap().as_ref(), "").unwrap(), "{}");
    }

    #[test]
    fn a_plugin_without_a_schema_takes_no_configuration() {
        assert_eq!(check("op", None, "").unwrap(), "");
        assert_eq!(check("op", None, "{}").unwrap(), "");
        assert!(
            check("op", None, r#"{"a": 1}"#)
                .unwrap_err()
                .why
                .contains("takes no configuration")
        );
    }

    #[test]
    fn a_schema_that_is_none_is_refused_and_no_other_document_is_fetched() {
        assert!(compile("{").is_err());
        assert!(compile(r#"{"type": 3}"#).is_err());
        assert!(compile(r#"{"$ref": "http://127.0.0.1:1/x"}"#).is_err());
        assert!(compile(r#"{"$ref": "file:///etc/hostname"}"#).is_err());
    }
}
