//! The bundle: what one commit of one worker changed, as one immutable object. Stored bytes: a golden file holds their
//! form.
//!
//! ```text
//! "sandbar" and the version, 8 bytes · length of the manifest, u32 LE · SHA-256 of the manifest, 32 bytes
//!   · manifest, JSON · the tasks' deltas
//! ```
//!
//! The manifest names each delta's place and SHA-256, the head holds the manifest's, a pointer repeats the first half
//! of that: a byte that changed anywhere is found, and every length is checked before it is used.

use std::collections::BTreeMap;
use std::ops::Range;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{Offsets, PartitionCounts};
use crate::offset_metadata::{self, Pointer};

/// Seven letters and the version of the form.
const MAGIC: &[u8; 8] = b"sandbar\x01";
/// Bytes before the manifest.
pub(super) const HEAD: usize = MAGIC.len() + 4 + 32;
/// Bytes of a manifest, at most: some 100,000 partitions.
const MANIFEST_LIMIT: usize = 64 << 20;
/// The version of the manifest's fields. A field more is no new version: readers pass over what they do not know, so
/// that programs of two releases share a store. A field that a reader must know makes one, and so does one that names
/// an object, which an older program would collect.
const FORMAT: u32 = 1;

/// By topic and partition, where a bounded run ends: `<stop>@<setting>`, as it stands behind a pointer.
pub type Stops = BTreeMap<String, BTreeMap<i32, String>>;

/// A store of an operator, as it was when the bundle was written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct StoreSchema {
    /// The operator's name in the pipeline.
    pub operator: String,
    /// The store's name in the plugin.
    pub store: String,
    /// `value`, `list` or `map`.
    pub kind: String,
    /// What wrote the bytes.
    pub codec: String,
    /// The version of their schema.
    pub schema_version: u32,
    /// The oldest version that entries may still have which nobody wrote since, if it is older.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_version: Option<u32>,
}

impl StoreSchema {
    /// Whether it is the same store of the same operator, whatever it was then.
    pub fn is_of(&self, other: &StoreSchema) -> bool {
        self.operator == other.operator && self.store == other.store
    }

    /// The oldest version that its entries may have.
    pub fn oldest_version(&self) -> u32 {
        self.oldest_version.unwrap_or(self.schema_version)
    }

    /// It has entries that were written as `stored`.
    pub fn age(&mut self, stored: &StoreSchema) {
        let oldest = stored.oldest_version();
        self.oldest_version = (oldest < self.schema_version).then_some(oldest);
    }
}

/// A base: all files of a task's state as of one pointer.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct BaseRef {
    /// Its name in the store.
    pub name: String,
    /// SHA-256 of the object that lists its files, in hex.
    pub sha256: String,
    /// Bytes of that object.
    pub length: u64,
    /// The state that it holds.
    #[serde(with = "as_text")]
    pub at: Pointer,
}

/// What a commit says of one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskFrame {
    /// The task: `<source>/<number>`.
    pub task: String,
    /// One more than its parent's.
    pub seq: u64,
    /// The commit before.
    pub parent: Pointer,
    /// The newest base that is complete, if there is one; at the parent or before it.
    pub base: Option<BaseRef>,
    /// The positions that this state belongs to: the next offset of each partition of the task.
    pub offsets: Offsets,
    /// Where a bounded run ends, for each partition of the task that has a stop: the offset and the setting that said
    /// so, as text.
    pub stops: Stops,
    /// How many partitions the topics have whose keys have state in the task.
    pub partition_counts: PartitionCounts,
    /// The stores of the pipeline's operators.
    pub stores: Vec<StoreSchema>,
    /// What changed since the parent, encoded.
    pub delta: Vec<u8>,
}

/// What a bundle says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Manifest {
    /// The version of these fields.
    pub format: u32,
    /// The pipeline's name.
    pub pipeline: String,
    /// When it was written, in milliseconds since 1970 by the writer's clock. For people.
    pub created: i64,
    /// Which worker of its process wrote it. For people.
    pub worker: usize,
    /// The tasks, in the order of their deltas.
    pub tasks: Vec<ManifestEntry>,
}

