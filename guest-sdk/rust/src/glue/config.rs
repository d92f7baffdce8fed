//! Whether a plugin takes a configuration: its struct says so when it asks serde for its fields.

use serde::de::value::Error;
use serde::de::{DeserializeOwned, Error as _, Visitor};
use serde::{Deserializer, forward_to_deserialize_any};

/// Whether there is anything that a configuration could say. Fields that are marked `#[serde(skip)]` do not count.
pub(super) fn is_taken<P: DeserializeOwned>() -> bool {
    let mut taken = true;
    // It always fails: it is asked for the fields alone.
    let _ = P::deserialize(Probe(&mut taken));
    taken
}

struct Probe<'a>(&'a mut bool);

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        Err(Error::custom("no value, but a question"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        *self.0 = !fields.is_empty();
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        *self.0 = false;
        self.deserialize_any(visitor)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize)]
    struct Nothing;

    #[derive(Deserialize)]
    struct OnlyState {
        #[serde(skip)]
        _kept: u64,
    }

    #[derive(Deserialize)]
    struct Optional {
        #[serde(default)]
        _at_least: u64,
    }

    #[derive(Deserialize)]
    struct Flat {
        #[serde(flatten)]
        _all: std::collections::BTreeMap<String, u64>,
    }

    #[test]
    fn a_struct_with_fields_takes_a_configuration() {
        let taken = [
            is_taken::<Nothing>(),
            is_taken::<OnlyState>(),
            is_taken::<Optional>(),
            is_taken::<Flat>(),
        ];
        assert_eq!(taken, [false, false, true, true]);
    }
}
