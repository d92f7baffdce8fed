//! What postcard's bytes of a type mean, found out by watching the type read itself: the host shows a store's values by
//! it.
//!
//! ```text
//! "u64" · {"option": S} · {"seq": S} · {"map": [S, S]} · {"tuple": [S, …]} · {"struct": [["field", S], …]}
//! {"enum": "name"}
//! {"value": S, "enums": {"name": [["variant", S], …]}}
//! ```
//!
//! An enum is read again and again until each of its variants was seen. What cannot be found out, such as a type that
//! does not take the values that it is offered or one that contains itself, has no schema.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, IntoDeserializer, Visitor};
use serde_json::{Value, json};

/// A type that is nested deeper contains itself.
const DEPTH: usize = 32;
/// Variants that are looked at, over all enums of a type.
const PASSES: usize = 512;

/// The schema of the values that postcard writes of a type.
pub(super) fn of<T: DeserializeOwned>() -> Option<Value> {
    let mut seen = Seen::default();
    for _ in 0..PASSES {
        let mut shape = Value::Null;
        T::deserialize(Watch {
            seen: &mut seen,
            depth: 0,
            shape: &mut shape,
        })
        .ok()?;
        if let Some(enums) = seen.whole() {
            return Some(json!({ "value": shape, "enums": enums }));
        }
        seen.underway.clear();
    }
    None
}

/// The enums that were met, by the names of their types.
#[derive(Default)]
struct Seen {
    enums: BTreeMap<&'static str, Met>,
    /// Those that this pass has met already: what is met again may be within itself.
    underway: Vec<&'static str>,
}

/// An enum: of each variant its name and, once it was seen, what it holds.
struct Met {
    variants: Vec<(&'static str, Option<Value>)>,
    visits: usize,
}

impl Seen {
    /// The variant of an enum that is read next, and whether nobody saw it yet. When all were seen, they come in turns:
    /// what they hold may have variants that were not.
    fn next(&mut self, name: &'static str, variants: &'static [&'static str]) -> (usize, bool) {
        let met = self.enums.entry(name).or_insert_with(|| Met {
            variants: variants.iter().map(|variant| (*variant, None)).collect(),
            visits: 0,
        });
        if self.underway.contains(&name) {
            let seen = met.variants.iter().position(|(_, holds)| holds.is_some());
            return (seen.unwrap_or(variants.len().saturating_sub(1)), false);
        }
        self.underway.push(name);
        met.visits += 1;
        match met.variants.iter().position(|(_, holds)| holds.is_none()) {
            Some(unseen) => (unseen, true),
            None => (met.visits % variants.len().max(1), false),
        }
    }

    /// All of them, once each variant was seen.
    fn whole(&self) -> Option<Value> {
        let each = self.enums.iter().map(|(name, met)| {
            let variants = met.variants.iter();
            let variants = variants.map(|(variant, holds)| Some(json!([variant, holds.as_ref()?])));
            Some(((*name).to_owned(), Value::Array(variants.collect::<Option<_>>()?)))
        });
        each.collect::<Option<serde_json::Map<_, _>>>().map(Value::Object)
    }
}

/// Offers a type some value, and notes what it asked for.
struct Watch<'a> {
    seen: &'a mut Seen,
    depth: usize,
    shape: &'a mut Value,
}

impl Watch<'_> {
    fn inner<'b>(&'b mut self, shape: &'b mut Value) -> Result<Watch<'b>, Unknown> {
        if self.depth == DEPTH {
            return Err(Unknown);
        }
        Ok(Watch {
            seen: self.seen,
            depth: self.depth + 1,
            shape,
        })
    }

    /// The shapes of so many things that stand one behind the other.
    fn row<'de, V: Visitor<'de>>(&mut self, count: usize, visitor: V) -> Result<(V::Value, Vec<Value>), Unknown> {
        let mut shapes = Vec::new();
        let value = visitor.visit_seq(Row {
            watch: self.inner(&mut Value::Null)?,
            left: count,
            shapes: &mut shapes,
        })?;
        shapes.resize(count, Value::Null);
        match shapes.contains(&Value::Null) {
            true => Err(Unknown),
            false => Ok((value, shapes)),
        }
    }