/// What a manifest says of one task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ManifestEntry {
    /// The task.
    pub task: String,
    /// Counts the task's checkpoints.
    pub seq: u64,
    /// The commit before.
    #[serde(with = "as_text")]
    pub parent: Pointer,
    /// The newest complete base at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<BaseRef>,
    /// The positions that belong to it.
    pub offsets: Offsets,
    /// Where a bounded run ends.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stops: Stops,
    /// How many partitions the topics had whose keys have state in the task; empty in what older programs wrote.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub partition_counts: PartitionCounts,
    /// The stores.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub stores: Vec<StoreSchema>,
    /// Where its delta lies.
    pub frame: Frame,
}

/// A task's delta in the bundle.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Frame {
    /// Where it begins, from the end of the manifest.
    pub offset: u64,
    /// Its bytes.
    pub length: u64,
    /// Their SHA-256, in hex.
    pub sha256: String,
}

/// A manifest whose bytes were checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// What it says.
    pub manifest: Manifest,
    /// What a pointer to this bundle says of it.
    pub hash: String,
    /// Where the deltas begin in the bundle.
    deltas: u64,
}

impl Checked {
    /// Bytes of the manifest, as it is written.
    pub(super) fn manifest_bytes(&self) -> usize {
        usize::try_from(self.deltas).unwrap_or(usize::MAX)
    }
}

/// An encoded bundle.
#[derive(Debug, Clone)]
pub(super) struct Encoded {
    pub(super) bytes: Vec<u8>,
    pub(super) checked: Checked,
}

/// Why bytes are no bundle.
pub(super) type Flaw = String;

/// The bytes of a bundle. `tasks` must not name a task twice.
pub(super) fn encode(pipeline: &str, created: i64, worker: usize, tasks: Vec<TaskFrame>) -> Result<Encoded, Flaw> {
    let mut entries = Vec::with_capacity(tasks.len());
    let mut deltas = Vec::with_capacity(tasks.iter().map(|task| task.delta.len()).sum());
    for task in tasks {
        entries.push(ManifestEntry {
            frame: Frame {
                offset: deltas.len() as u64,
                length: task.delta.len() as u64,
                sha256: sha256(&task.delta),
            },
            task: task.task,
            seq: task.seq,
            parent: task.parent,
            base: task.base,
            offsets: task.offsets,
            stops: task.stops,
            partition_counts: task.partition_counts,
            stores: task.stores,
        });
        deltas.extend_from_slice(&task.delta);
    }
    let manifest = Manifest {
        format: FORMAT,
        pipeline: pipeline.to_owned(),
        created,
        worker,
        tasks: entries,
    };
    check(&manifest)?;
    assemble(manifest, &deltas)
}

fn assemble(manifest: Manifest, deltas: &[u8]) -> Result<Encoded, Flaw> {
    let text = serde_json::to_vec(&manifest).map_err(|error| error.to_string())?;
    let (bytes, hash) = bundle(&text, deltas)?;
    let checked = Checked {
        manifest,
        hash,
        deltas: (HEAD + text.len()) as u64,
    };
    Ok(Encoded { bytes, checked })
}

/// The bytes of a bundle with that manifest, and what a pointer says of it.
pub(super) fn bundle(text: &[u8], deltas: &[u8]) -> Result<(Vec<u8>, String), Flaw> {
    let length = u32::try_from(text.len()).map_err(|error| error.to_string())?;
    if text.len() > MANIFEST_LIMIT {
        return Err(format!("its manifest would have {length} bytes"));
    }
    let hash = Sha256::digest(text);
    let mut bytes = Vec::with_capacity(HEAD + text.len() + deltas.len());
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&hash);
    bytes.extend_from_slice(text);
    bytes.extend_from_slice(deltas);
    Ok((bytes, offset_metadata::short(&hex(&hash))))
}

/// Where the manifest lies, from the bundle's first bytes.
pub(super) fn manifest_range(head: &[u8]) -> Result<Range<usize>, Flaw> {
    let Some(head) = head.get(..HEAD) else {
        return Err(format!("it has {} bytes, and its head alone has {HEAD}", head.len()));
    };
    let (magic, rest) = head.split_at(MAGIC.len());
    if magic[..7] != MAGIC[..7] {
        return Err("it does not begin as a bundle does".to_owned());
    }
    if magic[7] != MAGIC[7] {
        return Err(format!(
            "its form has version {}, and this build knows {}",
            magic[7], MAGIC[7]
        ));
    }
    let length = u32::from_le_bytes([rest[0], rest[1], rest[2], rest[3]]) as usize;
    if length > MANIFEST_LIMIT {
        return Err(format!("its manifest would have {length} bytes"));
    }
    Ok(HEAD..HEAD + length)
}

