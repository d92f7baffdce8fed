//! How a store's bytes are shown: by its codec, and by the schema that its plugin gives.
//!
//! Always: what the bytes do not say beyond doubt is shown in hex: a schema that is none, bytes that are left over, a
//! text that is none. A schema is a guest's text, and the bytes may be of an older version: neither is trusted.

use std::collections::BTreeMap;
use std::fmt::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Map, Number, Value};

/// Values that are nested deeper are shown in hex.
const DEPTH: usize = 64;

/// How the values and user keys of a store are shown.
#[derive(Debug)]
pub struct Shown {
    codec: Codec,
    user_key: Option<String>,
}

#[derive(Debug)]
enum Codec {
    Json,
    Text,
    Postcard(PostcardSchema),
    Unknown,
}

/// The types of a postcard's bytes.
#[derive(Debug)]
struct PostcardSchema {
    value: Type,
    enums: BTreeMap<String, Vec<(String, Type)>>,
}

#[derive(Debug)]
enum Type {
    Scalar(ShownScalar),
    Option(Box<Type>),
    Seq(Box<Type>),
    Map(Box<(Type, Type)>),
    Tuple(Vec<Type>),
    Struct(Vec<(String, Type)>),
    Enum(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ShownScalar {
    Unit,
    Bool,
    /// Of so many bits.
    Unsigned(u32),
    Signed(u32),
    F32,
    F64,
    Char,
    String,
    Bytes,
}

impl Shown {
    /// Of a store with this codec, whose plugin says this of it; an empty text: nothing.
    pub fn new(codec: &str, said: &str) -> Self {
        let said: Value = serde_json::from_str(said).unwrap_or_default();
        let codec = match codec {
            "json" => Codec::Json,
            "string" | "text" | "utf-8" | "utf8" => Codec::Text,
            "postcard" => PostcardSchema::read(&said).map_or(Codec::Unknown, Codec::Postcard),
            _ => Codec::Unknown,
        };
        let user_key = said.get("user-key").and_then(Value::as_str).map(str::to_owned);
        Self { codec, user_key }
    }

    /// A value or an item; `None`: nothing is known of it.
    pub fn value(&self, bytes: &[u8]) -> Option<Value> {
        match &self.codec {
            Codec::Json => serde_json::from_slice(bytes).ok(),
            Codec::Text => std::str::from_utf8(bytes).ok().map(Value::from),
            Codec::Postcard(schema) => schema.show(bytes),
            Codec::Unknown => None,
        }
    }

    /// The user key of a map's entry; `None`: nothing is known of it.
    pub fn user_key(&self, bytes: &[u8]) -> Option<Value> {
        match self.user_key.as_deref()? {
            "string" => std::str::from_utf8(bytes).ok().map(Value::from),
            number => match ShownScalar::named(number)? {
                ShownScalar::Unsigned(bits) if bits <= 64 => highest_first(bytes, bits).map(Value::from),
                // The sign is turned, so that what is negative lies before.
                ShownScalar::Signed(bits) if bits <= 64 => {
                    let turned = highest_first(bytes, bits)? ^ (1 << (bits - 1));
                    Some(Value::from((turned << (64 - bits)).cast_signed() >> (64 - bits)))
                }
                _ => None,
            },
        }
    }
}

/// As a person reads it in a table: text as it is, everything else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) if !text.chars().any(char::is_control) => text.clone(),
        other => other.to_string(),
    }
}

/// Hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes
        .iter()
        .fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
            // A string takes whatever is written.
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn highest_first(bytes: &[u8], bits: u32) -> Option<u64> {
    let number = || bytes.iter().fold(0, |number, byte| (number << 8) | u64::from(*byte));
    (bytes.len() == bits as usize / 8).then(number)
}

impl ShownScalar {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "unit" => ShownScalar::Unit,
            "bool" => ShownScalar::Bool,
            "u8" => ShownScalar::Unsigned(8),
            "u16" => ShownScalar::Unsigned(16),
            "u32" => ShownScalar::Unsigned(32),
            "u64" => ShownScalar::Unsigned(64),
            "u128" => ShownScalar::Unsigned(128),
            "i8" => ShownScalar::Signed(8),
            "i16" => ShownScalar::Signed(16),
            "i32" => ShownScalar::Signed(32),
            "i64" => ShownScalar::Signed(64),
            "i128" => ShownScalar::Signed(128),
            "f32" => ShownScalar::F32,
            "f64" => ShownScalar::F64,
            "char" => ShownScalar::Char,
            "string" => ShownScalar::String,
            "bytes" => ShownScalar::Bytes,
            _ => return None,
        })
    }
}

