//! A page of a map store: what the state holds, with what the batch wrote laid over it.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::plugin::call::StateReader;
use crate::plugin::limits::{PAGE_BYTES, PAGE_ENTRIES};

/// Entries by their user keys, in the order of these.
pub(super) type PageEntries = Vec<(Vec<u8>, Vec<u8>)>;

/// What a batch does to the entries of a key.
#[derive(Debug, Default)]
pub(super) struct MapWrites {
    pub(super) is_cleared: bool,
    pub(super) written: BTreeMap<Vec<u8>, Option<Vec<u8>>>,
}

/// Which page of the entries of a key is asked for.
#[derive(Debug, Clone, Copy)]
pub(super) struct PageAsked<'a> {
    pub(super) prefix: &'a [u8],
    /// The page begins behind it.
    pub(super) after: Option<&'a [u8]>,
    pub(super) limit: u32,
}

/// The page. The error is a sentence about the plugin, begun by "it".
pub(super) fn page(
    store: u8,
    key: &[u8],
    asked: PageAsked<'_>,
    writes: Option<&MapWrites>,
    reader: &mut StateReader,
) -> Result<PageEntries, String> {
    let most = (asked.limit as usize).min(PAGE_ENTRIES);
    if most == 0 {
        return Err("it asked for a page of no entries".to_owned());
    }
    let is_cleared = writes.is_some_and(|writes| writes.is_cleared);
    let (mut entries, mut bytes) = (PageEntries::new(), 0);
    let mut after = asked.after.map(<[u8]>::to_vec);
    loop {
        let (mut stored, more) = match is_cleared {
            true => (PageEntries::new(), false),
            false => read(store, key, asked.prefix, after.as_deref(), most, reader)?,
        };
        // What is written behind the last stored entry belongs to the next page, if there is one.
        let end = stored.last().filter(|_| more).map(|(last, _)| last.clone());
        lay_over(
            &mut stored,
            asked.prefix,
            after.as_deref(),
            end.as_deref(),
            writes,
            most,
        );
        for entry in stored {
            bytes += entry.0.len() + entry.1.len();
            if bytes > PAGE_BYTES && !entries.is_empty() {
                return Ok(entries);
            }
            entries.push(entry);
            if entries.len() == most {
                return Ok(entries);
            }
        }
        match end {
            Some(end) => after = Some(end),
            None => return Ok(entries),
        }
    }
}

/// What the state holds behind `after`, and whether there is more.
fn read(
    store: u8,
    key: &[u8],
    prefix: &[u8],
    after: Option<&[u8]>,
    most: usize,
    reader: &mut StateReader,
) -> Result<(PageEntries, bool), String> {
    let page = reader.scan(store, key, prefix, after, most as u32)?;
    let pairs = page.user_keys.iter().zip(page.values.iter());
    let entries = pairs.map(|(user_key, value)| {
        (
            user_key.unwrap_or_default().to_vec(),
            value.unwrap_or_default().to_vec(),
        )
    });
    Ok((entries.collect(), page.more))
}

/// Makes of stored entries behind `after`, up to and with `end`, what they are with the writes of the batch; those that
/// lie behind so many others may be missing.
fn lay_over(
    stored: &mut PageEntries,
    prefix: &[u8],
    after: Option<&[u8]>,
    end: Option<&[u8]>,
    writes: Option<&MapWrites>,
    most: usize,
) {
    let Some(writes) = writes.filter(|writes| !writes.written.is_empty()) else {
        return;
    };
    let from = match after {
        Some(after) if after >= prefix => Bound::Excluded(after),
        _ => Bound::Included(prefix),
    };
    let written = writes.written.range::<[u8], _>((from, Bound::Unbounded));
    let ours = written
        .take_while(|(user_key, _)| user_key.starts_with(prefix) && end.is_none_or(|end| user_key.as_slice() <= end));
    for (user_key, value) in ours {
        if stored.get(most).is_some_and(|(beyond, _)| user_key > beyond) {
            break;
        }
        let at = stored.binary_search_by(|(stored, _)| stored.cmp(user_key));
        match (at, value) {
            (Ok(at), Some(value)) => stored[at].1.clone_from(value),
            (Ok(at), None) => drop(stored.remove(at)),
            (Err(at), Some(value)) => stored.insert(at, (user_key.clone(), value.clone())),
            (Err(_), None) => {}
        }
    }
}
