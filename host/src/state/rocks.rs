//! How RocksDB is opened, limited and asked, and what its errors mean.
//!
//! **One database a task.** A task moves, is restored, forgotten and based on its own; a database shared by tasks would
//! make each of these a rewrite of ranges. Caches and write buffers are shared, so that many tasks do not take many
//! times the memory.
//!
//! **The log is kept, and not synced.** After kill -9 the kernel still has every byte that was written: the database
//! opens at the pointer of its last apply and nothing has to be redone. Without the log it would open at its last
//! flush, which may lie far behind, beyond the bundles that are kept. A sync an apply would guard against a power cut
//! alone, at milliseconds a task and commit; it is not needed for that: the database then opens at an *older* pointer,
//! and the deltas behind it are in the checkpoint store. What would hurt is a hole, an apply that is lost before one
//! that is not: `task.rs` numbers the applies and finds it.
//!
//! Always: one limit for the process. Half of it is the caches of values (`cache.rs`); against the rest count blocks,
//! indexes, filters and write buffers together.

use super::cache::Budget;
use super::files::{FileBudget, Grant};
use super::keys;
use super::lists::TooLong;
use crate::error::{Error, Kind};
use crate::process::open_files;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    DBRecoveryMode, DataBlockIndexType, ErrorKind, LogLevel, MergeOperands, Options, WriteBufferManager,
};
use std::path::Path;
use std::sync::Arc;

/// What the databases of the process share.
#[derive(Clone)]
pub(super) struct SharedDatabases {
    cache: Cache,
    buffers: WriteBufferManager,
    buffer_bytes: usize,
    files: FileBudget,
    /// What the tasks' own caches share.
    pub(super) values: Arc<Budget>,
}

impl SharedDatabases {
    /// A limit in bytes for the caches and write buffers of all databases.
    pub(super) fn new(limit: u64) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX).max(LIMIT_MIN);
        let values = limit / 2;
        let limit = limit - values;
        let cache = Cache::new_lru_cache(limit);
        // A stall would stop a worker in the middle of an apply for what another task's buffer holds: flushing early is
        // enough.
        let buffers = WriteBufferManager::new_write_buffer_manager_with_cache(limit / 8 * 5, false, cache.clone());
        Self {
            cache,
            buffers,
            buffer_bytes: (limit / 8).clamp(BUFFER_MIN, BUFFER_MAX),
            files: FileBudget::of(open_files::limit()),
            values: Budget::new(values),
        }
    }

    /// Bytes of blocks, indexes, filters and write buffers in memory.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.cache.get_usage() as u64
    }

    fn options(&self) -> Options {
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_write_buffer_manager(&self.buffers);
        options.set_write_buffer_size(self.buffer_bytes);
        options.set_max_write_buffer_number(3);
        options.set_level_zero_file_num_compaction_trigger(FLUSHED_MAX);
        options.set_arena_block_size(256 << 10);
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.02);
        options.set_block_based_table_factory(&self.tables());
        // What is young is written again soon: only what sank is worth the work.
        options.set_compression_per_level(&[
            DBCompressionType::None,
            DBCompressionType::None,
            DBCompressionType::Snappy,
        ]);
        options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
        options.set_log_level(LogLevel::Warn);
        options.set_max_log_file_size(1 << 20);
        options.set_keep_log_file_num(2);
        options.set_stats_dump_period_sec(0);
        options
    }

    fn tables(&self) -> BlockBasedOptions {
        let mut tables = BlockBasedOptions::default();
        tables.set_block_cache(&self.cache);
        tables.set_cache_index_and_filter_blocks(true);
        tables.set_pin_l0_filter_and_index_blocks_in_cache(true);
        tables.set_bloom_filter(10.0, false);
        // A filter of a whole file is larger than a shard of the cache: it would be read again for every few keys.
        tables.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        tables.set_partition_filters(true);
        tables.set_metadata_block_size(PART);
        tables.set_pin_top_level_index_and_filter(true);
        tables.set_block_size(BLOCK);
        tables.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        tables.set_data_block_hash_ratio(0.75);
        tables
    }

    /// Opens or makes a database.
    pub(super) fn open(&self, folder: &Path) -> Result<Opened, rocksdb::Error> {
        let (files, too_long) = (self.files.grant(), TooLong::default());
        let mut options = self.options();
        options.set_max_open_files(files.files());
        merge_lists(&mut options, &too_long);
        let family = ColumnFamilyDescriptor::new(FAMILY, options.clone());
        let db = DB::open_cf_descriptors(&options, folder, [family])?;
        Ok(Opened { db, too_long, files })
    }
}