impl PostcardSchema {
    /// What a plugin said, unless it is no schema.
    fn read(said: &Value) -> Option<Self> {
        let value = Type::read(said.get("value")?)?;
        let said = said.get("enums").and_then(Value::as_object);
        let enums = said.into_iter().flatten();
        let enums = enums.map(|(name, variants)| Some((name.clone(), named(variants)?)));
        Some(Self {
            value,
            enums: enums.collect::<Option<_>>()?,
        })
    }

    fn show(&self, bytes: &[u8]) -> Option<Value> {
        let mut rest = Rest {
            schema: self,
            bytes,
            things: 64 + 4 * bytes.len(),
        };
        let value = rest.take(&self.value, DEPTH)?;
        rest.bytes.is_empty().then_some(value)
    }
}

impl Type {
    /// serde_json reads no text that is nested so deep that this would overflow.
    fn read(said: &Value) -> Option<Self> {
        if let Some(name) = said.as_str() {
            return ShownScalar::named(name).map(Type::Scalar);
        }
        let (word, of) = said.as_object().filter(|said| said.len() == 1)?.iter().next()?;
        let boxed = || Type::read(of).map(Box::new);
        Some(match word.as_str() {
            "option" => Type::Option(boxed()?),
            "seq" => Type::Seq(boxed()?),
            "map" => match &of.as_array()?[..] {
                [key, value] => Type::Map(Box::new((Type::read(key)?, Type::read(value)?))),
                _ => return None,
            },
            "tuple" => Type::Tuple(of.as_array()?.iter().map(Type::read).collect::<Option<_>>()?),
            "struct" => Type::Struct(named(of)?),
            "enum" => Type::Enum(of.as_str()?.to_owned()),
            _ => return None,
        })
    }
}

/// Pairs of a name and a type.
fn named(said: &Value) -> Option<Vec<(String, Type)>> {
    let pair = |pair: &Value| match &pair.as_array()?[..] {
        [name, of] => Some((name.as_str()?.to_owned(), Type::read(of)?)),
        _ => None,
    };
    said.as_array()?.iter().map(pair).collect()
}

/// What is left of a value's bytes.
struct Rest<'a> {
    schema: &'a PostcardSchema,
    bytes: &'a [u8],
    /// Things that may still be shown: a schema of things without bytes makes many of few.
    things: usize,
}

