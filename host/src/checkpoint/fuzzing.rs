//! The door for the fuzzers: the bytes of objects that lie in a store.

use super::bundle::{self, HEAD};

/// Reads bytes as a bundle: as they are, and as a manifest with deltas behind it in a bundle whose sums are right, for
/// no fuzzer finds a SHA-256.
pub fn stored(bytes: &[u8]) {
    let _is_whole = bundle::check_whole(bytes);
    let _begins_as_one = bundle::read_manifest(&bytes[..bytes.len().min(HEAD + 64)], u64::MAX);
    let (text, deltas) = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => bytes.split_at(end),
        None => (bytes, &[][..]),
    };
    let Ok((made, _)) = bundle::bundle(text, deltas.get(1..).unwrap_or_default()) else {
        return;
    };
    let Ok(checked) = bundle::read_manifest(&made, made.len() as u64) else {
        return;
    };
    for entry in &checked.manifest.tasks {
        let range = checked.delta_range(&entry.frame);
        assert!(range.start <= range.end && range.end <= made.len() as u64, "{range:?}");
        let again = checked.pointer("0a", entry).to_string();
        assert!(!again.contains('\n'), "{again:?}");
    }
    let _is_whole = bundle::check_whole(&made);
}
