//! Columns of byte strings, laid out as they cross the sandbox's wall.

use crate::bindings::sandbar::plugin::types::{BytesColumn, HeadersColumn, NullableColumn};

/// A null key or a null value: `out.emit(NULL, "text")`.
pub const NULL: Option<&[u8]> = None;

/// What a key or a value can be given as: bytes, text, or an option of them, of which `None` is null.
pub trait Bytes {
    /// The bytes; `None` is null.
    fn bytes(&self) -> Option<&[u8]>;
}

impl Bytes for [u8] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl<const N: usize> Bytes for [u8; N] {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Bytes for Vec<u8> {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self)
    }
}

impl Bytes for str {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl Bytes for String {
    fn bytes(&self) -> Option<&[u8]> {
        Some(self.as_bytes())
    }
}

impl<T: Bytes + ?Sized> Bytes for &T {
    fn bytes(&self) -> Option<&[u8]> {
        (**self).bytes()
    }
}

impl<T: Bytes> Bytes for Option<T> {
    fn bytes(&self) -> Option<&[u8]> {
        self.as_ref().and_then(Bytes::bytes)
    }
}

/// A column of byte strings in which an entry may be absent (null).
///
/// Always: `ends` never falls, its last entry is `bytes.len()`, and `absent` ascends. Entry `i` is
/// `bytes[ends[i-1]..ends[i]]`, with `ends[-1] = 0`; an absent entry repeats the end before it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Column {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: Vec<u32>,
    pub(crate) absent: Vec<u32>,
}

impl Column {
    /// Number of entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds an entry.
    #[inline]
    pub fn push(&mut self, entry: Option<&[u8]>) {
        match entry {
            Some(bytes) => self.bytes.extend_from_slice(bytes),
            None => self.absent.push(self.ends.len() as u32),
        }
        self.ends.push(self.bytes.len() as u32);
    }

    /// Entry `index`, `None` if it is absent. Panics when there is no such entry, as a slice does.
    #[must_use]
    #[inline]
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        let entry = &self.bytes[start..self.ends[index] as usize];
        // Only an entry without bytes can be absent: the others are not looked for.
        match entry.is_empty() && self.absent.binary_search(&(index as u32)).is_ok() {
            true => None,
            false => Some(entry),
        }
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        (0..self.len()).map(|index| self.get(index))
    }

    /// The bytes of all entries, one after the other.
    #[must_use]
    pub fn all_bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn reserve(&mut self, entries: usize, bytes: usize) {
        self.ends.reserve(entries);
        self.bytes.reserve(bytes);
    }

    /// Keeps the first `entries` entries.
    pub(crate) fn truncate(&mut self, entries: usize) {
        self.ends.truncate(entries);
        self.bytes.truncate(self.ends.last().map_or(0, |&end| end as usize));
        let absent = self.absent.partition_point(|&index| (index as usize) < entries);
        self.absent.truncate(absent);
    }
}

impl From<NullableColumn> for Column {
    fn from(column: NullableColumn) -> Self {
        Self {
            bytes: column.bytes,
            ends: column.ends,
            absent: column.absent,
        }
    }
}

impl From<BytesColumn> for Column {
    fn from(column: BytesColumn) -> Self {
        Self {
            bytes: column.bytes,
            ends: column.ends,
            absent: Vec::new(),
        }
    }
}

impl From<Column> for NullableColumn {
    fn from(column: Column) -> Self {
        Self {
            bytes: column.bytes,
            ends: column.ends,
            absent: column.absent,
        }
    }
}

impl From<Column> for BytesColumn {
    fn from(column: Column) -> Self {
        Self {
            bytes: column.bytes,
            ends: column.ends,
        }
    }
}

/// The headers of a batch's events or outputs, in order.
///
/// Always: `of` ascends and is as long as `names` and `values`; a name is never absent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Headers {
    pub(crate) of: Vec<u32>,
    pub(crate) names: Column,
    pub(crate) values: Column,
}

impl Headers {
    /// Whether nothing has a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// The headers of event or output `index`: names and values, of which Kafka knows null ones.
    pub fn of(&self, index: usize) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let index = index as u32;
        let from = self.of.partition_point(|&of| of < index);
        let to = from + self.of[from..].partition_point(|&of| of == index);
        (from..to).map(|header| (self.names.get(header).unwrap_or_default(), self.values.get(header)))
    }

    /// Adds a header to `of`, which does not lie before the last header's.
    pub(crate) fn push(&mut self, of: usize, name: &[u8], value: Option<&[u8]>) {
        self.of.push(of as u32);
        self.names.push(Some(name));
        self.values.push(value);
    }

    /// Keeps the headers of the first `owners` events or outputs.
    pub(crate) fn truncate(&mut self, owners: usize) {
        let headers = self.of.partition_point(|&of| (of as usize) < owners);
        self.of.truncate(headers);
        self.names.truncate(headers);
        self.values.truncate(headers);
    }
}

impl From<HeadersColumn> for Headers {
    fn from(column: HeadersColumn) -> Self {
        Self {
            of: column.of,
            names: column.name.into(),
            values: column.value.into(),
        }
    }
}

impl From<Headers> for HeadersColumn {
    fn from(headers: Headers) -> Self {
        Self {
            of: headers.of,
            name: headers.names.into(),
            value: headers.values.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_tells_empty_from_absent_also_after_a_cut() {
        let entries = [Some(&b"a"[..]), None, Some(b""), Some(b"bc"), None];
        let mut column = Column::default();
        entries.iter().for_each(|&entry| column.push(entry));
        assert_eq!(column.iter().collect::<Vec<_>>(), entries);
        for keep in (0..entries.len()).rev() {
            column.truncate(keep);
            assert_eq!(column.iter().collect::<Vec<_>>(), entries[..keep]);
            assert_eq!(
                column.all_bytes(),
                entries[..keep]
                    .iter()
                    .copied()
                    .flatten()
                    .flatten()
                    .copied()
                    .collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn headers_are_found_by_their_owner_also_after_a_cut() {
        let mut headers = Headers::default();
        headers.push(1, b"a", Some(b"1"));
        headers.push(1, b"b", None);
        headers.push(4, b"c", Some(b""));
        assert_eq!(headers.of(0).count(), 0);
        assert_eq!(
            headers.of(1).collect::<Vec<_>>(),
            [(&b"a"[..], Some(&b"1"[..])), (b"b", None)]
        );
        assert_eq!(headers.of(4).collect::<Vec<_>>(), [(&b"c"[..], Some(&b""[..]))]);
        headers.truncate(4);
        assert_eq!((headers.of(1).count(), headers.of(4).count()), (2, 0));
    }
}
