//! What records are ranked by: values in JSON at pointers that a configuration names.

use std::cmp::{Ordering, Reverse};

use serde::{Deserialize, Serialize};

use super::found::Number;
use crate::json::{LazyValue, Pointer};
use crate::{Event, Refusal, dead_letter, fail};

/// `"/price"`, or several pointers with the order of each: `[["/price", "descending"], ["/at", "ascending"]]`. As a
/// field of a plugin it is read from the configuration.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum By {
    /// The order stands beside it.
    One(String),
    /// Equal ones by the first are ranked by the second, and so on.
    Several(Vec<(String, Order)>),
}

/// What comes first: `"ascending"` the least, `"descending"` the greatest. Numbers are less than texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The least comes first.
    Ascending,
    /// The greatest comes first.
    Descending,
}

/// Reads of each record what it is ranked by.
#[derive(Debug, Default)]
pub struct Ranking {
    columns: Vec<Column>,
    row: (Vec<SortKey>, String),
}

#[derive(Debug)]
struct Column {
    pointer: Pointer,
    /// As it is written.
    text: String,
    order: Order,
}

/// A value that records are ranked by, in the order that is asked for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct SortKey(Ordered);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
enum Ordered {
    Ascending(Comparable),
    Descending(Reverse<Comparable>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
enum Comparable {
    Number(Number),
    Text(String),
}

impl Ranking {
    /// What is ranked by what; `order` is that of a single pointer, descending unless it is said.
    ///
    /// # Errors
    /// A pointer is none, there is none at all, or an order is said twice.
    pub fn new(by: &By, order: Option<Order>) -> Result<Self, Refusal> {
        let columns = match by {
            By::One(pointer) => vec![Column::new(pointer, order.unwrap_or(Order::Descending))?],
            By::Several(_) if order.is_some() => {
                return Err(fail(
                    "with several pointers in `by` each has its order: `order` says it again",
                ));
            }
            By::Several(all) if all.is_empty() => return Err(fail("`by` is empty: nothing ranks the records")),
            By::Several(all) => {
                let columns = all.iter().map(|(pointer, order)| Column::new(pointer, *order));
                columns.collect::<Result<_, _>>()?
            }
        };
        let row = <(Vec<SortKey>, String)>::default();
        Ok(Self { columns, row })
    }

    /// Reads what the record is ranked by, and its value; `None`: something of it is missing or null, so it does not
    /// count.
    ///
    /// # Errors
    /// A record without a key, a value that is null or not JSON, and something else than a number or a text to rank by
    /// are dead letters.
    pub fn read(&mut self, event: &Event) -> Result<Option<&(Vec<SortKey>, String)>, Refusal> {
        event.key_index()?;
        let (keys, value) = &mut self.row;
        keys.clear();
        for column in &self.columns {
            let found = column.pointer.find(event.bytes()?)?;
            match found.map(|raw| column.read(raw)).transpose()?.flatten() {
                Some(key) => keys.push(key),
                None => return Ok(None),
            }
        }
        value.clear();
        value.push_str(event.text()?);
        Ok(Some(&self.row))
    }
}

impl Column {
    fn new(pointer: &str, order: Order) -> Result<Self, Refusal> {
        Ok(Self {
            pointer: Pointer::new(pointer).map_err(|error| fail(error.to_string()))?,
            text: pointer.to_owned(),
            order,
        })
    }

    fn read(&self, raw: LazyValue<'_>) -> Result<Option<SortKey>, Refusal> {
        let value = match raw.bytes() {
            b"null" => return Ok(None),
            [b'-' | b'0'..=b'9', ..] => Comparable::Number(Number::read(raw)?),
            [b'"', ..] => {
                let text = raw.to();
                Comparable::Text(text.map_err(|_| dead_letter("a text has an escape that is no character"))?)
            }
            _ => {
                let at = &self.text;
                return Err(dead_letter(format!("the value at {at} is neither a number nor a text")));
            }
        };
        Ok(Some(SortKey(match self.order {
            Order::Ascending => Ordered::Ascending(value),
            Order::Descending => Ordered::Descending(Reverse(value)),
        })))
    }
}

impl Ord for Comparable {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(one), Self::Number(other)) => one.order(*other),
            (Self::Text(one), Self::Text(other)) => one.cmp(other),
            (Self::Number(_), Self::Text(_)) => Ordering::Less,
            (Self::Text(_), Self::Number(_)) => Ordering::Greater,
        }
    }
}

impl PartialOrd for Comparable {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// 1 and 1.0 are equal, which is why this is not derived.
impl PartialEq for Comparable {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Comparable {}
