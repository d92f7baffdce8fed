//! Keeps a list and a map by key as the words of a record's value tell it to, and emits what it then reads of them.
//!
//! `push:x`, `clear-list`, `put:k=x`, `delete:k`, `clear-map`, `set:x`, `set-other:x`, `unset` write; `items`, `get:k`,
//! `scan:prefix`, `value`, `other` emit what they find; `refuse` refuses the record behind the words before it, `trap`
//! traps, `retry` asks for the call again.

use sandbar_sdk::prelude::*;
use std::fmt::Write;

#[derive(Deserialize)]
struct Keeps {
    #[serde(skip)]
    list: List<String>,
    #[serde(skip)]
    map: Map<String, String>,
    #[serde(skip)]
    value: Value<Vec<u8>, Raw>,
    #[serde(skip)]
    other: Value<String>,
}

impl Plugin for Keeps {
    fn describe(description: Description) -> Description {
        description.keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("list", |keeps| &mut keeps.list);
        stores.add("map", |keeps| &mut keeps.map);
        stores
            .add("value", |keeps| &mut keeps.value)
            .version(2)
            .readable_from(1);
        stores.add("other", |keeps| &mut keeps.other);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let mut said = String::new();
        for word in event.text()?.split_whitespace() {
            let (verb, rest) = word.split_once(':').unwrap_or((word, ""));
            match verb {
                "push" => self.list.push(event, &rest.to_owned())?,
                "clear-list" => self.list.clear(event)?,
                "put" => {
                    let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                    self.map.put(event, key, &value.to_owned())?;
                }
                "delete" => self.map.delete(event, rest)?,
                "clear-map" => self.map.clear(event)?,
                "set" => self.value.set(event, &rest.as_bytes().to_vec())?,
                "set-other" => self.other.set(event, &rest.to_owned())?,
                "unset" => self.value.delete(event)?,
                "refuse" => return Err(dead_letter("told to refuse")),
                "retry" => return Err(retry("told to retry")),
                "trap" => panic!("told to trap"),
                read => said += &self.read(event, read, rest)?,
            }
        }
        out.emit(event.key(), said);
        Ok(())
    }
}

impl Keeps {
    fn read(&mut self, event: &Event, verb: &str, rest: &str) -> Result<String, Refusal> {
        let mut said = String::new();
        match verb {
            "items" => _ = write!(said, "{:?}", self.list.items(event)?),
            "get" => _ = write!(said, "{:?}", self.map.get(event, rest)?),
            "value" => {
                let value = self.value.get(event)?;
                let text = value.as_deref().map(String::from_utf8_lossy);
                _ = write!(said, "{text:?}");
            }
            "other" => _ = write!(said, "{:?}", self.other.get(event)?),
            "scan" => {
                for entry in self.map.scan(event, rest.as_bytes())? {
                    let (key, value) = entry?;
                    _ = write!(said, "{key}={value},");
                }
            }
            unknown => return Err(fail(format!("`{unknown}` is no word"))),
        }
        Ok(said)
    }
}

sandbar_sdk::plugin!(Keeps);
