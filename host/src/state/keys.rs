//! The key layout, version 1: how stores, keys and entries become RocksDB's keys.
//!
//! ```text
//! 0x00 | name                                                  meta: layout, task, pointer, steps
//! 0x01 | store (4) | key                                       an entry of a value store; all items of a key
//!                                                              of a list store
//! 0x01 | store (4) | length of key, u32 BE | key | user key    an entry of a map store
//! ```
//!
//! Always: the keys of a store lie together; the entries of a map under one key lie together, in order of their user
//! keys.

use sha2::{Digest, Sha256};
use std::fmt;

/// The version of this layout, as it stands in the database.
pub(super) const LAYOUT: u8 = 1;

/// First byte of every entry of a store.
const ENTRY: u8 = 1;
/// Bytes before a store's own key.
const HEAD: usize = 5;

/// Meta: the layout's version, one byte.
pub(super) const META_LAYOUT: &[u8] = b"\0layout";
/// Meta: the task's name.
pub(super) const META_TASK: &[u8] = b"\0task";
/// Meta: the pointer text of the last apply.
pub(super) const META_POINTER: &[u8] = b"\0pointer";
/// Meta: the numbers of the applies since the last synced one, to find a hole that a power cut left.
pub(super) const META_STEPS: &[u8] = b"\0steps";

/// A store of an operator, as the keys name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StoreId([u8; 4]);

impl fmt::Display for StoreId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{:08x}", u32::from_be_bytes(self.0))
    }
}

/// The id of a store: the first 4 bytes of SHA-256 of operator, zero byte, store. Two stores of a pipeline may collide:
/// whoever declares them checks that they do not.
pub fn store_id(operator: &str, store: &str) -> StoreId {
    let hash = Sha256::new()
        .chain_update(operator)
        .chain_update([0])
        .chain_update(store)
        .finalize();
    StoreId([hash[0], hash[1], hash[2], hash[3]])
}

/// Writes what every key of a store begins with.
pub(super) fn store(store: StoreId, into: &mut Vec<u8>) {
    into.push(ENTRY);
    into.extend_from_slice(&store.0);
}

/// What every key of a store begins with.
pub(super) fn prefix(id: StoreId) -> Vec<u8> {
    let mut prefix = Vec::with_capacity(HEAD);
    store(id, &mut prefix);
    prefix
}

/// Writes the key of a value or of a list.
pub(super) fn entry(id: StoreId, key: &[u8], into: &mut Vec<u8>) {
    store(id, into);
    into.extend_from_slice(key);
}

/// Writes what every entry of a map under `key` begins with; an entry's key is this and the user key.
pub(super) fn map(id: StoreId, key: &[u8], into: &mut Vec<u8>) {
    store(id, into);
    into.extend_from_slice(&(key.len() as u32).to_be_bytes());
    into.extend_from_slice(key);
}

/// The store's own key: what stands behind the store's id, or `None` if this is no entry.
pub(super) fn own(key: &[u8]) -> Option<&[u8]> {
    (key.first() == Some(&ENTRY)).then(|| key.get(HEAD..)).flatten()
}

/// Key and user key of a map store's own key.
pub(super) fn split_map(own: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = own.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Whether it is an entry's key at all.
pub(super) fn is_entry(key: &[u8]) -> bool {
    own(key).is_some()
}

/// Whether it is what the entries of a map under one key begin with, and no more.
pub(super) fn is_map(key: &[u8]) -> bool {
    own(key).and_then(split_map).is_some_and(|(_, user)| user.is_empty())
}

/// Whether it is what every key of a store begins with, and no more.
pub(super) fn is_store(key: &[u8]) -> bool {
    own(key).is_some_and(<[u8]>::is_empty)
}

/// The first key behind all that begin with `prefix`; `None`: there is none.
pub(super) fn behind(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != 0xff)?;
    let mut behind = prefix[..=last].to_vec();
    behind[last] += 1;
    Some(behind)
}

/// Bytes that an item's frame takes.
pub(super) fn frame_length(item: &[u8]) -> usize {
    4 + item.len()
}

/// Writes an item's frame, its length and its bytes; `into` has just room for it.
pub(super) fn frame(item: &[u8], into: &mut [u8]) {
    let (length, bytes) = into.split_at_mut(4);
    length.copy_from_slice(&(item.len() as u32).to_le_bytes());
    bytes.copy_from_slice(item);
}

/// Calls `each` with the items of a list's frames; `None`: these are no whole frames.
pub(super) fn items<'a>(mut frames: &'a [u8], mut each: impl FnMut(&'a [u8])) -> Option<()> {
    while !frames.is_empty() {
        let (length, rest) = frames.split_first_chunk::<4>()?;
        let (item, rest) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        each(item);
        frames = rest;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let mut key = Vec::new();
        write(&mut key);
        key
    }

    fn framed(item: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; frame_length(item)];
        frame(item, &mut bytes);
        bytes
    }

    /// Golden: a change here needs a new layout version and a way to read the old one.
    #[test]
    fn layout_one_stays_as_it_was_written() {
        let id = store_id("count", "counts");
        assert_eq!(id.to_string(), "d7484bca");
        assert_eq!(
            written(|key| entry(StoreId([1, 2, 3, 4]), b"key", key)),
            b"\x01\x01\x02\x03\x04key"
        );
        assert_eq!(
            written(|key| map(StoreId([1, 2, 3, 4]), b"key", key)),
            b"\x01\x01\x02\x03\x04\0\0\0\x03key"
        );
        assert_eq!(framed(b"item"), b"\x04\0\0\0item");
        assert_eq!(
            [META_LAYOUT, META_TASK, META_POINTER, META_STEPS],
            [&b"\0layout"[..], b"\0task", b"\0pointer", b"\0steps"]
        );
    }

    #[test]
    fn operator_and_store_do_not_run_into_each_other() {
        assert_ne!(store_id("ab", "c"), store_id("a", "bc"));
    }

    #[test]
    fn a_map_key_is_told_apart_from_its_user_key() {
        let mut key = written(|key| map(StoreId([9; 4]), b"k", key));
        assert!(is_map(&key));
        key.extend_from_slice(b"user");
        assert!(!is_map(&key) && is_entry(&key));
        assert_eq!(own(&key).and_then(split_map), Some((&b"k"[..], &b"user"[..])));
        assert_eq!(split_map(b"\0\0\0\x09short"), None);
    }

    #[test]
    fn what_lies_behind_a_prefix() {
        assert_eq!(behind(b"a\xff\xff"), Some(b"b".to_vec()));
        assert_eq!(behind(b"ab"), Some(b"ac".to_vec()));
        assert_eq!(behind(b"\xff"), None);
    }

    #[test]
    fn torn_frames_are_no_items() {
        let whole = [framed(b"a"), framed(b"")].concat();
        let mut seen = Vec::new();
        assert!(items(&whole, |item| seen.push(item)).is_some());
        assert_eq!(seen, [&b"a"[..], b""]);
        for cut in [1, 3, 4, 6, 8] {
            assert!(items(&whole[..cut], |_| ()).is_none(), "{cut} bytes");
        }
    }
}