impl Rest<'_> {
    fn take(&mut self, of: &Type, depth: usize) -> Option<Value> {
        let depth = depth.checked_sub(1)?;
        self.things = self.things.checked_sub(1)?;
        Some(match of {
            Type::Scalar(scalar) => self.scalar(*scalar)?,
            Type::Option(of) => match self.byte()? {
                0 => Value::Null,
                1 => self.take(of, depth)?,
                _ => return None,
            },
            Type::Seq(of) => {
                let count = self.count()?;
                (0..count).map(|_| self.take(of, depth)).collect::<Option<_>>()?
            }
            Type::Map(of) => self.map(of, depth)?,
            Type::Tuple(of) => of.iter().map(|of| self.take(of, depth)).collect::<Option<_>>()?,
            Type::Struct(fields) => {
                let each = fields
                    .iter()
                    .map(|(name, of)| Some((name.clone(), self.take(of, depth)?)));
                Value::Object(each.collect::<Option<Map<_, _>>>()?)
            }
            Type::Enum(name) => {
                let (variants, at) = (self.schema.enums.get(name)?, self.unsigned(32)?);
                let (variant, holds) = variants.get(usize::try_from(at).ok()?)?;
                match holds {
                    Type::Scalar(ShownScalar::Unit) => Value::from(variant.as_str()),
                    holds => Value::Object([(variant.clone(), self.take(holds, depth)?)].into_iter().collect()),
                }
            }
        })
    }

    fn scalar(&mut self, scalar: ShownScalar) -> Option<Value> {
        Some(match scalar {
            ShownScalar::Unit => Value::Null,
            ShownScalar::Bool => match self.byte()? {
                0 => Value::Bool(false),
                1 => Value::Bool(true),
                _ => return None,
            },
            ShownScalar::Unsigned(bits) => {
                let number = self.unsigned(bits)?;
                u64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::from)
            }
            ShownScalar::Signed(bits) => {
                let number = self.signed(bits)?;
                i64::try_from(number).map_or_else(|_| Value::from(number.to_string()), Value::from)
            }
            ShownScalar::F32 => float(f64::from(f32::from_le_bytes(*self.bytes(4)?.first_chunk()?))),
            ShownScalar::F64 => float(f64::from_le_bytes(*self.bytes(8)?.first_chunk()?)),
            ShownScalar::Char | ShownScalar::String => {
                let count = self.count()?;
                Value::from(std::str::from_utf8(self.bytes(count)?).ok()?)
            }
            ShownScalar::Bytes => {
                let count = self.count()?;
                Value::from(format!("0x{}", hex(self.bytes(count)?)))
            }
        })
    }

    /// An object if its keys are texts, else pairs.
    fn map(&mut self, of: &(Type, Type), depth: usize) -> Option<Value> {
        let count = self.count()?;
        let pairs = (0..count).map(|_| Some((self.take(&of.0, depth)?, self.take(&of.1, depth)?)));
        let pairs: Vec<(Value, Value)> = pairs.collect::<Option<_>>()?;
        if let Type::Scalar(ShownScalar::String) = of.0 {
            let named = pairs.into_iter().map(|(key, value)| (text(&key), value));
            return Some(Value::Object(named.collect()));
        }
        Some(
            pairs
                .into_iter()
                .map(|(key, value)| Value::from(vec![key, value]))
                .collect(),
        )
    }

    /// How many follow. Each takes a byte at least, save what takes none: so many are not believed.
    fn count(&mut self) -> Option<usize> {
        let count = usize::try_from(self.unsigned(64)?).ok()?;
        (count <= self.bytes.len()).then_some(count)
    }

    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.bytes.split_first()?;
        self.bytes = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<&[u8]> {
        let (bytes, rest) = self.bytes.split_at_checked(count)?;
        self.bytes = rest;
        Some(bytes)
    }

    /// One byte as it is; more of them seven bits a byte, the lowest first.
    fn unsigned(&mut self, bits: u32) -> Option<u128> {
        if bits == 8 {
            return self.byte().map(u128::from);
        }
        let mut number = 0u128;
        for shift in (0..bits).step_by(7) {
            let byte = self.byte()?;
            let part = u128::from(byte & 0x7f);
            if part << shift >> shift != part {
                return None;
            }
            number |= part << shift;
            if byte & 0x80 == 0 {
                return (bits == 128 || number >> bits == 0).then_some(number);
            }
        }
        None
    }

    /// One byte as it is; of more of them the lowest bit is the sign.
    fn signed(&mut self, bits: u32) -> Option<i128> {
        let number = self.unsigned(bits)?;
        if bits == 8 {
            return Some(i128::from((number as u8).cast_signed()));
        }
        Some((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }
}

/// What JSON has no number for is a text.
fn float(number: f64) -> Value {
    Number::from_f64(number).map_or_else(|| Value::from(number.to_string()), Value::Number)
}

/// Bytes as records have them in JSON lines: text, or base64 under a name that says so.
pub fn put(object: &mut Map<String, Value>, name: &str, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(text) => object.insert(name.to_owned(), Value::from(text)),
        Err(_) => object.insert(format!("{name}-base64"), Value::from(BASE64.encode(bytes))),
    };
}

/// Text that a terminal can show as it is, else hex digits.
pub fn readable(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => digits(bytes),
    }
}

