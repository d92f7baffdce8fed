//! Reads the raw structs from the tree, by serde, and says what is wrong in a person's words.

use std::fmt;

use serde::de::value::{StrDeserializer, UsizeDeserializer};
use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;

use super::document::{Node, Span, Table, TableEntry, Value};

/// The name under which `At` asks for the place of a value.
pub(in crate::spec) const AT: &str = "$at";

/// Why the tree is not what the structs say.
#[derive(Debug)]
pub(in crate::spec) struct ReadFault {
    pub(in crate::spec) wrong: Wrong,
    /// Where; `None` until it is known.
    pub(in crate::spec) span: Option<Span>,
    /// The keys that lead there, innermost first.
    pub(in crate::spec) path: Vec<String>,
}

/// What is wrong.
#[derive(Debug)]
pub(in crate::spec) enum Wrong {
    /// A key that is none, and those that are.
    Unknown(String, &'static [&'static str]),
    /// A word that is none, and those that are.
    Word(String, &'static [&'static str]),
    /// A key that must be there.
    Missing(&'static str),
    /// A value, in a sentence.
    Value(String),
}

impl ReadFault {
    fn new(wrong: Wrong) -> Self {
        Self {
            wrong,
            span: None,
            path: Vec::new(),
        }
    }

    /// The place, if an inner one is not known.
    fn at(mut self, span: &Span) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    fn under(mut self, key: &str) -> Self {
        self.path.push(key.to_owned());
        self
    }
}

impl fmt::Display for ReadFault {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:?}", self.wrong)
    }
}

impl std::error::Error for ReadFault {}

impl de::Error for ReadFault {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self::new(Wrong::Value(text.to_string()))
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(Wrong::Value(format!("expected {expected}, found {}", Found(found))))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::invalid_type(found, expected)
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self::new(Wrong::Word(word.to_owned(), known))
    }

    fn unknown_field(key: &str, known: &'static [&'static str]) -> Self {
        Self::new(Wrong::Unknown(key.to_owned(), known))
    }

    fn missing_field(key: &'static str) -> Self {
        Self::new(Wrong::Missing(key))
    }
}

struct Found<'a>(Unexpected<'a>);

impl fmt::Display for Found<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Unexpected::Str(text) => write!(out, "\"{text}\""),
            Unexpected::Signed(number) => write!(out, "{number}"),
            Unexpected::Unsigned(number) => write!(out, "{number}"),
            Unexpected::Float(number) => write!(out, "{number}"),
            Unexpected::Bool(truth) => write!(out, "{truth}"),
            Unexpected::Map => out.write_str("a table"),
            Unexpected::Seq => out.write_str("a list"),
            other => write!(out, "{other}"),
        }
    }
}

impl<'de> Deserializer<'de> for &'de Node {
    type Error = ReadFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFault> {
        match &self.value {
            Value::Text(text) => visitor.visit_str(text),
            Value::Integer(number) => visitor.visit_i64(*number),
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Bool(truth) => visitor.visit_bool(*truth),
            Value::List(list) => visitor.visit_seq(Items(list.iter())),
            Value::Table(table) => visitor.visit_map(TableKeys::of(table)),
        }
        .map_err(|fault| fault.at(&self.span))
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFault> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadFault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadFault> {
        if name == AT {
            visitor.visit_seq(AtField { node: self, given: 0 })
        } else {
            self.deserialize_any(visitor)
        }
    }

    /// A word, or a table with one key.
    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        words: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadFault> {
        match &self.value {
            Value::Text(word) => visitor.visit_enum(Choice { word, entry: None }),
            Value::Table(table) if table.len() == 1 => visitor.visit_enum(Choice {
                word: &table[0].key,
                entry: Some(&table[0]),
            }),
            Value::Table(_) => Err(ReadFault::new(Wrong::Value(format!(
                "expected exactly one of the keys {}",
                listed(words)
            )))),
            _ => {
                struct Words(&'static [&'static str]);
                impl Visitor<'_> for Words {
                    type Value = ();
                    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                        write!(out, "one of {}", listed(self.0))
                    }
                }
                Err(match self.deserialize_any(Words(words)) {
                    Err(fault) => fault,
                    Ok(()) => ReadFault::new(Wrong::Value("not a word".to_owned())),
                })
            }
        }
        .map_err(|fault| fault.at(&self.span))
    }

    /// A table, and nothing else: a list would be taken for the fields in the order in which they are written here.
    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadFault> {
        match &self.value {
            Value::Table(table) => visitor.visit_map(TableKeys::of(table)),
            _ => Err(ReadFault::new(Wrong::Value("expected a table".to_owned()))),
        }
        .map_err(|fault| fault.at(&self.span))
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        seq tuple map identifier ignored_any
    }
}

