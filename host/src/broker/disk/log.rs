//! The log of one partition: one file of whole batches, appended and never changed.
//!
//! What always holds: a batch is in the file before it is acknowledged, so the end of the process, however sudden,
//! loses nothing that was acknowledged (the end of the machine may: nothing is forced to disk, as in Kafka's default).
//! Offsets are contiguous. In memory there is only a sparse index, the producers' last sequence numbers, and which
//! transactions are open or were aborted.

use super::batch::{self, BatchHeader, HEADER, TransactionEnd};
use super::idempotence::Producers;
use super::stability::{Aborted, OpenTransactions};
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
pub(in crate::broker) struct PartitionLog {
    file: File,
    size: u64,
    beginning: i64,
    end: i64,
    max_timestamp: i64,
    index: Vec<BatchPlace>,
    producers: Producers,
    transactions: OpenTransactions,
}

/// How far a reader may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum Isolation {
    /// Up to the end.
    Uncommitted,
    /// Up to the first record whose transaction is not decided.
    Committed,
}

/// What a reader gets.
#[derive(Debug)]
pub(in crate::broker) struct Slice {
    /// Batches; the last one may be cut off.
    pub records: Bytes,
    /// The aborted transactions among them, for a reader of committed records only.
    pub aborted: Option<Vec<Aborted>>,
}

/// A place where a batch begins.
#[derive(Debug, Clone, Copy)]
struct BatchPlace {
    offset: i64,
    position: u64,
    /// The latest time of all records before this place.
    max_timestamp_before: i64,
}

/// A record found by its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct FoundRecord {
    pub offset: i64,
    pub timestamp: i64,
}