/// The manifest of a bundle of `total` bytes, of which `start` holds at least head and manifest.
pub(super) fn read_manifest(start: &[u8], total: u64) -> Result<Checked, Flaw> {
    let range = manifest_range(start)?;
    let Some(text) = start.get(range.clone()) else {
        return Err(format!("it has {total} bytes and ends within its manifest"));
    };
    let hash = Sha256::digest(text);
    if hash[..] != start[HEAD - 32..HEAD] {
        return Err("its manifest has another SHA-256 than its head says".to_owned());
    }
    let manifest: Manifest = serde_json::from_slice(text).map_err(|error| format!("its manifest: {error}"))?;
    check(&manifest)?;
    let deltas = range.end as u64;
    let held = total.saturating_sub(deltas);
    let needed = manifest.tasks.iter().map(|entry| entry.frame.length).sum::<u64>();
    if held != needed {
        return Err(format!("its deltas have {held} bytes, and its manifest says {needed}"));
    }
    let hash = offset_metadata::short(&hex(&hash));
    Ok(Checked { manifest, hash, deltas })
}

/// What a manifest must not say, whoever wrote it.
fn check(manifest: &Manifest) -> Result<(), Flaw> {
    if manifest.format != FORMAT {
        return Err(format!(
            "its manifest has format {}, and this build knows {FORMAT}",
            manifest.format
        ));
    }
    let (mut end, mut seen) = (0_u64, std::collections::BTreeSet::new());
    for entry in &manifest.tasks {
        let task = &entry.task;
        if !seen.insert(task) {
            return Err(format!("its manifest names {task} twice"));
        }
        if entry.parent.task != *task || entry.parent.seq >= entry.seq {
            return Err(format!("{task} at {} cannot follow {}", entry.seq, entry.parent));
        }
        if let Some(base) = &entry.base {
            check_base(entry, base)?;
        }
        if entry.frame.offset != end || !is_sha256(&entry.frame.sha256) {
            return Err(format!("the delta of {task} is not where it has to be"));
        }
        let after = end.checked_add(entry.frame.length);
        end = after.ok_or_else(|| format!("the delta of {task} cannot have {} bytes", entry.frame.length))?;
    }
    Ok(())
}

fn check_base(entry: &ManifestEntry, base: &BaseRef) -> Result<(), Flaw> {
    let fits = base.at.task == entry.task && base.at.seq < entry.seq && base.at.bundle.is_some();
    if fits && offset_metadata::is_name(&base.name) && is_sha256(&base.sha256) {
        return Ok(());
    }
    Err(format!(
        "{} at {} cannot stand on base `{}`",
        entry.task, entry.seq, base.name
    ))
}

impl ManifestEntry {
    /// Whether no operator of the task keeps any state: then nothing before it counts.
    pub(super) fn keeps_nothing(&self) -> bool {
        self.stores.is_empty() && self.frame.length == 0
    }
}

impl Checked {
    /// What the bundle says of a task.
    pub fn entry(&self, task: &str) -> Option<&ManifestEntry> {
        self.manifest.tasks.iter().find(|entry| entry.task == task)
    }

    /// The pointer to a task's state as of the bundle `name`.
    pub fn pointer(&self, name: &str, entry: &ManifestEntry) -> Pointer {
        Pointer {
            bundle: Some(name.to_owned()),
            task: entry.task.clone(),
            seq: entry.seq,
            hash: Some(self.hash.clone()),
        }
    }

    /// All its pointers, in the order of its tasks.
    pub fn pointers(&self, name: &str) -> Vec<Pointer> {
        let entries = self.manifest.tasks.iter();
        entries.map(|entry| self.pointer(name, entry)).collect()
    }

    /// Where a task's delta lies in the bundle; the manifest was checked against the bundle's length.
    pub(super) fn delta_range(&self, frame: &Frame) -> Range<u64> {
        let start = self.deltas + frame.offset;
        start..start + frame.length
    }
}

