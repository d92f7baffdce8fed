//! The words of the host: partitions, and records in columns. No I/O.
//!
//! Records travel through Sandbar a batch at a time and in columns, laid out as the plugin interface lays them out, so
//! that a batch crosses the sandbox's wall without a copy or an allocation a record.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// A partition of a Kafka topic.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition's number, from 0.
    pub partition: i32,
}

impl TopicPartition {
    /// A partition of a topic.
    pub fn new(topic: impl Into<Arc<str>>, partition: i32) -> Self {
        Self {
            topic: topic.into(),
            partition,
        }
    }
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}/{}", self.topic, self.partition)
    }
}

/// A position to commit: what Kafka keeps for a partition of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committable {
    /// The partition.
    pub partition: TopicPartition,
    /// The next offset to read.
    pub next: i64,
    /// The epoch of the leader that took the record before `next`, so that a reader who begins there finds out whether
    /// the log was truncated below it. `None`: nobody knows; what stands before `next` is no record, or the broker does
    /// not tell.
    pub leader_epoch: Option<i32>,
    /// What rides with it.
    pub metadata: String,
}

/// A column of byte strings in which an entry may be absent: Kafka's null key or null value.
///
/// Always: `ends` never falls, its last entry is `bytes.len()`, and `absent` ascends. Entry `i` is
/// `bytes[ends[i-1]..ends[i]]`, with `ends[-1] = 0`; an absent entry repeats the end before it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Column {
    /// The entries' bytes, one after the other.
    pub bytes: Vec<u8>,
    /// Where each entry ends in `bytes`.
    pub ends: Vec<u32>,
    /// Indexes of the absent entries, ascending.
    pub absent: Vec<u32>,
}

impl Column {
    /// Number of entries.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no entry.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Adds an entry. The bytes of a column stay below 4 GiB: a batch is cut long before.
    pub fn push(&mut self, entry: Option<&[u8]>) {
        match entry {
            Some(bytes) => self.bytes.extend_from_slice(bytes),
            None => self.absent.push(self.ends.len() as u32),
        }
        self.ends.push(self.bytes.len() as u32);
    }

    /// Adds the entries of another column.
    pub fn append(&mut self, other: &Column) {
        let (entries, bytes) = (self.ends.len() as u32, self.bytes.len() as u32);
        self.bytes.extend_from_slice(&other.bytes);
        self.ends.extend(other.ends.iter().map(|end| bytes + end));
        self.absent.extend(other.absent.iter().map(|index| entries + index));
    }

    /// Entry `index`, `None` if it is absent. Panics when there is no such entry, as a slice does.
    pub fn get(&self, index: usize) -> Option<&[u8]> {
        if !self.absent.is_empty() && self.absent.binary_search(&(index as u32)).is_ok() {
            return None;
        }
        let start = if index == 0 { 0 } else { self.ends[index - 1] as usize };
        Some(&self.bytes[start..self.ends[index] as usize])
    }

    /// The entries in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<&[u8]>> {
        self.some(0..self.len())
    }

    /// Some of the entries in order. Panics when there are no such entries, as a slice does.
    pub fn some(&self, entries: Range<usize>) -> impl Iterator<Item = Option<&[u8]>> {
        let mut start = entries
            .start
            .checked_sub(1)
            .map_or(0, |before| self.ends[before] as usize);
        let gone = self.absent.partition_point(|&index| (index as usize) < entries.start);
        let mut absent = self.absent[gone..].iter().peekable();
        let ends = self.ends[entries.clone()].iter();
        entries.zip(ends).map(move |(index, &end)| {
            let entry = &self.bytes[start..end as usize];
            start = end as usize;
            let gone = absent.next_if(|&&next| next as usize == index).is_some();
            (!gone).then_some(entry)
        })
    }

    /// Forgets the entries from `entries` on.
    pub fn truncate(&mut self, entries: usize) {
        if entries < self.ends.len() {
            let bytes = entries.checked_sub(1).map_or(0, |last| self.ends[last] as usize);
            self.bytes.truncate(bytes);
            self.ends.truncate(entries);
            let absent = self.absent.partition_point(|&index| (index as usize) < entries);
            self.absent.truncate(absent);
        }
    }

    /// The memory that its entries take: their bytes, and where they lie.
    pub fn memory(&self) -> usize {
        self.bytes.len() + size_of_val(&*self.ends) + size_of_val(&*self.absent)
    }

    /// Forgets the entries and keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.absent.clear();
    }
}

/// The headers of a batch's records, in order; empty if no record has any.
///
/// Always: `of` ascends and is as long as `names` and `values`; a name is never absent.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Headers {
    /// Index of the record that the header belongs to.
    pub of: Vec<u32>,
    /// Header names.
    pub names: Column,
    /// Header values; Kafka knows null ones.
    pub values: Column,
}

