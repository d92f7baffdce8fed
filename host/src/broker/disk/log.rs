//! The log of one partition: one file of whole batches, appended and never changed.
//!
//! What always holds: a batch is in the file before it is acknowledged, so the end of the process, however sudden, loses nothing
//! that was acknowledged (the end of the machine may: nothing is forced to disk, as in Kafka's default). Offsets are contiguous.
//! In memory there is only a sparse index and the producers' last sequence numbers.

use super::batch::{self, HEADER, Header};
use super::idempotence::Producers;
use bytes::Bytes;
use kafka_protocol::error::ResponseError;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes of log between two entries of the index, and of one read while walking over headers.
const STRIDE: usize = 16 << 10;
/// The largest batch, Kafka's own default of `max.message.bytes`.
pub(in crate::broker) const BATCH_LIMIT: usize = 1_048_588;
/// The leader never changes.
pub(in crate::broker) const LEADER_EPOCH: i32 = 0;

/// The log of one partition.
#[derive(Debug)]
pub(in crate::broker) struct Log {
    file: File,
    size: u64,
    beginning: i64,
    end: i64,
    max_timestamp: i64,
    index: Vec<Entry>,
    producers: Producers,
}

/// A place where a batch begins.
#[derive(Debug, Clone, Copy)]
struct Entry {
    offset: i64,
    position: u64,
    /// The latest time of all records before this place.
    max_timestamp_before: i64,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct Found {
    pub offset: i64,
    pub timestamp: i64,
}

impl Log {
    /// Opens a log whose records before `beginning` were deleted. What follows the last whole and intact batch is the torn rest
    /// of a write that was never acknowledged, and is cut off.
    pub(in crate::broker) fn open(file: File, beginning: i64) -> io::Result<Self> {
        let mut log = Self {
            size: 0,
            beginning,
            end: 0,
            max_timestamp: -1,
            index: Vec::new(),
            producers: Producers::default(),
            file,
        };
        let length = log.file.metadata()?.len();
        let mut batch = Vec::new();
        while let Some(header) = log.whole_batch_at(log.size, length, &mut batch)? {
            log.note(&header);
        }
        if log.size < length {
            log.file.set_len(log.size)?;
        }
        log.beginning = log.beginning.min(log.end);
        Ok(log)
    }

    /// Offset of the first record that can be read.
    pub(in crate::broker) fn beginning(&self) -> i64 {
        self.beginning
    }

    /// Offset that the next record gets.
    pub(in crate::broker) fn end(&self) -> i64 {
        self.end
    }

    /// Appends a batch and gives the offset of its first record: the old one if it was written before.
    pub(in crate::broker) fn append(&mut self, batch: &[u8]) -> Result<i64, ResponseError> {
        let mut header = check(batch)?;
        if let Some(written) = self.producers.check(&header)? {
            return Ok(written);
        }
        header.base_offset = self.end;
        let mut placed = batch.to_vec();
        batch::place(&mut placed, self.end, LEADER_EPOCH);
        if let Err(error) = self.file.write_all_at(&placed, self.size) {
            tracing::error!(%error, "failed to append to a partition's log");
            // The next append writes over the rest; cutting it now only keeps the file tidy.
            let _ = self.file.set_len(self.size);
            return Err(ResponseError::KafkaStorageError);
        }
        self.note(&header);
        Ok(header.base_offset)
    }

    /// Batches from the one that holds `offset`, at most `limit` bytes, but the first one whole if `whole_first`.
    pub(in crate::broker) fn read(&self, offset: i64, limit: usize, whole_first: bool) -> io::Result<Bytes> {
        let (position, size) = self.batch_of(offset)?;
        let least = if whole_first { size } else { 0 };
        let wanted = (limit.max(least) as u64).min(self.size - position) as usize;
        if wanted < size {
            return Ok(Bytes::new());
        }
        let mut batches = vec![0; wanted];
        self.file.read_exact_at(&mut batches, position)?;
        Ok(batches.into())
    }

    /// How many bytes a reader at `offset` has before it.
    pub(in crate::broker) fn bytes_from(&self, offset: i64) -> io::Result<u64> {
        Ok(self.size - self.batch_of(offset)?.0)
    }

    /// Moves the beginning, which never goes back.
    pub(in crate::broker) fn delete_before(&mut self, offset: i64) {
        self.beginning = self.beginning.max(offset.min(self.end));
    }

    /// The first record that is not older than `timestamp`.
    pub(in crate::broker) fn find_time(&self, timestamp: i64) -> io::Result<Option<Found>> {
        let entry = self
            .index
            .partition_point(|entry| entry.max_timestamp_before < timestamp);
        let from = entry
            .checked_sub(1)
            .and_then(|entry| self.index.get(entry))
            .map_or(0, |entry| entry.position);
        let mut found = None;
        self.walk(from.max(self.batch_of(self.beginning)?.0), |position, header| {
            if header.max_timestamp >= timestamp {
                found = self.find_in(position, header, |time| time >= timestamp)?;
            }
            Ok(found.is_none())
        })?;
        Ok(found)
    }

