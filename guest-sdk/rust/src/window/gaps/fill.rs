//! What stands in the place of a record, as a configuration writes it.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use crate::json::compact;

/// `"last"`, `"null"`, or `{ value = … }`. As a field of a plugin it is read from the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fill {
    /// The value of the record before the gap.
    Last,
    /// No value: Kafka's tombstone.
    Null,
    /// This JSON.
    Value(String),
}

impl<'de> Deserialize<'de> for Fill {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Written)
    }
}

struct Written;

impl<'de> Visitor<'de> for Written {
    type Value = Fill;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"last\", \"null\", or a table with `value`")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Fill, E> {
        match text {
            "last" => Ok(Fill::Last),
            "null" => Ok(Fill::Null),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fill, A::Error> {
        let mut value = None;
        while let Some(name) = map.next_key::<String>()? {
            if name != "value" {
                return Err(de::Error::unknown_field(&name, &["value"]));
            }
            // As it is written: the order of its fields, and numbers beyond 64 bits.
            let json = map.next_value::<Box<serde_json::value::RawValue>>()?;
            value = Some(Fill::Value(compact(json.get())));
        }
        value.ok_or_else(|| de::Error::missing_field("value"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fills_are_read_from_a_configuration_and_others_refused() {
        let read = |text| serde_json::from_str::<Fill>(text);
        assert_eq!(read(r#""last""#).unwrap(), Fill::Last);
        assert_eq!(read(r#""null""#).unwrap(), Fill::Null);
        let value = |json: &str| Fill::Value(json.to_owned());
        assert_eq!(
            read(r#"{"value": {"b": 1, "a": 1.50}}"#).unwrap(),
            value(r#"{"b":1,"a":1.50}"#)
        );
        assert_eq!(read(r#"{"value":null}"#).unwrap(), value("null"));
        for (text, why) in [
            (r#""first""#, "expected \"last\""),
            ("{}", "missing field `value`"),
            (r#"{"valeu":1}"#, "unknown field `valeu`"),
            ("null", "expected \"last\""),
        ] {
            let said = read(text).unwrap_err().to_string();
            assert!(said.contains(why), "{text}: {said}");
        }
    }
}
