//! A plugin's configuration against the JSON schema that the plugin declares.
//!
//! What the schema refuses is the pipeline file's mistake (`Kind::Invalid`), told with the place in the configuration.
//! References to other documents are not followed: checking a file never talks to anybody.

use jsonschema::error::{TypeKind, ValidationErrorKind as Mistake};
use jsonschema::{PatternOptions, ValidationError, Validator};
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
        .flat_map(|mistake| sentences(&mistake))
        .take(MISTAKES)
        .collect();
    if mistakes.is_empty() {
        return Ok(given.to_owned());
    }
    Err(wrong(mistakes.join("\n")).hint("`sandbar inspect` prints the schema that the plugin declares"))
}

/// What is told of a mistake. Of alternatives that all do not fit the one is looked at that a person most likely meant:
/// it has this form, and is wrong further in. If none has this form, they are listed.
fn sentences(mistake: &ValidationError<'_>) -> Vec<String> {
    let alternatives = alternatives(mistake);
    let here = mistake.instance_path().as_str().len();
    let has_its_form = |fits: &&&[ValidationError<'_>]| {
        fits.iter().all(|of| {
            of.instance_path().as_str().len() > here || matches!(of.kind(), Mistake::AdditionalProperties { .. })
        })
    };
    if alternatives.is_empty() {
        return vec![sentence(mistake, &mistake.to_string())];
    }
    match alternatives.iter().filter(has_its_form).min_by_key(|of| of.len()) {
        Some(meant) => meant.iter().flat_map(sentences).collect(),
        None => {
            let mut forms: Vec<String> = alternatives.iter().map(|of| form(of)).collect();
            forms.dedup();
            let why = format!("{} is none of: {}", mistake.instance(), forms.join(", "));
            vec![sentence(mistake, &why)]
        }
    }
}

/// The mistakes in each of the alternatives, those of alternatives within them too. Empty: there are none.
fn alternatives<'a>(mistake: &'a ValidationError<'_>) -> Vec<&'a [ValidationError<'static>]> {
    let (Mistake::AnyOf { context } | Mistake::OneOfNotValid { context }) = mistake.kind() else {
        return Vec::new();
    };
    let each = context.iter().flat_map(|of| match &of[..] {
        [only] if only.instance_path() == mistake.instance_path() && !alternatives(only).is_empty() => {
            alternatives(only)
        }
        all => vec![all],
    });
    each.collect()
}

/// What an alternative takes, as far as its mistakes tell.
fn form(mistakes: &[ValidationError<'_>]) -> String {
    let keys = mistakes.iter().filter_map(|of| match of.kind() {
        Mistake::Required { property } => property.as_str(),
        _ => None,
    });
    let keys: Vec<_> = keys.collect();
    if !keys.is_empty() {
        return format!("{{ {} }}", keys.join(", "));
    }
    let said = mistakes.iter().find_map(|of| match of.kind() {
        Mistake::Constant { expected_value } => Some(expected_value.to_string()),
        Mistake::Type {
            kind: TypeKind::Single(kind),
        } => Some(kind.to_string()),
        _ => None,
    });
    said.or_else(|| mistakes.first().map(ToString::to_string))
        .unwrap_or_default()
}

fn sentence(mistake: &ValidationError<'_>, why: &str) -> String {
    format!("config{}: {}", mistake.instance_path(), tame(why, TEXT_BYTES))
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
    fn of_alternatives_the_one_is_told_that_was_meant_or_all_of_them() {
        let schema = compile(include_str!("../../../../plugins/window/config.schema.json")).unwrap();
        let why = |window: &str, aggregates: &str| {
            let config = format!(r#"{{"window":{window},"aggregates":{aggregates}}}"#);
            check("op", schema.as_ref(), &config).unwrap_err().why
        };
        let (tumbling, count) = (r#"{"tumbling":"10s"}"#, r#"{"n":"count"}"#);
        let told = why(r#"{"tumbling":"10x"}"#, count);
        assert!(
            told.starts_with("config/window/tumbling: \"10x\" does not match"),
            "{told}"
        );
        assert!(!told.contains('\n'), "{told}");
        let told = why(r#"{"tumbling":"10s","ofset":"1s"}"#, count);
        assert!(
            told.contains("config/window: ") && told.contains("'ofset' was unexpected"),
            "{told}"
        );
        let told = why(r#"{"tumblin":"10s"}"#, count);
        let forms =
            r#"is none of: "global", { tumbling }, { hopping, every }, { cumulating, every }, { session }, { count }"#;
        assert!(told.contains(forms), "{told}");
        let told = why(r#""tumbling""#, count);
        assert!(told.contains(r#""tumbling" is none of: "global", object"#), "{told}");
        let told = why(tumbling, r#"{"n":{"maxx":"/ms"}}"#);
        assert!(
            told.starts_with(r#"config/aggregates/n: {"maxx":"/ms"} is none of: "count", { count }, { sum }"#),
            "{told}"
        );
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
