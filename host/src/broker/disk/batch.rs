//! A batch of records as it lies on the wire and in the log: its header is read here, its records stay opaque bytes.
//!
//! Only a look-up by time opens a batch, record by record and never further than the record it looks for.

use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Read};

/// Bytes of a batch before its first record.
pub(in crate::broker) const HEADER: usize = 61;
/// Bytes of a batch that its length field does not count.
const PREFIX: usize = 12;
/// Where the part begins that the checksum covers.
const COVERED: usize = 21;
/// The only record format since Kafka 0.11.
pub(in crate::broker) const MAGIC: i8 = 2;

/// Bytes of a marker: a batch of one record whose key is a version and an outcome, and whose value a version and the
/// epoch of the coordinator, which here never changes.
const MARKER: usize = HEADER + 17;
/// Transactional and control.
const MARKER_ATTRIBUTES: i16 = 0x30;

/// How a transaction ended; the number is the format's.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(in crate::broker) enum TransactionEnd {
    Abort = 0,
    Commit = 1,
}

/// What the header of a batch says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) struct BatchHeader {
    /// Offset of the first record.
    pub base_offset: i64,
    /// Bytes of the whole batch, header included.
    pub size: usize,
    /// The format, 2.
    pub magic: i8,
    /// The checksum of everything after it.
    pub crc: u32,
    /// Compression, kind of timestamp, transactional, control.
    pub attributes: i16,
    /// Offset of the last record, from the first.
    pub last_offset_delta: i32,
    /// The time that the records' times are counted from.
    pub base_timestamp: i64,
    /// The latest time of a record.
    pub max_timestamp: i64,
    /// Who wrote it; -1 without idempotence.
    pub producer_id: i64,
    /// The writer's epoch.
    pub producer_epoch: i16,
    /// Number of the first record in the writer's own count.
    pub base_sequence: i32,
    /// Number of records.
    pub count: i32,
}

impl BatchHeader {
    /// Reads the header at the front of `bytes`; nothing if they are too few or the length is impossible.
    pub(in crate::broker) fn read(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; HEADER] = bytes.first_chunk()?;
        let length = i32::from_be_bytes(at(bytes, 8));
        let size = usize::try_from(length).ok()?.checked_add(PREFIX)?;
        (size >= HEADER).then(|| Self {
            base_offset: i64::from_be_bytes(at(bytes, 0)),
            size,
            magic: i8::from_be_bytes(at(bytes, 16)),
            crc: u32::from_be_bytes(at(bytes, 17)),
            attributes: i16::from_be_bytes(at(bytes, COVERED)),
            last_offset_delta: i32::from_be_bytes(at(bytes, 23)),
            base_timestamp: i64::from_be_bytes(at(bytes, 27)),
            max_timestamp: i64::from_be_bytes(at(bytes, 35)),
            producer_id: i64::from_be_bytes(at(bytes, 43)),
            producer_epoch: i16::from_be_bytes(at(bytes, 51)),
            base_sequence: i32::from_be_bytes(at(bytes, 53)),
            count: i32::from_be_bytes(at(bytes, 57)),
        })
    }

    /// Offset of the last record.
    pub(in crate::broker) fn last_offset(&self) -> i64 {
        self.base_offset + i64::from(self.last_offset_delta)
    }

    /// Number of the last record in the writer's own count, which goes back to 0 after 2^31 - 1.
    pub(in crate::broker) fn last_sequence(&self) -> i32 {
        self.base_sequence.wrapping_add(self.last_offset_delta) & i32::MAX
    }

    /// The compression's number in the format: none, gzip, snappy, lz4, zstd.
    pub(in crate::broker) fn compression(&self) -> i16 {
        self.attributes & 0x07
    }

    /// Whether the time is the broker's and not the writer's.
    pub(in crate::broker) fn has_append_time(&self) -> bool {
        self.attributes & 0x08 != 0
    }

    /// Whether it belongs to a transaction.
    pub(in crate::broker) fn is_transactional(&self) -> bool {
        self.attributes & 0x10 != 0
    }

    /// Whether it is a marker, which no client may write.
    pub(in crate::broker) fn is_control(&self) -> bool {
        self.attributes & 0x20 != 0
    }
}

/// Whether the checksum of a whole batch holds.
pub(in crate::broker) fn is_intact(batch: &[u8], header: &BatchHeader) -> bool {
    batch.len() == header.size && crc32c::crc32c(&batch[COVERED..]) == header.crc
}