    /// The first record that has the latest time of all.
    pub(in crate::broker) fn find_latest_time(&self) -> io::Result<Option<Found>> {
        let mut latest: Option<(u64, Header)> = None;
        self.walk(self.batch_of(self.beginning)?.0, |position, header| {
            if latest
                .as_ref()
                .is_none_or(|(_, best)| header.max_timestamp > best.max_timestamp)
            {
                latest = Some((position, *header));
            }
            Ok(true)
        })?;
        match latest {
            Some((position, header)) => self.find_in(position, &header, |time| time == header.max_timestamp),
            None => Ok(None),
        }
    }

    /// Takes a written batch into account.
    fn note(&mut self, header: &Header) {
        let is_due = self
            .index
            .last()
            .is_none_or(|entry| self.size - entry.position >= STRIDE as u64);
        if is_due {
            self.index.push(Entry {
                offset: header.base_offset,
                position: self.size,
                max_timestamp_before: self.max_timestamp,
            });
        }
        self.size += header.size as u64;
        self.end = header.last_offset() + 1;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.producers.remember(header);
    }

    /// Reads the batch at a place, if a whole and intact one that continues the log lies there.
    fn whole_batch_at(&self, position: u64, length: u64, batch: &mut Vec<u8>) -> io::Result<Option<Header>> {
        if length - position < HEADER as u64 {
            return Ok(None);
        }
        let mut front = [0; HEADER];
        self.file.read_exact_at(&mut front, position)?;
        let Some(header) = Header::read(&front) else {
            return Ok(None);
        };
        if header.size > BATCH_LIMIT || header.size as u64 > length - position {
            return Ok(None);
        }
        batch.resize(header.size, 0);
        self.file.read_exact_at(batch, position)?;
        let continues = header.base_offset == self.end && check(batch).is_ok();
        Ok(continues.then_some(header))
    }

    /// Place and size of the batch that holds an offset; the end of the file, and 0, for the end of the log.
    fn batch_of(&self, offset: i64) -> io::Result<(u64, usize)> {
        let entry = self.index.partition_point(|entry| entry.offset <= offset);
        let from = entry
            .checked_sub(1)
            .and_then(|entry| self.index.get(entry))
            .map_or(0, |entry| entry.position);
        let mut found = (self.size, 0);
        if offset >= self.end {
            return Ok(found);
        }
        self.walk(from, |position, header| {
            if header.last_offset() >= offset {
                found = (position, header.size);
            }
            Ok(header.last_offset() < offset)
        })?;
        Ok(found)
    }

    /// Visits the headers of the batches from a place on, until `visit` says `false`.
    fn walk(&self, from: u64, mut visit: impl FnMut(u64, &Header) -> io::Result<bool>) -> io::Result<()> {
        let mut chunk = vec![0; STRIDE];
        let (mut position, mut chunk_at, mut filled) = (from, from, 0);
        while position < self.size {
            if position + HEADER as u64 > chunk_at + filled as u64 {
                chunk_at = position;
                filled = chunk.len().min((self.size - position) as usize);
                self.file.read_exact_at(&mut chunk[..filled], chunk_at)?;
            }
            let header =
                Header::read(&chunk[(position - chunk_at) as usize..filled]).ok_or(io::ErrorKind::InvalidData)?;
            if !visit(position, &header)? {
                break;
            }
            position += header.size as u64;
        }
        Ok(())
    }

    fn find_in(&self, position: u64, header: &Header, wanted: impl Fn(i64) -> bool) -> io::Result<Option<Found>> {
        let mut batch = vec![0; header.size];
        self.file.read_exact_at(&mut batch, position)?;
        let found = batch::find_record(&batch, header, |offset, time| offset >= self.beginning && wanted(time))?;
        Ok(found.map(|(offset, timestamp)| Found { offset, timestamp }))
    }
}

/// Whether these bytes are one whole batch that may be written.
fn check(batch: &[u8]) -> Result<Header, ResponseError> {
    let header = Header::read(batch).ok_or(ResponseError::CorruptMessage)?;
    if batch.len() > BATCH_LIMIT {
        return Err(ResponseError::MessageTooLarge);
    }
    if header.magic != batch::MAGIC || header.size < batch.len() {
        // An older format, or more than one batch, which no request since Kafka 1.0 may hold.
        return Err(ResponseError::InvalidRecord);
    }
    if !batch::is_intact(batch, &header) {
        return Err(ResponseError::CorruptMessage);
    }
    if header.count < 1 || header.last_offset_delta != header.count - 1 || header.is_control() {
        return Err(ResponseError::InvalidRecord);
    }
    if header.compression() > 4 {
        return Err(ResponseError::UnsupportedCompressionType);
    }
    if header.has_append_time() {
        return Err(ResponseError::InvalidTimestamp);
    }
    if header.is_transactional() {
        return Err(ResponseError::InvalidTxnState);
    }
    if header.producer_id >= 0 && (header.base_sequence < 0 || header.producer_epoch < 0) {
        return Err(ResponseError::InvalidRecord);
    }
    Ok(header)
}