/// Hex digits, told apart from text.
pub fn digits(bytes: &[u8]) -> String {
    format!("0x{}", hex(bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn postcard(value: Value, enums: Value) -> Shown {
        let said = json!({ "value": value, "enums": enums });
        Shown::new("postcard", &said.to_string())
    }

    fn scalar(name: &str, bytes: &[u8]) -> Option<Value> {
        postcard(json!(name), json!({})).value(bytes)
    }

    #[test]
    fn the_number_62_is_62() {
        for name in ["u8", "u16", "u32", "u64", "u128"] {
            assert_eq!(scalar(name, &[62]), Some(json!(62)), "{name}");
        }
        assert_eq!(scalar("i8", &[62]), Some(json!(62)));
        for name in ["i16", "i32", "i64", "i128"] {
            assert_eq!(scalar(name, &[124]), Some(json!(62)), "{name}");
        }
    }

    #[test]
    fn numbers_are_read_as_postcard_writes_them() {
        assert_eq!(scalar("u64", &[0xac, 0x02]), Some(json!(300)));
        let most = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        assert_eq!(scalar("u64", &most), Some(json!(u64::MAX)));
        assert_eq!(scalar("i64", &most), Some(json!(i64::MIN)));
        assert_eq!(scalar("i32", &[0x01]), Some(json!(-1)));
        assert_eq!(scalar("i8", &[0xff]), Some(json!(-1)));
        assert_eq!(scalar("f64", &1.5f64.to_le_bytes()), Some(json!(1.5)));
        assert_eq!(scalar("f64", &f64::NAN.to_le_bytes()), Some(json!("NaN")));
        let beyond = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02];
        for (name, wrong) in [
            ("u64", &beyond[..]),
            ("u16", &[0xff, 0xff, 0x7f]),
            ("u64", &[0x80]),
            ("u64", &[62, 0]),
            ("u64", &[]),
            ("bool", &[2]),
            ("string", &[1, 0xff]),
            ("string", &[9, b'x']),
            ("f32", &[0; 3]),
            ("u7", &[1]),
        ] {
            assert_eq!(scalar(name, wrong), None, "{name} {wrong:?}");
        }
    }

    #[test]
    fn structures_are_shown_with_their_names() {
        let window = json!({ "struct": [
            ["from", "i64"],
            ["name", { "option": "string" }],
            ["by", { "map": ["string", { "seq": "u16" }] }],
            ["kind", { "enum": "Kind" }],
            ["pair", { "tuple": ["bool", "bytes"] }],
            ["pairs", { "map": ["u8", "unit"] }],
        ] });
        let kinds = json!({ "Kind": [["Open", "unit"], ["Moved", { "struct": [["to", "u8"]] }]] });
        let bytes = [
            &[4][..],
            &[1, 2, b'h', b'i'],
            &[1, 1, b'k', 2, 62, 0xac, 0x02],
            &[1, 9],
            &[1, 2, 0xab, 0xcd],
            &[1, 7],
        ];
        let shown = postcard(window, kinds);
        assert_eq!(
            shown.value(&bytes.concat()),
            Some(json!({
                "from": 2, "name": "hi", "by": { "k": [62, 300] }, "kind": { "Moved": { "to": 9 } },
                "pair": [true, "0xabcd"], "pairs": [[7, null]],
            }))
        );
        let open = [&[4][..], &[0], &[0], &[0], &[0, 0], &[0]].concat();
        assert_eq!(shown.value(&open).unwrap()["kind"], "Open");
    }

    #[test]
    fn what_codecs_say_themselves_needs_no_schema() {
        assert_eq!(Shown::new("json", "").value(b"{\"a\":62}"), Some(json!({ "a": 62 })));
        assert_eq!(Shown::new("json", "").value(b"{"), None);
        assert_eq!(Shown::new("string", "").value(b"62"), Some(json!("62")));
        for unknown in ["raw", "protobuf", "postcard"] {
            assert_eq!(Shown::new(unknown, "").value(b">"), None, "{unknown}");
        }
    }

    #[test]
    fn user_keys_are_shown_as_what_they_are() {
        let key =
            |name: &str, bytes: &[u8]| Shown::new("raw", &json!({ "user-key": name }).to_string()).user_key(bytes);
        assert_eq!(key("string", b"k"), Some(json!("k")));
        assert_eq!(key("u64", &62u64.to_be_bytes()), Some(json!(62)));
        assert_eq!(key("u8", b">"), Some(json!(62)));
        for number in [i64::MIN, -1, 0, 62, i64::MAX] {
            assert_eq!(key("i64", &(number ^ i64::MIN).to_be_bytes()), Some(json!(number)));
        }
        assert_eq!(key("i8", &[(-5i8 ^ i8::MIN).cast_unsigned()]), Some(json!(-5)));
        assert_eq!((key("u64", b">"), key("bytes", b">")), (None, None));
        assert_eq!(Shown::new("postcard", "").user_key(b"k"), None);
    }

    #[test]
    fn whatever_a_guest_says_nothing_panics() {
        let deep = (0..100).fold(json!("u8"), |of, _| json!({ "option": of }));
        let endless = json!({ "Chain": [["Next", { "enum": "Chain" }]] });
        assert_eq!(postcard(deep, json!({})).value(&[1; 200]), None);
        assert_eq!(postcard(json!({ "enum": "Chain" }), endless).value(&[0; 200]), None);
        assert_eq!(
            postcard(json!({ "seq": "unit" }), json!({})).value(&[0xff, 0xff, 0x7f]),
            None
        );
        let many = [&[0xe7, 0x07][..], &[100; 1000]].concat();
        assert_eq!(
            postcard(json!({ "seq": { "seq": "unit" } }), json!({})).value(&many),
            None
        );
        for said in [
            "",
            "{",
            "[]",
            "{\"value\":7}",
            "{\"value\":{\"map\":[]}}",
            "{\"value\":{\"enum\":\"Gone\"}}",
        ] {
            assert_eq!(Shown::new("postcard", said).value(&[0]), None, "{said}");
        }
    }
}
