//! Windows as a configuration writes them.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::{Emit, Span, Windows};

/// `{ tumbling = "10s" }`, `{ hopping = "10s", every = "2s" }`, `{ cumulating = "1h", every = "10m" }`, of which each
/// takes an `offset` too; `{ session = "30s" }`, `{ count = 100 }`, `{ count = 100, every = 10 }`, `"global"`.
impl<'de> Deserialize<'de> for Windows {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(Shapes)
    }
}

struct Shapes;

/// The keys of a window's table, as far as they are there.
#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    tumbling: Option<Span>,
    hopping: Option<Span>,
    cumulating: Option<Span>,
    session: Option<Span>,
    count: Option<u32>,
    every: Option<Every>,
    offset: Option<Span>,
}

/// Of count windows a number, else a duration.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Every {
    Records(u32),
    Time(Span),
}

impl<'de> Visitor<'de> for Shapes {
    type Value = Windows;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"global\", or a table with one of tumbling, hopping, cumulating, session and count")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Windows, E> {
        match text {
            "global" => Ok(Windows::global()),
            _ => Err(E::invalid_value(de::Unexpected::Str(text), &self)),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Windows, A::Error> {
        let table = Table::deserialize(de::value::MapAccessDeserializer::new(map))?;
        table.windows().map_err(de::Error::custom)
    }
}

impl Table {
    fn windows(self) -> Result<Windows, &'static str> {
        let by_time = [&self.tumbling, &self.hopping, &self.cumulating, &self.session];
        let kinds = by_time.iter().filter(|kind| kind.is_some()).count() + usize::from(self.count.is_some());
        if kinds != 1 {
            return Err("a window is one of tumbling, hopping, cumulating, session and count");
        }
        let takes_offset = self.session.is_none() && self.count.is_none();
        if self.offset.is_some() && !takes_offset {
            return Err("only tumbling, hopping and cumulating windows take an `offset`");
        }
        let windows = match self {
            Self {
                tumbling: Some(size),
                every: None,
                ..
            } => Windows::tumbling(size),
            Self {
                hopping: Some(size),
                every: Some(Every::Time(every)),
                ..
            } => Windows::hopping(size, every),
            Self {
                cumulating: Some(size),
                every: Some(Every::Time(every)),
                ..
            } => Windows::cumulating(size, every),
            Self {
                session: Some(gap),
                every: None,
                ..
            } => Windows::session(gap),
            Self {
                count: Some(size),
                every: None,
                ..
            } => Windows::count(size),
            Self {
                count: Some(size),
                every: Some(Every::Records(every)),
                ..
            } => Windows::last(size, every),
            _ => {
                return Err(
                    "`every` is a duration for hopping and cumulating windows, which need it, a number for \
                            count windows, and nothing for others",
                );
            }
        };
        Ok(match self.offset {
            Some(offset) => windows.offset(offset),
            None => windows,
        })
    }
}

/// `"close"`, `"update"`, or `{ every = "1s" }`.
impl<'de> Deserialize<'de> for Emit {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Written {
            Close,
            Update,
            Every(Span),
        }
        Ok(match Written::deserialize(from)? {
            Written::Close => Self::Close,
            Written::Update => Self::Update,
            Written::Every(every) => Self::Every(every),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Windows, String> {
        serde_json::from_str(text).map_err(|error| error.to_string())
    }

    #[test]
    fn windows_are_read_from_a_configuration() {
        let seconds = |seconds: i64| Span::of_ms(seconds * 1000);
        for (text, windows) in [
            (r#"{"tumbling":"10s"}"#, Windows::tumbling(seconds(10))),
            (
                r#"{"tumbling":"10s","offset":"-3s"}"#,
                Windows::tumbling(seconds(10)).offset(seconds(-3)),
            ),
            (
                r#"{"every":"2s","hopping":"10s"}"#,
                Windows::hopping(seconds(10), seconds(2)),
            ),
            (
                r#"{"cumulating":"1h","every":"10m"}"#,
                Windows::cumulating(seconds(3600), seconds(600)),
            ),
            (r#"{"session":"30s"}"#, Windows::session(seconds(30))),
            (r#"{"count":100}"#, Windows::count(100)),
            (r#"{"count":100,"every":10}"#, Windows::last(100, 10)),
            (r#""global""#, Windows::global()),
        ] {
            assert_eq!(read(text), Ok(windows), "{text}");
        }
    }

    #[test]
    fn a_window_that_is_none_is_refused_with_the_reason() {
        for (text, why) in [
            (r#""all""#, "expected \"global\""),
            ("{}", "one of tumbling"),
            (r#"{"tumbling":"1s","session":"1s"}"#, "one of tumbling"),
            (r#"{"tumbling":"soon"}"#, "\"soon\" is no duration"),
            (r#"{"tumbling":"1s","every":"1s"}"#, "nothing for others"),
            (r#"{"hopping":"1s"}"#, "which need it"),
            (r#"{"hopping":"1s","every":5}"#, "which need it"),
            (r#"{"count":5,"every":"1s"}"#, "a number for"),
            (r#"{"session":"1s","offset":"1s"}"#, "take an `offset`"),
            (r#"{"sliding":"1s"}"#, "unknown field `sliding`"),
            (r#"{"count":-1}"#, "invalid value"),
            ("5", "expected \"global\""),
        ] {
            let said = read(text).unwrap_err();
            assert!(said.contains(why), "{text}: {said}");
        }
        let emit = |text| serde_json::from_str::<Emit>(text).ok();
        assert_eq!(emit(r#""update""#), Some(Emit::Update));
        assert_eq!(emit(r#"{"every":"1s"}"#), Some(Emit::Every(Span::of_ms(1000))));
        assert_eq!((emit(r#""never""#), emit(r#"{"each":"1s"}"#)), (None, None));
    }
}
