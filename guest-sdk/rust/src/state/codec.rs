//! How typed state becomes bytes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::schema;
use crate::{Refusal, fail};

/// Writes and reads a store's values. Its name stands in checkpoints: bytes of another codec are never read.
pub trait Codec<T>: 'static {
    /// Its name, such as `postcard`.
    const NAME: &'static str;

    /// Adds the value's bytes.
    ///
    /// # Errors
    /// The value cannot be written; what was added is taken back by the caller.
    fn write(value: &T, into: &mut Vec<u8>) -> Result<(), String>;

    /// Reads a value from all of these bytes.
    ///
    /// # Errors
    /// They are no such value.
    fn read(bytes: &[u8]) -> Result<T, String>;

    /// What the bytes mean, for the host to show them; `None`: it shows them in hex. Whoever writes a codec need not
    /// say it: `json` and `string` are shown by their names.
    fn schema() -> Option<serde_json::Value> {
        None
    }
}

/// Whatever serde takes, in the [postcard](https://postcard.jamesmunns.com/wire-format) format: a byte for a small
/// number, no field names.
#[derive(Debug, Clone, Copy)]
pub struct Postcard;

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    const NAME: &'static str = "postcard";

    #[inline]
    fn write(value: &T, into: &mut Vec<u8>) -> Result<(), String> {
        postcard::serialize_with_flavor(value, Appended(into)).map_err(|error| error.to_string())
    }

    #[inline]
    fn read(bytes: &[u8]) -> Result<T, String> {
        match postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok((_, rest)) => Err(format!("{} bytes are left over", rest.len())),
            Err(error) => Err(error.to_string()),
        }
    }

    fn schema() -> Option<serde_json::Value> {
        schema::of::<T>()
    }
}

/// Adds what postcard writes to bytes that are there: its own way of doing so writes byte by byte.
struct Appended<'a>(&'a mut Vec<u8>);

impl postcard::ser_flavors::Flavor for Appended<'_> {
    type Output = ();

    #[inline]
    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0.push(byte);
        Ok(())
    }

    #[inline]
    fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<()> {
        Ok(())
    }
}

/// Bytes as they are.
#[derive(Debug, Clone, Copy)]
pub struct Raw;

impl Codec<Vec<u8>> for Raw {
    const NAME: &'static str = "raw";

    fn write(value: &Vec<u8>, into: &mut Vec<u8>) -> Result<(), String> {
        into.extend_from_slice(value);
        Ok(())
    }

    fn read(bytes: &[u8]) -> Result<Vec<u8>, String> {
        Ok(bytes.to_vec())
    }
}

pub(crate) fn read<T, C: Codec<T>>(store: &str, bytes: &[u8]) -> Result<T, Refusal> {
    C::read(bytes).map_err(|why| unreadable(store, &why))
}

/// State that cannot be read stops the pipeline: whatever would be made of the record without it would be wrong.
pub(crate) fn unreadable(store: &str, why: &str) -> Refusal {
    fail(format!("store `{store}` has bytes that cannot be read: {why}"))
}

/// Adds the value's bytes, or nothing.
pub(crate) fn write<T, C: Codec<T>>(store: &str, value: &T, into: &mut Vec<u8>) -> Result<(), Refusal> {
    let start = into.len();
    C::write(value, into).map_err(|why| {
        into.truncate(start);
        unwritable(store, &why)
    })
}

pub(crate) fn unwritable(store: &str, why: &str) -> Refusal {
    fail(format!("a value cannot be written to store `{store}`: {why}"))
}