impl Headers {
    /// Adds a header to record `of`, which must not lie before the last header's.
    pub fn push(&mut self, of: u32, name: &[u8], value: Option<&[u8]>) {
        self.of.push(of);
        self.names.push(Some(name));
        self.values.push(value);
    }

    /// The headers of record `of`.
    pub fn of(&self, of: u32) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
        let from = self.of.partition_point(|&index| index < of);
        let to = from + self.of[from..].partition_point(|&index| index == of);
        (from..to).map(|index| (self.names.get(index).unwrap_or_default(), self.values.get(index)))
    }

    /// Whether no record has a header.
    pub fn is_empty(&self) -> bool {
        self.of.is_empty()
    }

    /// Forgets the headers of record `of` and of those behind it.
    pub fn truncate(&mut self, of: u32) {
        let headers = self.of.partition_point(|&index| index < of);
        self.of.truncate(headers);
        self.names.truncate(headers);
        self.values.truncate(headers);
    }

    /// Forgets the headers and keeps the memory.
    pub fn clear(&mut self) {
        self.of.clear();
        self.names.clear();
        self.values.clear();
    }
}

/// Records of one partition in the order of their offsets, or what operators made of them.
///
/// Always: the columns are equally long; every record of a batch stems from the same partition, and `offsets` says from
/// which record of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Records {
    /// Kafka's keys.
    pub keys: Column,
    /// Kafka's values.
    pub values: Column,
    /// Event time in milliseconds since 1970.
    pub timestamps: Vec<i64>,
    /// Headers, a column of their own.
    pub headers: Headers,
    /// Offset of the source record that this one is, or that caused it.
    pub offsets: Vec<i64>,
}

impl Records {
    /// Number of records.
    pub fn len(&self) -> usize {
        self.offsets.len()
    }

    /// Whether there is no record.
    pub fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Bytes of keys, values and headers.
    pub fn byte_count(&self) -> usize {
        self.keys.bytes.len()
            + self.values.bytes.len()
            + self.headers.names.bytes.len()
            + self.headers.values.bytes.len()
    }

    /// The memory that they take, which is more than nothing even if each of them is empty.
    pub fn memory(&self) -> usize {
        let headers = &self.headers;
        self.keys.memory()
            + self.values.memory()
            + size_of_val(&*self.timestamps)
            + size_of_val(&*headers.of)
            + headers.names.memory()
            + headers.values.memory()
            + size_of_val(&*self.offsets)
    }

    /// Adds record `index` of `from`, with its headers.
    pub fn push_from(&mut self, from: &Records, index: usize) {
        let at = self.len() as u32;
        self.keys.push(from.keys.get(index));
        self.values.push(from.values.get(index));
        self.timestamps.push(from.timestamps[index]);
        for (name, value) in from.headers.of(index as u32) {
            self.headers.push(at, name, value);
        }
        self.offsets.push(from.offsets[index]);
    }

    /// Takes the records from `at` on away, and gives them.
    #[must_use]
    pub fn split_off(&mut self, at: usize) -> Self {
        let mut rest = Self::default();
        (at..self.len()).for_each(|index| rest.push_from(self, index));
        self.keys.truncate(at);
        self.values.truncate(at);
        self.timestamps.truncate(at);
        self.headers.truncate(at as u32);
        self.offsets.truncate(at);
        rest
    }

    /// Forgets the records and keeps the memory.
    pub fn clear(&mut self) {
        self.keys.clear();
        self.values.clear();
        self.timestamps.clear();
        self.headers.clear();
        self.offsets.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_split_with_their_headers_and_nulls() {
        let mut whole = Records::default();
        for (row, value) in [None, Some(&b"one"[..]), None, Some(b"three")].into_iter().enumerate() {
            whole.keys.push(value);
            whole.values.push(value);
            whole.timestamps.push(row as i64 * 10);
            (0..row).for_each(|_| whole.headers.push(row as u32, b"name", value));
            whole.offsets.push(100 + row as i64);
        }
        for at in 0..=whole.len() {
            let mut first = whole.clone();
            let rest = first.split_off(at);
            assert_eq!((first.len(), rest.len()), (at, whole.len() - at));
            (0..rest.len()).for_each(|row| first.push_from(&rest, row));
            assert_eq!(first, whole, "split at {at}");
        }
    }

    #[test]
    fn a_column_tells_empty_from_absent() {
        let mut column = Column::default();
        for entry in [Some(&b"a"[..]), None, Some(b""), Some(b"bc"), None] {
            column.push(entry);
        }
        let read: Vec<_> = column.iter().collect();
        assert_eq!(read, [Some(&b"a"[..]), None, Some(b""), Some(b"bc"), None]);
        assert_eq!((0..5).map(|index| column.get(index)).collect::<Vec<_>>(), read);
        for (from, to) in (0..=5).flat_map(|to| (0..=to).map(move |from| (from, to))) {
            assert_eq!(column.some(from..to).collect::<Vec<_>>(), read[from..to]);
        }
    }

    #[test]
    fn headers_are_found_by_record() {
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
    }
}
