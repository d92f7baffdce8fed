//! The delta: an overlay as bytes, version 1, to be stored and redone.
//!
//! ```text
//! "sbd" 0x01 | number of changes, u32 LE | changes | CRC-32C of all before, u32 LE
//! change: kind (0 put, 1 delete, 2 append, 3 clear map) | length, varint | key | put and append: length, varint | bytes
//! ```
//!
//! Always: decoding checks every length, kind and key and the sum, and nothing of a delta is used before all of it was checked.

use super::keys;
use super::overlay::Change;

/// Format and version.
const HEAD: &[u8; 4] = b"sbd\x01";
const PUT: u8 = 0;
const DELETE: u8 = 1;
const APPEND: u8 = 2;
const CLEAR_MAP: u8 = 3;

/// Appends the changes, encoded.
pub(super) fn encode<'a>(changes: impl Iterator<Item = Change<'a>>, into: &mut Vec<u8>) {
    let start = into.len();
    into.extend_from_slice(HEAD);
    into.extend_from_slice(&[0; 4]);
    let mut count = 0u32;
    for change in changes {
        count += 1;
        match change {
            Change::Put { key, value } => pair(PUT, key, value, into),
            Change::Append { key, frames } => pair(APPEND, key, frames, into),
            Change::Delete { key } => single(DELETE, key, into),
            Change::ClearMap { prefix } => single(CLEAR_MAP, prefix, into),
        }
    }
    into[start + 4..start + 8].copy_from_slice(&count.to_le_bytes());
    let sum = crc32c::crc32c(&into[start..]);
    into.extend_from_slice(&sum.to_le_bytes());
}

/// The changes of a delta, or why it is none.
pub(super) fn decode(bytes: &[u8]) -> Result<Vec<Change<'_>>, String> {
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or("it is cut off")?;
    let (head, mut rest) = body.split_first_chunk::<4>().ok_or("it is cut off")?;
    if head[..3] != HEAD[..3] {
        return Err("it does not begin as a delta does".to_owned());
    }
    if head[3] != HEAD[3] {
        return Err(format!(
            "its format is version {}, this program reads {}",
            head[3], HEAD[3]
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

fn change<'a>(rest: &mut &'a [u8]) -> Option<Change<'a>> {
    let (&kind, behind) = rest.split_first()?;
    *rest = behind;
    let key = take(rest)?;
    match kind {
        PUT if keys::is_entry(key) => Some(Change::Put {
            key,
            value: take(rest)?,
        }),
        DELETE if keys::is_entry(key) => Some(Change::Delete { key }),
        APPEND if keys::is_entry(key) => {
            let frames = take(rest)?;
            keys::items(frames, |_| ())?;
            Some(Change::Append { key, frames })
        }
        CLEAR_MAP if keys::is_map(key) => Some(Change::ClearMap { prefix: key }),
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
