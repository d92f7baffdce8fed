//! The delta: an overlay as bytes, to be stored and redone.
//!
//! ```text
//! "sbd" version | number of changes, u32 LE | changes | CRC-32C of all before, u32 LE
//! change: kind (0 put, 1 delete, 2 append, 3 clear map, 4 drop store) | length, varint | key
//!         | put and append: length, varint | bytes
//! ```
//!
//! Version 1 drops no store. Version 2 is written only if one is dropped, so that a program that does not know it
//! says so, and whatever else is written can be read by it.
//!
//! Always: decoding checks every length, kind and key and the sum, and nothing of a delta is used before all of it was
//! checked.

use super::keys::{self, StoreId};
use super::overlay::KeyChange;

const MAGIC: &[u8; 3] = b"sbd";
const VERSION: u8 = 1;
/// The version of a delta that drops a store; the newest that is read.
const VERSION_DROPS: u8 = 2;
const PUT: u8 = 0;
const DELETE: u8 = 1;
const APPEND: u8 = 2;
const CLEAR_MAP: u8 = 3;
const DROP_STORE: u8 = 4;

/// The delta of a commit that changed nothing.
pub fn unchanged() -> Vec<u8> {
    let mut delta = Vec::new();
    encode(std::iter::empty(), &mut delta);
    delta
}

/// The delta of a commit that drops stores, and changes nothing else.
pub fn dropping(stores: &[StoreId]) -> Vec<u8> {
    let prefixes: Vec<Vec<u8>> = stores.iter().map(|store| keys::prefix(*store)).collect();
    let mut delta = Vec::new();
    encode(
        prefixes.iter().map(|prefix| KeyChange::DropStore { prefix }),
        &mut delta,
    );
    delta
}

/// Appends the changes, encoded.
pub(super) fn encode<'a>(changes: impl Iterator<Item = KeyChange<'a>>, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(MAGIC);
    into.extend_from_slice(&[VERSION, 0, 0, 0, 0]);
    let mut count = 0u32;
    for change in changes {
        count += 1;
        match change {
            KeyChange::Put { key, value } => pair(PUT, key, value, into),
            KeyChange::Append { key, frames } => pair(APPEND, key, frames, into),
            KeyChange::Delete { key } => single(DELETE, key, into),
            KeyChange::ClearMap { prefix } => single(CLEAR_MAP, prefix, into),
            KeyChange::DropStore { prefix } => {
                into[start + 3] = VERSION_DROPS;
                single(DROP_STORE, prefix, into);
            }
        }
    }
    into[start + 4..start + 8].copy_from_slice(&count.to_le_bytes());
    let sum = crc32c::crc32c(&into[start..]);
    into.extend_from_slice(&sum.to_le_bytes());
}

/// The changes of a delta, or why it is none.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<KeyChange<'_>>, String> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or("it is cut off")?;
    let (head, mut rest) = body.split_first_chunk::<4>().ok_or("it is cut off")?;
    if head[..3] != *MAGIC {
        return Err("it does not begin as a delta does".to_owned());
    }
    let version = head[3];
    if !(VERSION..=VERSION_DROPS).contains(&version) {
        return Err(format!(
            "its format is version {version}, this program reads {VERSION} and {VERSION_DROPS}"
        ));
    }
    if crc32c::crc32c(body) != u32::from_le_bytes(*sum) {
        return Err("its checksum does not match".to_owned());
    }
    let (count, behind) = rest.split_first_chunk::<4>().ok_or("it is cut off")?;
    rest = behind;
    let mut changes = Vec::new();
    for number in 0..u32::from_le_bytes(*count) {
        let change = change(&mut rest).ok_or_else(|| format!("its change {number} is malformed"))?;
        changes.push(change);
    }
    match rest {
        [] => Ok(changes),
        _ => Err(format!("{} bytes stand behind its last change", rest.len())),
    }
}

fn single(kind: u8, key: &[u8], into: &mut Vec<u8>) {
    into.push(kind);
    string(key, into);
}

fn pair(kind: u8, key: &[u8], value: &[u8], into: &mut Vec<u8>) {
    single(kind, key, into);
    string(value, into);
}

fn string(bytes: &[u8], into: &mut Vec<u8>) {
    let mut length = bytes.len();
    while length >= 0x80 {
        into.push(length as u8 | 0x80);
        length >>= 7;
    }
    into.push(length as u8);
    into.extend_from_slice(bytes);
}

