//! A property for librdkafka as a person writes it: a plain value, or a reference to a secret.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use crate::process::grant::Grant;

/// A property: text, a number, true or false, `{ env = "NAME" }` or `{ file = "path" }`; a token may be `{ command =
/// ["program", "argument"] }`.
#[derive(Clone, JsonSchema)]
#[schemars(untagged)]
pub(super) enum Property {
    /// The value itself.
    Text(String),
    /// The value itself.
    Number(f64),
    /// The value itself.
    Bool(bool),
    /// Where the value is found.
    Reference(Reference),
}

/// Where a value is found that shall not stand in the file.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(rename_all = "kebab-case")]
pub(super) enum Reference {
    /// The name of an environment variable.
    Env(String),
    /// A file, relative to the pipeline file; a line break at its end is left out. It is read again when it changes.
    File(PathBuf),
    /// A program that prints the value, and its arguments; for `sasl.oauthbearer.token` alone.
    Command(Vec<String>),
    /// The name of a secret that the daemon keeps for the tenant.
    Secret(String),
}

impl Property {
    /// The value, if it stands in the file itself.
    pub(super) fn plain(&self) -> Option<String> {
        match self {
            Property::Text(text) => Some(text.clone()),
            Property::Number(number) => Some(number.to_string()),
            Property::Bool(truth) => Some(truth.to_string()),
            Property::Reference(_) => None,
        }
    }
}

impl Reference {
    /// The value; `Err` says why there is none, never what it is.
    pub(super) fn resolve(&self, base: &Path, grant: Option<&Grant>) -> Result<String, String> {
        match self {
            Reference::Env(name) => std::env::var(name).map_err(|error| match error {
                std::env::VarError::NotPresent => format!("the environment variable `{name}` is not set"),
                std::env::VarError::NotUnicode(_) => format!("the environment variable `{name}` is not valid UTF-8"),
            }),
            Reference::File(path) => {
                let path = base.join(path);
                let text = std::fs::read_to_string(&path).map_err(|error| format!("`{}`: {error}", path.display()))?;
                let line = text.strip_suffix('\n').unwrap_or(&text);
                Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
            }
            Reference::Secret(name) => match grant.map(|grant| grant.secrets.get(name)) {
                Some(Some(value)) => Ok(value.clone()),
                Some(None) => Err(format!(
                    "the tenant has no secret `{name}`: `sandbar secret set {name}` keeps one"
                )),
                None => Err(
                    "secrets are kept by `sandbar serve`, and this process was not started by it: write { env = \
                     \"NAME\" } or { file = \"path\" }"
                        .to_owned(),
                ),
            },
            Reference::Command(_) => Err("only `sasl.oauthbearer.token` may come from a command".to_owned()),
        }
    }
}

/// A plain value may be a secret that does not belong there: it is not shown.
impl fmt::Debug for Property {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Property::Reference(reference) => reference.fmt(out),
            _ => out.write_str("…"),
        }
    }
}

impl<'de> Deserialize<'de> for Property {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(AnyProperty)
    }
}

struct AnyProperty;

impl<'de> Visitor<'de> for AnyProperty {
    type Value = Property;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("text, a number, true, false, { env = \"NAME\" } or { file = \"path\" }")
    }

    fn visit_str<E>(self, text: &str) -> Result<Property, E> {
        Ok(Property::Text(text.to_owned()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Property, E> {
        // Not as a float, which would round it.
        Ok(Property::Text(number.to_string()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Property, E> {
        Ok(Property::Number(number))
    }

    fn visit_bool<E>(self, truth: bool) -> Result<Property, E> {
        Ok(Property::Bool(truth))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Property, A::Error> {
        let wrong = || de::Error::custom("expected one of { env = \"NAME\" } and { file = \"path\" }");
        let key: String = map.next_key()?.ok_or_else(wrong)?;
        let reference = match key.as_str() {
            "env" => Reference::Env(map.next_value()?),
            "file" => Reference::File(map.next_value()?),
            "command" => Reference::Command(map.next_value()?),
            "secret" => Reference::Secret(map.next_value()?),
            _ => {
                return Err(de::Error::custom(format!(
                    "`{key}` is neither `env` nor `file`; a property's name with dots is written in quotes: \
                     \"security.protocol\" = …"
                )));
            }
        };
        match map.next_key::<String>()? {
            None => Ok(Property::Reference(reference)),
            Some(_) => Err(wrong()),
        }
    }
}