/// `a`, `b`, `c`, in quotes.
pub(in crate::spec) fn listed<T: fmt::Display>(words: &[T]) -> String {
    let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
    words.join(", ")
}

struct Items<'de>(std::slice::Iter<'de, Node>);

impl<'de> de::SeqAccess<'de> for Items<'de> {
    type Error = ReadFault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadFault> {
        (self.0.next())
            .map(|node| seed.deserialize(node).map_err(|fault| fault.at(&node.span)))
            .transpose()
    }
}

struct TableKeys<'de> {
    entries: std::slice::Iter<'de, TableEntry>,
    current: Option<&'de TableEntry>,
}

impl<'de> TableKeys<'de> {
    fn of(table: &'de Table) -> Self {
        Self {
            entries: table.iter(),
            current: None,
        }
    }
}

impl<'de> de::MapAccess<'de> for TableKeys<'de> {
    type Error = ReadFault;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadFault> {
        self.current = self.entries.next();
        self.current
            .map(|entry| seed.deserialize(Key(entry)).map_err(|fault| fault.at(&entry.span)))
            .transpose()
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, ReadFault> {
        let entry = self.current.ok_or_else(|| de::Error::custom("a value without a key"))?;
        seed.deserialize(&entry.node)
            .map_err(|fault| fault.at(&entry.node.span).under(&entry.key))
    }
}

/// A key, as text with its place.
struct Key<'de>(&'de TableEntry);

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = ReadFault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadFault> {
        visitor.visit_str(&self.0.key)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadFault> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, ReadFault> {
        visitor.visit_seq(KeyPlace { key: self.0, given: 0 })
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        option seq tuple map struct enum identifier ignored_any
    }
}

/// What `At` reads of a value: begin, end, value.
struct AtField<'de> {
    node: &'de Node,
    given: u8,
}

impl<'de> de::SeqAccess<'de> for AtField<'de> {
    type Error = ReadFault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadFault> {
        self.given += 1;
        match self.given {
            1 => seed.deserialize(number(self.node.span.start)),
            2 => seed.deserialize(number(self.node.span.end)),
            _ => seed.deserialize(self.node),
        }
        .map(Some)
    }
}

/// The same of a key.
struct KeyPlace<'de> {
    key: &'de TableEntry,
    given: u8,
}

impl<'de> de::SeqAccess<'de> for KeyPlace<'de> {
    type Error = ReadFault;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadFault> {
        self.given += 1;
        match self.given {
            1 => seed.deserialize(number(self.key.span.start)),
            2 => seed.deserialize(number(self.key.span.end)),
            _ => seed.deserialize(Key(self.key)),
        }
        .map(Some)
    }
}

fn number(number: usize) -> UsizeDeserializer<ReadFault> {
    number.into_deserializer()
}

/// A word, with the table entry that it came from.
struct Choice<'de> {
    word: &'de str,
    entry: Option<&'de TableEntry>,
}

impl<'de> de::EnumAccess<'de> for Choice<'de> {
    type Error = ReadFault;
    type Variant = Self;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Self), ReadFault> {
        let word: StrDeserializer<'_, ReadFault> = self.word.into_deserializer();
        Ok((seed.deserialize(word)?, self))
    }
}

impl<'de> de::VariantAccess<'de> for Choice<'de> {
    type Error = ReadFault;

    fn unit_variant(self) -> Result<(), ReadFault> {
        match self.entry {
            None => Ok(()),
            Some(entry) => Err(ReadFault::new(Wrong::Value(format!(
                "`{0}` takes no value, write \"{0}\"",
                entry.key
            )))),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadFault> {
        match self.entry {
            Some(entry) => seed
                .deserialize(&entry.node)
                .map_err(|fault| fault.at(&entry.node.span).under(&entry.key)),
            None => Err(ReadFault::new(Wrong::Value(format!(
                "`{0}` needs a value, write {{ {0} = … }}",
                self.word
            )))),
        }
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, _: V) -> Result<V::Value, ReadFault> {
        Err(ReadFault::new(Wrong::Value("not a word".to_owned())))
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], _: V) -> Result<V::Value, ReadFault> {
        Err(ReadFault::new(Wrong::Value("not a word".to_owned())))
    }
}
