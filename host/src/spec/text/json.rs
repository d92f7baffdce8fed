//! A value of any shape as JSON text, its keys in the order of the file: a plugin may go by that order.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

/// The text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::spec) struct JsonText(pub(in crate::spec) String);

impl<'de> Deserialize<'de> for JsonText {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyValue)
    }
}

impl JsonSchema for JsonText {
    fn inline_schema() -> bool {
        serde_json::Value::inline_schema()
    }

    fn schema_name() -> Cow<'static, str> {
        serde_json::Value::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        serde_json::Value::json_schema(generator)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = JsonText;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a value")
    }

    fn visit_bool<E>(self, truth: bool) -> Result<JsonText, E> {
        Ok(JsonText(truth.to_string()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<JsonText, E> {
        Ok(JsonText(number.to_string()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<JsonText, E> {
        Ok(JsonText(number.to_string()))
    }

    /// JSON has no infinity and no "not a number": these are null, as serde_json has it.
    fn visit_f64<E>(self, number: f64) -> Result<JsonText, E> {
        Ok(JsonText(serde_json::Value::from(number).to_string()))
    }

    fn visit_str<E>(self, text: &str) -> Result<JsonText, E> {
        Ok(JsonText(serde_json::Value::from(text).to_string()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<JsonText, A::Error> {
        let mut all = Vec::new();
        while let Some(JsonText(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(JsonText(format!("[{}]", all.join(","))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<JsonText, A::Error> {
        let mut all = Vec::new();
        while let Some(key) = entries.next_key::<String>()? {
            let JsonText(value) = entries.next_value()?;
            all.push(format!("{}:{value}", serde_json::Value::from(key)));
        }
        Ok(JsonText(format!("{{{}}}", all.join(","))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_their_order_and_values_are_what_they_were() {
        let text = r#"{"z":1,"a":{"y":[1.5,-2,"ä\"",true,{}],"b":[]},"m":18446744073709551615}"#;
        assert_eq!(serde_json::from_str::<JsonText>(text).unwrap().0, text);
    }
}