    fn fields<'de, V: Visitor<'de>>(
        &mut self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<(V::Value, Value), Unknown> {
        let (value, shapes) = self.row(fields.len(), visitor)?;
        let named: Vec<_> = fields
            .iter()
            .zip(shapes)
            .map(|(name, shape)| json!([name, shape]))
            .collect();
        Ok((value, json!({ "struct": named })))
    }
}

macro_rules! scalars {
    ($($asked:ident $offered:ident $name:literal $value:expr;)*) => {$(
        fn $asked<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
            *self.shape = Value::from($name);
            visitor.$offered($value)
        }
    )*};
}

impl<'de> Deserializer<'de> for Watch<'_> {
    type Error = Unknown;

    // One rather than none: not every number may be 0.
    scalars! {
        deserialize_bool visit_bool "bool" true;
        deserialize_i8 visit_i8 "i8" 1; deserialize_i16 visit_i16 "i16" 1; deserialize_i32 visit_i32 "i32" 1;
        deserialize_i64 visit_i64 "i64" 1; deserialize_i128 visit_i128 "i128" 1;
        deserialize_u8 visit_u8 "u8" 1; deserialize_u16 visit_u16 "u16" 1; deserialize_u32 visit_u32 "u32" 1;
        deserialize_u64 visit_u64 "u64" 1; deserialize_u128 visit_u128 "u128" 1;
        deserialize_f32 visit_f32 "f32" 1.0; deserialize_f64 visit_f64 "f64" 1.0;
        deserialize_char visit_char "char" 'a';
        deserialize_str visit_str "string" ""; deserialize_string visit_str "string" "";
        deserialize_bytes visit_bytes "bytes" &[]; deserialize_byte_buf visit_bytes "bytes" &[];
    }

    /// As postcard says of itself: a type may read itself otherwise from text.
    fn is_human_readable(&self) -> bool {
        false
    }

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unknown> {
        Err(Unknown)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unknown> {
        Err(Unknown)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Unknown> {
        Err(Unknown)
    }

    fn deserialize_option<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let mut of = Value::Null;
        let value = visitor.visit_some(self.inner(&mut of)?)?;
        *self.shape = json!({ "option": of });
        Ok(value)
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Unknown> {
        *self.shape = Value::from("unit");
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unknown> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Unknown> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let (value, shapes) = self.row(1, visitor)?;
        *self.shape = json!({ "seq": shapes[0] });
        Ok(value)
    }

    fn deserialize_tuple<V: Visitor<'de>>(mut self, count: usize, visitor: V) -> Result<V::Value, Unknown> {
        let (value, shapes) = self.row(count, visitor)?;
        *self.shape = json!({ "tuple": shapes });
        Ok(value)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        count: usize,
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        self.deserialize_tuple(count, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Unknown> {
        let mut shapes = Vec::new();
        let value = visitor.visit_map(Row {
            watch: self.inner(&mut Value::Null)?,
            left: 2,
            shapes: &mut shapes,
        })?;
        *self.shape = json!({ "map": shapes });
        match shapes.len() {
            2 => Ok(value),
            _ => Err(Unknown),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        let (value, shape) = self.fields(fields, visitor)?;
        *self.shape = shape;
        Ok(value)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Unknown> {
        // Two of one name are told apart by their types.
        let name = std::any::type_name::<V::Value>();
        let (variant, is_new) = self.seen.next(name, variants);
        let mut holds = Value::Null;
        let value = visitor.visit_enum(Variant {
            watch: self.inner(&mut holds)?,
            variant: variant as u32,
        })?;
        if is_new && let Some(met) = self.seen.enums.get_mut(name) {
            met.variants[variant].1 = Some(holds);
        }
        *self.shape = json!({ "enum": name });
        Ok(value)
    }
}

/// Things that stand one behind the other.
struct Row<'a> {
    watch: Watch<'a>,
    left: usize,
    shapes: &'a mut Vec<Value>,
}

impl Row<'_> {
    fn one<'de, S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unknown> {
        let mut shape = Value::Null;
        let value = seed.deserialize(Watch {
            seen: self.watch.seen,
            depth: self.watch.depth,
            shape: &mut shape,
        })?;
        self.shapes.push(shape);
        self.left -= 1;
        Ok(value)
    }
}

impl<'de> de::SeqAccess<'de> for Row<'_> {
    type Error = Unknown;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unknown> {
        match self.left {
            0 => Ok(None),
            _ => self.one(seed).map(Some),
        }
    }
}