/// Gives a batch its place: the two fields that the checksum leaves out.
pub(in crate::broker) fn place(batch: &mut [u8], base_offset: i64, leader_epoch: i32) {
    batch[..8].copy_from_slice(&base_offset.to_be_bytes());
    batch[12..16].copy_from_slice(&leader_epoch.to_be_bytes());
}

/// A marker that ends a producer's transaction, still without its place.
pub(in crate::broker) fn marker(
    producer_id: i64,
    producer_epoch: i16,
    outcome: TransactionEnd,
    now_ms: i64,
) -> Vec<u8> {
    let mut covered = MARKER_ATTRIBUTES.to_be_bytes().to_vec();
    covered.extend(0i32.to_be_bytes());
    covered.extend(now_ms.to_be_bytes());
    covered.extend(now_ms.to_be_bytes());
    covered.extend(producer_id.to_be_bytes());
    covered.extend(producer_epoch.to_be_bytes());
    covered.extend((-1i32).to_be_bytes());
    covered.extend(1i32.to_be_bytes());
    // Length 16, attributes, time and place 0, a key of 4 bytes, a value of 6, no headers; lengths are zig-zag.
    covered.extend([32, 0, 0, 0, 8, 0, 0, 0, outcome as u8, 12, 0, 0, 0, 0, 0, 0, 0]);
    let mut marker = 0i64.to_be_bytes().to_vec();
    marker.extend(((MARKER - PREFIX) as i32).to_be_bytes());
    marker.extend(0i32.to_be_bytes());
    marker.push(MAGIC as u8);
    marker.extend(crc32c::crc32c(&covered).to_be_bytes());
    marker.extend(covered);
    marker
}

/// What a marker says; nothing for a control batch that is none of ours.
pub(in crate::broker) fn outcome(marker: &[u8]) -> Option<TransactionEnd> {
    match (marker.len() == MARKER).then(|| marker.get(HEADER + 5..HEADER + 9))?? {
        [0, 0, 0, 0] => Some(TransactionEnd::Abort),
        [0, 0, 0, 1] => Some(TransactionEnd::Commit),
        _ => None,
    }
}

/// The first record of a whole batch for which `wanted(offset, timestamp)` holds.
pub(in crate::broker) fn find_record(
    batch: &[u8],
    header: &BatchHeader,
    mut wanted: impl FnMut(i64, i64) -> bool,
) -> io::Result<Option<(i64, i64)>> {
    let mut records = open(&batch[HEADER..], header.compression())?;
    for _ in 0..header.count {
        let (offset_delta, timestamp_delta) = read_record(&mut *records)?;
        let offset = header.base_offset.wrapping_add(offset_delta);
        let timestamp = header.base_timestamp.wrapping_add(timestamp_delta);
        if wanted(offset, timestamp) {
            return Ok(Some((offset, timestamp)));
        }
    }
    Ok(None)
}

fn at<const N: usize>(bytes: &[u8; HEADER], from: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[from..from + N]);
    field
}

/// The records as a stream, so that a small batch that unpacks to gigabytes costs no memory.
fn open(packed: &[u8], compression: i16) -> io::Result<Box<dyn BufRead + '_>> {
    Ok(match compression {
        0 => Box::new(packed),
        1 => Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(packed))),
        2 => Box::new(io::Cursor::new(unpack_snappy(packed)?)),
        3 => Box::new(BufReader::new(lz4_flex::frame::FrameDecoder::new(packed))),
        4 => Box::new(BufReader::new(
            ruzstd::decoding::StreamingDecoder::new(packed).map_err(io::Error::other)?,
        )),
        other => return Err(io::Error::other(format!("unknown compression {other}"))),
    })
}

/// Snappy has no stream of its own in Kafka: the Java client writes blocks behind a header, librdkafka one bare block.
fn unpack_snappy(packed: &[u8]) -> io::Result<Vec<u8>> {
    const XERIAL: &[u8] = &[0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0];
    let Some(mut blocks) = packed.strip_prefix(XERIAL).and_then(|rest| rest.get(8..)) else {
        return unpack_block(packed);
    };
    let mut unpacked = Vec::new();
    while let Some((length, rest)) = blocks.split_first_chunk::<4>() {
        let (block, rest) = rest
            .split_at_checked(u32::from_be_bytes(*length) as usize)
            .ok_or(io::ErrorKind::UnexpectedEof)?;
        unpacked.extend(unpack_block(block)?);
        if unpacked.len() > UNPACKED_LIMIT {
            return Err(io::Error::other("a snappy batch unpacks to more than the limit"));
        }
        blocks = rest;
    }
    Ok(unpacked)
}