impl PartitionLog {
    /// Opens a log whose records before `beginning` were deleted. What follows the last whole and intact batch is the
    /// torn rest of a write that was never acknowledged, and is cut off.
    pub(in crate::broker) fn open(file: File, beginning: i64) -> io::Result<Self> {
        let mut log = Self {
            size: 0,
            beginning,
            end: 0,
            max_timestamp: -1,
            index: Vec::new(),
            producers: Producers::default(),
            transactions: OpenTransactions::default(),
            file,
        };
        let length = log.file.metadata()?.len();
        let mut batch = Vec::new();
        while let Some(header) = log.whole_batch_at(log.size, length, &mut batch)? {
            log.note(&header, batch::outcome(&batch).filter(|_| header.is_control()));
        }
        if log.size < length {
            log.file.set_len(log.size)?;
        }
        log.beginning = log.beginning.min(log.end);
        log.transactions.delete_before(log.beginning);
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

    /// Offset that a reader may not reach: the end, or the first record whose transaction is not decided.
    pub(in crate::broker) fn end_for(&self, isolation: Isolation) -> i64 {
        match (isolation, self.transactions.first_open()) {
            (Isolation::Committed, Some(first)) => first.max(self.beginning),
            _ => self.end,
        }
    }

    /// Appends a batch that `check_sent` accepted and gives the offset of its first record: the old one if it was
    /// written before.
    pub(in crate::broker) fn append(&mut self, batch: &[u8], mut header: BatchHeader) -> Result<i64, ResponseError> {
        if let Some(written) = self.producers.check(&header)? {
            return Ok(written);
        }
        if self.transactions.is_open(header.producer_id) && !header.is_transactional() {
            return Err(ResponseError::InvalidTxnState);
        }
        header.base_offset = self.end;
        self.write(batch.to_vec(), &header, None)?;
        Ok(header.base_offset)
    }

    /// Ends a producer's transaction here by a marker, whether it wrote something or not. Its epoch counts from
    /// now on.
    pub(in crate::broker) fn mark(
        &mut self,
        producer_id: i64,
        producer_epoch: i16,
        outcome: TransactionEnd,
        now_ms: i64,
    ) -> Result<(), ResponseError> {
        let marker = batch::marker(producer_id, producer_epoch, outcome, now_ms);
        let mut header = check(&marker)?;
        header.base_offset = self.end;
        self.write(marker, &header, Some(outcome))
    }

    /// Batches from the one that holds `offset`, at most `limit` bytes, but the first one whole if `whole_first`.
    pub(in crate::broker) fn read(
        &self,
        offset: i64,
        limit: usize,
        whole_first: bool,
        isolation: Isolation,
    ) -> io::Result<Slice> {
        let (position, size) = self.batch_of(offset)?;
        let end = self.batch_of(self.end_for(isolation))?.0;
        let least = if whole_first { size } else { 0 };
        let wanted = (limit.max(least) as u64).min(end.saturating_sub(position)) as usize;
        let mut batches = vec![0; if wanted < size { 0 } else { wanted }];
        self.file.read_exact_at(&mut batches, position)?;
        let until = self.offset_behind(position + batches.len() as u64);
        Ok(Slice {
            records: batches.into(),
            aborted: (isolation == Isolation::Committed).then(|| self.transactions.aborted(offset, until)),
        })
    }

    /// How many bytes a reader at `offset` has before it.
    pub(in crate::broker) fn bytes_from(&self, offset: i64, isolation: Isolation) -> io::Result<u64> {
        let end = self.batch_of(self.end_for(isolation))?.0;
        Ok(end.saturating_sub(self.batch_of(offset)?.0))
    }

    /// Moves the beginning, which never goes back.
    pub(in crate::broker) fn delete_before(&mut self, offset: i64) {
        self.beginning = self.beginning.max(offset.min(self.end));
        self.transactions.delete_before(self.beginning);
    }

    /// The first record that is not older than `timestamp`.
    pub(in crate::broker) fn find_time(&self, timestamp: i64) -> io::Result<Option<FoundRecord>> {
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
    pub(in crate::broker) fn find_latest_time(&self) -> io::Result<Option<FoundRecord>> {
        let mut latest: Option<(u64, BatchHeader)> = None;
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

    /// Gives a batch its place, at the end.
    fn write(
        &mut self,
        mut batch: Vec<u8>,
        header: &BatchHeader,
        outcome: Option<TransactionEnd>,
    ) -> Result<(), ResponseError> {
        batch::place(&mut batch, header.base_offset, LEADER_EPOCH);
        if let Err(error) = self.file.write_all_at(&batch, self.size) {
            tracing::error!(%error, "failed to append to a partition's log");
            // The next append writes over the rest; cutting it now only keeps the file tidy.
            let _ = self.file.set_len(self.size);
            return Err(ResponseError::KafkaStorageError);
        }
        self.note(header, outcome);
        Ok(())
    }

    /// Takes a written batch into account; `outcome` is what it says if it is a marker.
    fn note(&mut self, header: &BatchHeader, outcome: Option<TransactionEnd>) {
        let is_due = self
            .index
            .last()
            .is_none_or(|entry| self.size - entry.position >= STRIDE as u64);
        if is_due {
            self.index.push(BatchPlace {
                offset: header.base_offset,
                position: self.size,
                max_timestamp_before: self.max_timestamp,
            });
        }
        self.size += header.size as u64;
        self.end = header.last_offset() + 1;
        self.max_timestamp = self.max_timestamp.max(header.max_timestamp);
        self.producers.remember(header);
        self.transactions.note(header, outcome);
    }

    /// An offset behind all batches before a place; by the index, so that it may be a little too far.
    fn offset_behind(&self, position: u64) -> i64 {
        let entry = self.index.partition_point(|entry| entry.position < position);
        self.index.get(entry).map_or(self.end, |entry| entry.offset)
    }

    /// Reads the batch at a place, if a whole and intact one that continues the log lies there.
    fn whole_batch_at(&self, position: u64, length: u64, batch: &mut Vec<u8>) -> io::Result<Option<BatchHeader>> {
        if length - position < HEADER as u64 {
            return Ok(None);
        }
        let mut front = [0; HEADER];
        self.file.read_exact_at(&mut front, position)?;
        let Some(header) = BatchHeader::read(&front) else {
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
    fn walk(&self, from: u64, mut visit: impl FnMut(u64, &BatchHeader) -> io::Result<bool>) -> io::Result<()> {
        let mut chunk = vec![0; STRIDE];
        let (mut position, mut chunk_at, mut filled) = (from, from, 0);
        while position < self.size {
            if position + HEADER as u64 > chunk_at + filled as u64 {
                chunk_at = position;
                filled = chunk.len().min((self.size - position) as usize);
                self.file.read_exact_at(&mut chunk[..filled], chunk_at)?;
            }
            let header =
                BatchHeader::read(&chunk[(position - chunk_at) as usize..filled]).ok_or(io::ErrorKind::InvalidData)?;
            if !visit(position, &header)? {
                break;
            }
            position += header.size as u64;
        }
        Ok(())
    }

    fn find_in(
        &self,
        position: u64,
        header: &BatchHeader,
        wanted: impl Fn(i64) -> bool,
    ) -> io::Result<Option<FoundRecord>> {
        let mut batch = vec![0; header.size];
        self.file.read_exact_at(&mut batch, position)?;
        let found = batch::find_record(&batch, header, |offset, time| offset >= self.beginning && wanted(time))?;
        Ok(found.map(|(offset, timestamp)| FoundRecord { offset, timestamp }))
    }
}

/// Whether these bytes are one whole batch that a client may write; the rest of the answer is the log's own.
pub(in crate::broker) fn check_sent(batch: &[u8]) -> Result<BatchHeader, ResponseError> {
    let header = check(batch)?;
    match header.is_control() || (header.is_transactional() && header.producer_id < 0) {
        true => Err(ResponseError::InvalidRecord),
        false => Ok(header),
    }
}

/// Whether these bytes are one whole batch.
fn check(batch: &[u8]) -> Result<BatchHeader, ResponseError> {
    let header = BatchHeader::read(batch).ok_or(ResponseError::CorruptMessage)?;
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
    if header.count < 1 || header.last_offset_delta != header.count - 1 {
        return Err(ResponseError::InvalidRecord);
    }
    if header.compression() > 4 {
        return Err(ResponseError::UnsupportedCompressionType);
    }
    if header.has_append_time() {
        return Err(ResponseError::InvalidTimestamp);
    }
    let is_sound = match header.is_control() {
        true => batch::outcome(batch).is_some(),
        false => header.producer_id < 0 || (header.base_sequence >= 0 && header.producer_epoch >= 0),
    };
    is_sound.then_some(header).ok_or(ResponseError::InvalidRecord)
}
