//! Aggregates as a configuration names them.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, Visitor};

use super::found::Found;
use super::tally::{Makes, Taken, Tallies, Tally};
use crate::json::Pointer;
use crate::{Event, Refusal};

/// `NAME = "count"` counts records; `NAME = { count = "/p" }` counts those that have something at the pointer. So are
/// written `sum`, `min`, `max`, `avg`, `first`, `last`, `collect` and `count-distinct`, and `{ quantile = "/p", at =
/// 0.99 }`.
///
/// As a field of a plugin it is read from the configuration. It keeps the order of the names.
#[derive(Debug)]
pub struct Aggregates {
    tallies: Vec<Tally>,
    pointers: Vec<Wanted>,
    taken: Taken,
}

/// A pointer that aggregates have.
#[derive(Debug)]
struct Wanted {
    pointer: Pointer,
    text: String,
    wants_text: bool,
}

impl Aggregates {
    /// Hands over what makes something of records: for [`Windowed::open_with`](crate::window::Windowed::open_with).
    pub fn take_tallies(&mut self) -> Tallies {
        Tallies {
            all: std::mem::take(&mut self.tallies),
        }
    }

    /// Reads what the aggregates want of a record.
    ///
    /// # Errors
    /// A value that is null or not JSON is a dead letter, unless all of them just count records; so is a number that no
    /// aggregate could take.
    pub fn read(&mut self, event: &Event) -> Result<&Taken, Refusal> {
        self.taken.found.clear();
        for wanted in &self.pointers {
            let raw = wanted.pointer.find(event.bytes()?)?;
            let found = raw.map(|raw| Found::read(raw, wanted.wants_text)).transpose()?;
            self.taken.found.push(found.flatten());
        }
        Ok(&self.taken)
    }

    fn add(&mut self, name: &str, aggregate: Written) -> Result<(), String> {
        let (makes, pointer) = aggregate.read()?;
        let of = pointer.map(|pointer| self.want(pointer, makes)).transpose()?;
        let name = serde_json::to_string(name).map_err(|error| error.to_string())?;
        if self.tallies.iter().any(|tally| tally.name() == name) {
            return Err(format!("two aggregates are called {name}"));
        }
        if ["\"start\"", "\"end\""].contains(&&name[..]) {
            return Err(format!("an aggregate is called {name}, as a field of the output is"));
        }
        self.tallies.push(Tally::new(name, makes, of));
        Ok(())
    }

    /// A pointer is looked up once, however many aggregates have it.
    fn want(&mut self, text: String, makes: Makes) -> Result<(usize, String), String> {
        let known = self.pointers.iter().position(|wanted| wanted.text == text);
        let at = match known {
            Some(at) => at,
            None => {
                self.pointers.push(Wanted {
                    pointer: Pointer::new(&text).map_err(|error| error.to_string())?,
                    text: text.clone(),
                    wants_text: false,
                });
                self.pointers.len() - 1
            }
        };
        self.pointers[at].wants_text |= makes.wants_text();
        Ok((at, text))
    }
}

/// An aggregate as it is written.
#[derive(serde::Deserialize)]
#[serde(untagged)]
enum Written {
    Word(String),
    Table(Box<Table>),
}

#[derive(Default, serde::Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
struct Table {
    count: Option<String>,
    sum: Option<String>,
    min: Option<String>,
    max: Option<String>,
    avg: Option<String>,
    first: Option<String>,
    last: Option<String>,
    collect: Option<String>,
    count_distinct: Option<String>,
    quantile: Option<String>,
    at: Option<f64>,
}

impl Written {
    /// What it makes, and of what.
    fn read(self) -> Result<(Makes, Option<String>), String> {
        let table = match self {
            Self::Word(word) if word == "count" => return Ok((Makes::Count, None)),
            Self::Word(word) => return Err(format!("\"{word}\" is no aggregate without a pointer")),
            Self::Table(table) => *table,
        };
        let at = table.at.unwrap_or(f64::NAN);
        let all = [
            (Makes::Count, table.count),
            (Makes::Sum, table.sum),
            (Makes::Min, table.min),
            (Makes::Max, table.max),
            (Makes::Avg, table.avg),
            (Makes::First, table.first),
            (Makes::Last, table.last),
            (Makes::Collect, table.collect),
            (Makes::Distinct, table.count_distinct),
            (Makes::Quantile(at), table.quantile),
        ];
        let mut given = all
            .into_iter()
            .filter_map(|(makes, pointer)| pointer.map(|pointer| (makes, pointer)));
        let (Some((makes, pointer)), None) = (given.next(), given.next()) else {
            return Err(
                "an aggregate is one of count, sum, min, max, avg, first, last, collect, count-distinct and \
                        quantile, each with its pointer"
                    .to_owned(),
            );
        };
        match makes {
            Makes::Quantile(at) if !(0.0..=1.0).contains(&at) => {
                Err("a quantile has its rank from 0 to 1 in `at`".to_owned())
            }
            Makes::Quantile(_) => Ok((makes, Some(pointer))),
            _ if table.at.is_some() => Err("only a quantile has an `at`".to_owned()),
            _ => Ok((makes, Some(pointer))),
        }
    }
}

impl<'de> Deserialize<'de> for Aggregates {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Named;
        impl<'de> Visitor<'de> for Named {
            type Value = Aggregates;

            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("aggregates by their names")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Aggregates, A::Error> {
                let mut aggregates = Aggregates {
                    tallies: Vec::new(),
                    pointers: Vec::new(),
                    taken: Taken::default(),
                };
                while let Some(name) = map.next_key::<String>()? {
                    let written = map.next_value()?;
                    let added = aggregates.add(&name, written);
                    added.map_err(|why| de::Error::custom(format!("aggregate `{name}`: {why}")))?;
                }
                match aggregates.tallies.is_empty() {
                    true => Err(de::Error::custom("there is no aggregate")),
                    false => Ok(aggregates),
                }
            }
        }
        from.deserialize_map(Named)
    }
}