fn change<'a>(rest: &mut &'a [u8]) -> Option<KeyChange<'a>> {
    let (&kind, behind) = rest.split_first()?;
    *rest = behind;
    let key = take(rest)?;
    match kind {
        PUT if keys::is_entry(key) => Some(KeyChange::Put {
            key,
            value: take(rest)?,
        }),
        DELETE if keys::is_entry(key) => Some(KeyChange::Delete { key }),
        APPEND if keys::is_entry(key) => {
            let frames = take(rest)?;
            keys::items(frames, |_| ())?;
            Some(KeyChange::Append { key, frames })
        }
        CLEAR_MAP if keys::is_map(key) => Some(KeyChange::ClearMap { prefix: key }),
        DROP_STORE if keys::is_store(key) => Some(KeyChange::DropStore { prefix: key }),
        _ => None,
    }
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (bytes, behind) = {
        let length = usize::try_from(varint(rest)?).ok()?;
        rest.split_at_checked(length)?
    };
    *rest = behind;
    Some(bytes)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden: a change here needs a new version and a way to read the old one.
    #[test]
    fn version_one_stays_as_it_was_written() {
        let changes = [
            KeyChange::ClearMap {
                prefix: b"\x01mmmm\0\0\0\x01k",
            },
            KeyChange::Put {
                key: b"\x01vvvvkey",
                value: b"value",
            },
            KeyChange::Delete { key: b"\x01vvvvgone" },
            KeyChange::Append {
                key: b"\x01llllk",
                frames: b"\x02\0\0\0hi",
            },
            KeyChange::Put {
                key: b"\x01mmmm\0\0\0\x01kuser",
                value: b"",
            },
        ];
        let mut bytes = Vec::new();
        encode(changes.into_iter(), &mut bytes);
        let golden = b"sbd\x01\x05\0\0\0\
            \x03\x0a\x01mmmm\0\0\0\x01k\
            \0\x08\x01vvvvkey\x05value\
            \x01\x09\x01vvvvgone\
            \x02\x06\x01llllk\x06\x02\0\0\0hi\
            \0\x0e\x01mmmm\0\0\0\x01kuser\0";
        let (body, sum) = bytes.split_last_chunk::<4>().unwrap();
        assert_eq!(body, golden);
        assert_eq!(u32::from_le_bytes(*sum), 0xc89f6e08);
        assert_eq!(decode(&bytes).unwrap(), changes);
    }

    /// Golden, as above.
    #[test]
    fn version_two_drops_stores_first() {
        let changes = [
            KeyChange::DropStore { prefix: b"\x01dddd" },
            KeyChange::Put {
                key: b"\x01ddddk",
                value: b"v",
            },
        ];
        let mut bytes = Vec::new();
        encode(changes.into_iter(), &mut bytes);
        let golden = b"sbd\x02\x02\0\0\0\x04\x05\x01dddd\0\x06\x01ddddk\x01v";
        let (body, sum) = bytes.split_last_chunk::<4>().unwrap();
        assert_eq!(body, golden);
        assert_eq!(u32::from_le_bytes(*sum), crc32c::crc32c(golden));
        assert_eq!(decode(&bytes).unwrap(), changes);
    }

    #[test]
    fn lengths_of_any_size_come_back() {
        for length in [0, 1, 127, 128, 16_383, 16_384, 3_000_000] {
            let value = vec![7u8; length];
            let mut bytes = b"before".to_vec();
            encode(
                [KeyChange::Put {
                    key: b"\x01vvvv",
                    value: &value,
                }]
                .into_iter(),
                &mut bytes,
            );
            let changes = decode(&bytes[6..]).unwrap();
            assert_eq!(
                changes,
                [KeyChange::Put {
                    key: b"\x01vvvv",
                    value: &value
                }]
            );
        }
    }

    #[test]
    fn every_cut_and_every_flipped_byte_is_found() {
        let changes = [
            KeyChange::ClearMap {
                prefix: b"\x01mmmm\0\0\0\x01k",
            },
            KeyChange::Append {
                key: b"\x01llllk",
                frames: b"\x02\0\0\0hi",
            },
            KeyChange::Put {
                key: b"\x01vvvvkey",
                value: &[3; 200],
            },
        ];
        let mut bytes = Vec::new();
        encode(changes.into_iter(), &mut bytes);
        for cut in 0..bytes.len() {
            assert!(decode(&bytes[..cut]).is_err(), "{cut} bytes");
        }
        for at in 0..bytes.len() {
            for flip in 1..=255 {
                bytes[at] ^= flip;
                assert!(decode(&bytes).is_err(), "byte {at} with {flip}");
                bytes[at] ^= flip;
            }
        }
        assert!(decode(&[&bytes[..], b"x"].concat()).is_err());
    }

    /// A right sum does not make a delta right.
    #[test]
    fn malformed_changes_are_refused() {
        let whole = |count: u32, changes: &[u8]| {
            let mut bytes = [b"sbd\x02", &count.to_le_bytes()[..], changes].concat();
            let sum = crc32c::crc32c(&bytes);
            bytes.extend_from_slice(&sum.to_le_bytes());
            bytes
        };
        assert_eq!(decode(&whole(0, b"")), Ok(vec![]));
        for (count, changes) in [
            (1, &b""[..]),
            (u32::MAX, b""),
            (0, b"\x01\x05\x01vvvv"),
            (1, b"\x09\x05\x01vvvv"),
            (1, b"\x01\x04\x01vvv"),
            (1, b"\x01\x06\0layou"),
            (1, b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
            (1, b"\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
            (1, b"\0\x05\x01vvvv"),
            (1, b"\x02\x05\x01llll\x02\x01\0"),
            (1, b"\x03\x05\x01mmmm"),
            (1, b"\x03\x0a\x01mmmm\0\0\0\x02k"),
            (1, b"\x04\x06\x01mmmmk"),
            (1, b"\x04\x05\0mmmm"),
        ] {
            assert!(decode(&whole(count, changes)).is_err(), "{count} {changes:?}");
        }
        for version in [0, 3] {
            let error = decode(&[b"sbd", &[version; 1][..], &[0; 8]].concat()).unwrap_err();
            assert_eq!(
                error,
                format!("its format is version {version}, this program reads 1 and 2")
            );
        }
    }
}