impl<'de> de::MapAccess<'de> for Row<'_> {
    type Error = Unknown;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Unknown> {
        de::SeqAccess::next_element_seed(self, seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Unknown> {
        self.one(seed)
    }
}

/// One variant of an enum.
struct Variant<'a> {
    watch: Watch<'a>,
    variant: u32,
}

impl<'de, 'a> de::EnumAccess<'de> for Variant<'a> {
    type Error = Unknown;
    type Variant = Watch<'a>;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Watch<'a>), Unknown> {
        let variant: de::value::U32Deserializer<Unknown> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self.watch))
    }
}

impl<'de> de::VariantAccess<'de> for Watch<'_> {
    type Error = Unknown;

    fn unit_variant(self) -> Result<(), Unknown> {
        *self.shape = Value::from("unit");
        Ok(())
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Unknown> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, count: usize, visitor: V) -> Result<V::Value, Unknown> {
        self.deserialize_tuple(count, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, fields: &'static [&'static str], visitor: V) -> Result<V::Value, Unknown> {
        self.deserialize_struct("", fields, visitor)
    }
}

/// It cannot be found out.
#[derive(Debug)]
struct Unknown;

impl fmt::Display for Unknown {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("the type does not tell")
    }
}

impl std::error::Error for Unknown {}

impl de::Error for Unknown {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Unknown
    }
}

#[cfg(test)]
mod tests {
    #![allow(dead_code, reason = "only their shapes matter")]
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Window {
        _from: i64,
        _count: Option<u32>,
        _names: Vec<(String, f64)>,
        _kind: Kind,
        _by: BTreeMap<String, Kind>,
    }

    #[derive(Deserialize)]
    enum Kind {
        Open,
        Closed(bool),
        Moved { _to: u8 },
    }

    #[derive(Deserialize)]
    enum Outer {
        Nothing,
        Tree(Tree),
        Kind(Kind),
    }

    #[derive(Deserialize)]
    enum Tree {
        Node(Box<Tree>, Box<Tree>),
        Leaf(Option<Kind>),
    }

    #[derive(Deserialize)]
    struct Chain {
        _next: Option<Box<Chain>>,
    }

    #[test]
    fn a_type_tells_what_its_bytes_are() {
        assert_eq!(of::<u64>(), Some(json!({ "value": "u64", "enums": {} })));
        let window = of::<Window>().unwrap();
        let kind = std::any::type_name::<Kind>();
        assert_eq!(
            window["value"],
            json!({ "struct": [
                ["_from", "i64"],
                ["_count", { "option": "u32" }],
                ["_names", { "seq": { "tuple": ["string", "f64"] } }],
                ["_kind", { "enum": kind }],
                ["_by", { "map": ["string", { "enum": kind }] }],
            ] })
        );
        assert_eq!(
            window["enums"][kind],
            json!([["Open", "unit"], ["Closed", "bool"], ["Moved", { "struct": [["_to", "u8"]] }]])
        );
    }

    #[test]
    fn enums_within_enums_are_seen_whole() {
        let outer = of::<Outer>().unwrap();
        let (kind, tree) = (std::any::type_name::<Kind>(), std::any::type_name::<Tree>());
        let tree_of = json!({ "enum": tree });
        assert_eq!(outer["enums"][kind].as_array().unwrap().len(), 3);
        assert_eq!(
            outer["enums"][tree],
            json!([["Node", { "tuple": [tree_of, tree_of] }], ["Leaf", { "option": { "enum": kind } }]])
        );
    }

    #[test]
    fn what_does_not_tell_has_no_schema() {
        assert_eq!(of::<Chain>(), None);
        assert_eq!(of::<Value>(), None);
    }
}