/// Whether a delta has the bytes that its manifest says.
pub(super) fn check_delta(delta: &[u8], frame: &Frame) -> Result<(), Flaw> {
    if delta.len() as u64 != frame.length {
        return Err(format!(
            "a delta has {} bytes, and its manifest says {}",
            delta.len(),
            frame.length
        ));
    }
    match sha256(delta) == frame.sha256 {
        true => Ok(()),
        false => Err("a delta has another SHA-256 than its manifest says".to_owned()),
    }
}

/// A whole bundle, every byte of it checked.
pub(super) fn check_whole(bytes: &[u8]) -> Result<Checked, Flaw> {
    let checked = read_manifest(bytes, bytes.len() as u64)?;
    for entry in &checked.manifest.tasks {
        let range = checked.delta_range(&entry.frame);
        let delta = bytes.get(range.start as usize..range.end as usize);
        check_delta(delta.unwrap_or_default(), &entry.frame).map_err(|flaw| format!("{}: {flaw}", entry.task))?;
    }
    Ok(checked)
}

/// SHA-256 in hex.
pub(super) fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // A string takes whatever is written.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(super) fn is_sha256(text: &str) -> bool {
    text.len() == 64 && offset_metadata::is_hex(text)
}

/// A pointer in JSON is its text.
pub(super) mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Pointer;

    pub(in crate::checkpoint) fn serialize<S: Serializer>(pointer: &Pointer, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(pointer)
    }

    pub(in crate::checkpoint) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Pointer, D::Error> {
        let text = String::deserialize(from)?;
        text.parse()
            .map_err(|error: crate::error::Error| D::Error::custom(error.what))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_GOLDEN=1` writes it anew: only for a new version of the form.
    const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/checkpoint/golden/bundle-v1");

    fn offsets(at: i64) -> Offsets {
        Offsets::from([("views".to_owned(), [(3, at)].into())])
    }

    fn tasks() -> Vec<TaskFrame> {
        let parent = Pointer {
            bundle: Some("0mhzqk3va-0-1y2p0ij32e8e7".into()),
            task: "views/3".into(),
            seq: 51,
            hash: Some("9f86d081884c7d65".into()),
        };
        let base = BaseRef {
            name: "0mhzqk000-0-0000000000001".into(),
            sha256: sha256(b"base"),
            length: 4,
            at: parent.clone(),
        };
        let store = StoreSchema {
            operator: "count".into(),
            store: "counts".into(),
            kind: "value".into(),
            codec: "postcard".into(),
            schema_version: 2,
            oldest_version: None,
        };
        vec![
            TaskFrame {
                task: "views/3".into(),
                seq: 52,
                parent,
                base: Some(base),
                offsets: offsets(4711),
                stops: Stops::new(),
                partition_counts: PartitionCounts::new(),
                stores: vec![store],
                delta: b"what changed".to_vec(),
            },
            TaskFrame {
                task: "views/4".into(),
                seq: 1,
                parent: Pointer::first("views/4"),
                base: None,
                offsets: offsets(0),
                stops: Stops::new(),
                partition_counts: PartitionCounts::new(),
                stores: Vec::new(),
                delta: Vec::new(),
            },
        ]
    }

    fn encoded() -> Encoded {
        encode("page-views", 1_795_000_000_000, 1, tasks()).unwrap()
    }

    #[test]
    fn the_bytes_of_a_bundle_never_change() {
        let bytes = encoded().bytes;
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(GOLDEN, &bytes).unwrap();
        }
        let golden = std::fs::read(GOLDEN).unwrap();
        assert!(bytes == golden, "the form of a bundle changed: it needs a new version");
        let checked = check_whole(&golden).unwrap();
        assert_eq!(checked, encoded().checked);
        assert_eq!(checked.entry("views/3").unwrap().offsets, offsets(4711));
        assert_eq!(
            checked.pointers("ab")[0].to_string(),
            format!("sb1:ab:views/3:52:{}", checked.hash)
        );
    }

    #[test]
    fn the_numbers_of_partitions_stand_in_the_manifest_and_are_absent_from_older_bundles() {
        let golden = check_whole(&std::fs::read(GOLDEN).unwrap()).unwrap();
        assert!(golden.entry("views/3").unwrap().partition_counts.is_empty());
        let mut tasks = tasks();
        tasks[0].partition_counts = [("views".to_owned(), 6)].into();
        let counted = encode("page-views", 0, 1, tasks).unwrap();
        let text = String::from_utf8_lossy(&counted.bytes).into_owned();
        assert!(text.contains(r#""partition-counts":{"views":6}"#), "{text}");
        let read = check_whole(&counted.bytes).unwrap();
        assert_eq!(read.entry("views/3").unwrap().partition_counts["views"], 6);
    }

    /// A manifest as a later release may write it: of the same format, with fields that this one does not know.
    #[test]
    fn a_manifest_of_tomorrow_is_read_and_what_is_new_in_it_passed_over() {
        let today = encoded().checked.manifest;
        let mut tomorrow = serde_json::to_value(&today).unwrap();
        let places = [
            "",
            "/tasks/0",
            "/tasks/0/base",
            "/tasks/0/stores/0",
            "/tasks/0/frame",
            "/tasks/1",
        ];
        for place in places {
            let object = tomorrow.pointer_mut(place).unwrap().as_object_mut().unwrap();
            object.insert("new-tomorrow".into(), serde_json::json!({ "at": [1, 2] }));
        }
        let text = serde_json::to_vec(&tomorrow).unwrap();
        let (bytes, hash) = bundle(&text, b"what changed").unwrap();
        let read = check_whole(&bytes).unwrap();
        assert_eq!((read.manifest, read.hash), (today, hash));
        tomorrow["format"] = 2.into();
        let (bytes, _) = bundle(&serde_json::to_vec(&tomorrow).unwrap(), b"what changed").unwrap();
        let flaw = check_whole(&bytes).unwrap_err();
        assert_eq!(flaw, "its manifest has format 2, and this build knows 1");
    }

    #[test]
    fn every_flipped_bit_is_found() {
        let bytes = encoded().bytes;
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                assert!(check_whole(&damaged).is_err(), "byte {at}, bit {bit}");
            }
        }
    }

    #[test]
    fn every_truncation_and_every_byte_too_many_is_found() {
        let mut bytes = encoded().bytes;
        for length in 0..bytes.len() {
            assert!(check_whole(&bytes[..length]).is_err(), "{length} bytes");
        }
        bytes.push(0);
        assert!(check_whole(&bytes).is_err());
    }

    #[test]
    fn lengths_that_lie_are_found_before_they_are_used() {
        for length in [u32::MAX, MANIFEST_LIMIT as u32 + 1, 1 << 20] {
            let mut bytes = encoded().bytes;
            bytes[8..12].copy_from_slice(&length.to_le_bytes());
            assert!(check_whole(&bytes).is_err());
        }
        for (offset, length) in [(0, u64::MAX), (u64::MAX, 1), (1, 11), (0, 13)] {
            let mut manifest = encoded().checked.manifest;
            manifest.tasks[0].frame.offset = offset;
            manifest.tasks[0].frame.length = length;
            // Hashes are right, lengths are not: a writer's defect, not damage.
            let forged = assemble(manifest, b"what changed").unwrap().bytes;
            assert!(check_whole(&forged).is_err(), "{offset} {length}");
        }
    }

    #[test]
    fn a_manifest_that_contradicts_itself_is_refused() {
        let twice = || tasks().into_iter().chain(tasks());
        let parent = |seq| {
            let mut tasks = tasks();
            tasks[0].parent.seq = seq;
            tasks
        };
        let other = {
            let mut tasks = tasks();
            tasks[0].parent.task = "views/9".into();
            tasks
        };
        let base = {
            let mut tasks = tasks();
            tasks[0].base.as_mut().unwrap().name = "../escape".into();
            tasks
        };
        for wrong in [twice().collect(), parent(52), parent(53), other, base] {
            assert!(encode("page-views", 0, 0, wrong).is_err());
        }
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let golden = encoded().bytes;
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = move || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for _ in 0..20_000 {
            let mut bytes = golden.clone();
            for _ in 0..1 + random() % 8 {
                let at = random() as usize % bytes.len();
                bytes[at] = random() as u8;
            }
            bytes.truncate(random() as usize % (2 * bytes.len()));
            // A manifest whose hash fits again: what is behind the first check is reached too.
            if let Ok(range) = manifest_range(&bytes)
                && let Some(text) = bytes.get(range)
            {
                let hash = Sha256::digest(text);
                bytes[HEAD - 32..HEAD].copy_from_slice(&hash);
            }
            let _ = check_whole(&bytes);
        }
    }
}