/// Snappy packs at most about 1:21, so no honest batch of the largest size that is accepted unpacks to more.
const UNPACKED_LIMIT: usize = 32 << 20;

fn unpack_block(block: &[u8]) -> io::Result<Vec<u8>> {
    if snap::raw::decompress_len(block)? > UNPACKED_LIMIT {
        return Err(io::Error::other("a snappy block unpacks to more than the limit"));
    }
    Ok(snap::raw::Decoder::new().decompress_vec(block)?)
}

/// Reads one record as far as its place and time and steps over the rest: `(offset delta, timestamp delta)`.
fn read_record(records: &mut dyn BufRead) -> io::Result<(i64, i64)> {
    let length = u64::try_from(read_varint(records)?).map_err(io::Error::other)?;
    let mut record = records.take(length);
    record.read_exact(&mut [0; 1])?;
    let timestamp_delta = read_varint(&mut record)?;
    let offset_delta = read_varint(&mut record)?;
    let rest = record.limit();
    match io::copy(&mut record, &mut io::sink())? {
        skipped if skipped == rest => Ok((offset_delta, timestamp_delta)),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

/// A zig-zag number of at most ten bytes.
fn read_varint(from: &mut (impl Read + ?Sized)) -> io::Result<i64> {
    let mut value = 0u64;
    for shift in (0..70).step_by(7) {
        let mut byte = [0];
        from.read_exact(&mut byte)?;
        value |= u64::from(byte[0] & 0x7f).checked_shl(shift).unwrap_or(0);
        if byte[0] & 0x80 == 0 {
            return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
        }
    }
    Err(io::Error::other("a number of more than ten bytes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three records of value `x`, 5 ms apart, as they lie in a batch.
    const RECORDS: [u8; 24] = [
        14, 0, 0, 0, 1, 2, b'x', 0, 14, 0, 10, 2, 1, 2, b'x', 0, 14, 0, 20, 4, 1, 2, b'x', 0,
    ];

    fn batch(packed: &[u8], compression: i16) -> (Vec<u8>, BatchHeader) {
        let mut batch = vec![0; HEADER];
        batch[8..12].copy_from_slice(&((HEADER - PREFIX + packed.len()) as i32).to_be_bytes());
        batch[COVERED..23].copy_from_slice(&compression.to_be_bytes());
        batch[27..35].copy_from_slice(&1000i64.to_be_bytes());
        batch[57..61].copy_from_slice(&3i32.to_be_bytes());
        place(&mut batch, 40, 0);
        batch.extend(packed);
        let header = BatchHeader::read(&batch).unwrap();
        (batch, header)
    }

    /// That its bytes are Kafka's own, the conformance suite shows.
    #[test]
    fn a_marker_is_a_batch_like_others() {
        let mut marker = marker(4711, 3, TransactionEnd::Commit, 1_700_000_000_000);
        place(&mut marker, 8, 0);
        let header = BatchHeader::read(&marker).unwrap();
        assert!(is_intact(&marker, &header) && header.is_control() && header.is_transactional());
        assert_eq!((header.base_sequence, header.last_offset(), header.count), (-1, 8, 1));
        assert_eq!(outcome(&marker), Some(TransactionEnd::Commit));
        let found = find_record(&marker, &header, |_, _| true).unwrap();
        assert_eq!(found, Some((8, 1_700_000_000_000)));
    }

    #[test]
    fn both_forms_of_snappy_are_read() {
        let block = snap::raw::Encoder::new().compress_vec(&RECORDS).unwrap();
        let mut framed = vec![0x82, b'S', b'N', b'A', b'P', b'P', b'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1];
        for part in [&RECORDS[..10], &RECORDS[10..]] {
            let block = snap::raw::Encoder::new().compress_vec(part).unwrap();
            framed.extend((block.len() as u32).to_be_bytes());
            framed.extend(block);
        }
        for packed in [block, framed] {
            let (batch, header) = batch(&packed, 2);
            let found = find_record(&batch, &header, |_, time| time > 1000).unwrap();
            assert_eq!(found, Some((41, 1005)));
        }
    }

    #[test]
    fn a_batch_that_ends_too_early_is_an_error_and_not_a_panic() {
        for length in 0..RECORDS.len() {
            let (batch, header) = batch(&RECORDS[..length], 0);
            assert!(find_record(&batch, &header, |_, _| false).is_err());
        }
        for compression in 0..8 {
            let (batch, header) = batch(&[0xff; 40], compression);
            assert!(find_record(&batch, &header, |_, _| false).is_err(), "{compression}");
        }
    }
}
