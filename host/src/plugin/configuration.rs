//! A plugin's configuration before the plugin sees it: it is JSON, and there is one only where the plugin takes one. The plugin judges the rest.

use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// The text to open instances with. A plugin with a schema always gets JSON, `{}` where the file has no configuration; one without gets none.
pub(super) fn check(operator: &str, schema: &str, config: &str) -> Result<String> {
    let wrong = |why: String| {
        Error::new(
            Kind::Invalid,
            format!("the config of operator `{operator}` is not valid"),
            why,
        )
    };
    let given = if config.is_empty() { "{}" } else { config };
    let value: Value = serde_json::from_str(given).map_err(|why| wrong(format!("it is not JSON: {why}")))?;
    if !schema.is_empty() {
        return Ok(given.to_owned());
    }
    if value.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(String::new());
    }
    Err(wrong("the plugin takes no configuration".to_owned()).hint("remove `config`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plugin_with_a_schema_always_gets_json() {
        assert_eq!(check("op", "{}", "").unwrap(), "{}");
        assert_eq!(
            check("op", "{}", r#"{ "field": "/ms" }"#).unwrap(),
            r#"{ "field": "/ms" }"#
        );
        assert_eq!(check("op", "{}", "{").unwrap_err().kind, Kind::Invalid);
    }

    #[test]
    fn a_plugin_without_a_schema_takes_no_configuration() {
        assert_eq!(check("op", "", "").unwrap(), "");
        assert_eq!(check("op", "", "{}").unwrap(), "");
        assert!(
            check("op", "", r#"{"a": 1}"#)
                .unwrap_err()
                .why
                .contains("takes no configuration")
        );
    }
}