/// A database, and what stands beside it as long as it is open.
pub(super) struct Opened {
    pub(super) db: DB,
    pub(super) too_long: TooLong,
    pub(super) files: Grant,
}

fn merge_lists(options: &mut Options, too_long: &TooLong) {
    let too_long = too_long.clone();
    let merge = move |key: &[u8], had: Option<&[u8]>, operands: &MergeOperands| too_long.merge(key, had, operands);
    options.set_merge_operator_associative("sandbar.list.1", merge);
}

/// Opens a database as it stands, also while another process has it open: nothing is written, and what it commits later
/// is not seen.
pub(super) fn open_to_read(folder: &Path) -> Result<DB, rocksdb::Error> {
    let mut options = Options::default();
    merge_lists(&mut options, &TooLong::default());
    options.set_max_open_files(FILES_TO_READ);
    options.set_wal_recovery_mode(DBRecoveryMode::PointInTime);
    DB::open_for_read_only(&options, folder, false)
}

/// A limit below this would only thrash.
const LIMIT_MIN: usize = 8 << 20;
const BUFFER_MIN: usize = 1 << 20;
/// A write buffer is a skip list: what does not fit the processor's cache is slow to fill and to read.
const BUFFER_MAX: usize = 32 << 20;
/// Buffers that are flushed before they are merged into the level below. Keys drawn evenly touch all of that level, so
/// three times the usual four are a third of the work of the compaction; what a read pays is a filter a file.
const FLUSHED_MAX: i32 = 12;
/// Bytes of a part of an index or a filter.
const PART: usize = 4096;
/// Half of what is usual: a lookup reads, checks and searches a whole block for one value.
const BLOCK: usize = 2048;

/// Files of a database that is only looked at: one may look at a hundred at once.
const FILES_TO_READ: i32 = 20;

const FAMILY: &str = "default";

/// The one column family; every database of ours has it.
pub(super) fn family(db: &DB) -> Result<&ColumnFamily, Error> {
    db.cf_handle(FAMILY)
        .ok_or_else(|| Error::new(Kind::Bug, "the state has no column family", ""))
}

/// A RocksDB error as ours: damage is told from a machine that has no room or says no.
pub(super) fn error(what: String, error: &rocksdb::Error) -> Error {
    let why = error.to_string();
    let is_missing = why.contains("No such file or directory");
    match error.kind() {
        ErrorKind::IOError if why.contains("No space left") || why.contains("Disk quota") => {
            Error::new(Kind::Unwritable, what, why)
                .hint("free some space on the disk of the state folder and start again: nothing is lost")
        }
        ErrorKind::IOError if why.contains("Too many open files") => {
            let limit = open_files::limit();
            let hint = format!(
                "this process may have {limit} files open: allow it more (ulimit -n, LimitNOFILE=), or spread the \
                 tasks over more processes"
            );
            Error::new(Kind::Unwritable, what, why).hint(hint)
        }
        ErrorKind::IOError if !is_missing => Error::new(Kind::Unwritable, what, why),
        ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotSupported | ErrorKind::IOError => {
            damaged(what, &why)
        }
        _ => Error::new(Kind::Failed, what, why),
    }
}

/// Local files that cannot be used as they are.
pub(super) fn damaged(what: String, why: &str) -> Error {
    Error::new(Kind::Corrupt, what, why)
        .hint("the task's local files are damaged: delete its folder, and it is restored from the last checkpoint")
}

/// A value of the meta part.
pub(super) fn meta(db: &DB, name: &[u8]) -> Result<Option<Vec<u8>>, rocksdb::Error> {
    debug_assert!(!keys::is_entry(name));
    db.get(name)
}
