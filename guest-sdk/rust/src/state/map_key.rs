//! How a map's own keys become bytes that lie in the keys' order.

use std::borrow::Borrow;

/// A key of a [`Map`](crate::Map). The order of its bytes is its own: entries are scanned in it.
pub trait MapKey: Borrow<Self::Borrowed> + Sized + 'static {
    /// What it is looked up by: `str` for a `String`.
    type Borrowed: ?Sized;

    /// Adds the key's bytes.
    fn write(key: &Self::Borrowed, into: &mut Vec<u8>);

    /// The key that has these bytes; `None`: there is none.
    fn read(bytes: &[u8]) -> Option<Self>;

    /// What the bytes are, for the host to show them: `string`, or a number's type; `None`: it shows them in hex.
    const SHOWN_AS: Option<&'static str> = None;
}

impl MapKey for String {
    type Borrowed = str;

    fn write(key: &str, into: &mut Vec<u8>) {
        into.extend_from_slice(key.as_bytes());
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        String::from_utf8(bytes.to_vec()).ok()
    }

    const SHOWN_AS: Option<&'static str> = Some("string");
}

impl MapKey for Vec<u8> {
    type Borrowed = [u8];

    fn write(key: &[u8], into: &mut Vec<u8>) {
        into.extend_from_slice(key);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        Some(bytes.to_vec())
    }
}

/// A number's bytes, the highest first; of a signed one with the sign turned, so that what is negative lies before.
macro_rules! numbers {
    ($($number:ty, $turned:expr;)*) => {$(
        impl MapKey for $number {
            type Borrowed = $number;

            fn write(key: &$number, into: &mut Vec<u8>) {
                into.extend_from_slice(&(key ^ $turned).to_be_bytes());
            }

            fn read(bytes: &[u8]) -> Option<Self> {
                Some(<$number>::from_be_bytes(bytes.try_into().ok()?) ^ $turned)
            }

            const SHOWN_AS: Option<&'static str> = Some(stringify!($number));
        }
    )*};
}

numbers! {
    u8, 0; u16, 0; u32, 0; u64, 0;
    i8, i8::MIN; i16, i16::MIN; i32, i32::MIN; i64, i64::MIN;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ordered<K: MapKey<Borrowed = K> + Copy + PartialEq + std::fmt::Debug>(keys: &[K]) {
        let bytes = |key: &K| {
            let mut bytes = Vec::new();
            K::write(key, &mut bytes);
            bytes
        };
        let written: Vec<_> = keys.iter().map(bytes).collect();
        assert!(written.is_sorted(), "{keys:?}: {written:?}");
        let read: Vec<_> = written.iter().filter_map(|bytes| K::read(bytes)).collect();
        assert_eq!(read, keys);
    }

    #[test]
    fn numbers_lie_in_their_order_and_come_back() {
        ordered(&[0u8, 1, 255]);
        ordered(&[0u64, 1, 255, 256, u64::MAX]);
        ordered(&[i64::MIN, -256, -1, 0, 1, 255, 256, i64::MAX]);
        ordered(&[i8::MIN, -1, 0, 1, i8::MAX]);
        assert_eq!(u32::read(b"abc"), None);
        assert_eq!(String::read(b"\xff"), None);
    }
}
