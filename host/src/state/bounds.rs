//! What a read may take of memory, and what a list may grow to; stores that are dropped.

use super::lists::{LIST_BYTES, MERGED};
use super::{Most, StateDirectory, TaskState, store_id};
use crate::record::Column;

const MIB: usize = 1 << 20;

fn opened(folder: &tempfile::TempDir) -> (StateDirectory, TaskState) {
    let home = StateDirectory::open(folder.path(), 16 << 20).unwrap();
    let state = home.task("views/0").unwrap();
    (home, state)
}

fn commit(state: &mut TaskState, number: usize) {
    state.keep();
    state.apply(&format!("p{number}")).unwrap();
}

#[test]
fn a_list_that_is_longer_than_allowed_is_not_read_and_stays_as_it_was() {
    let folder = tempfile::tempdir().unwrap();
    let (_home, mut state) = opened(&folder);
    let id = store_id("op", "list");
    let item = vec![7; MIB];
    for number in 0..8 {
        for _ in 0..4 {
            state.append(id, b"k", &item);
        }
        commit(&mut state, number);
    }
    state.append(id, b"k", b"last");
    let mut items = Column::default();
    let all = 32 * (MIB + 4) + 8;
    MERGED.set(0);
    assert!(!state.items(id, b"k", all - 1, &mut items).unwrap(), "as it was merged");
    assert!(items.is_empty());
    assert_eq!(MERGED.get(), 0, "nothing was put together in memory only to be refused");
    assert!(
        !state.items(id, b"k", 3, &mut items).unwrap(),
        "what the overlay has alone"
    );
    assert!(state.items(id, b"k", all, &mut items).unwrap());
    assert_eq!((items.len(), items.get(32)), (33, Some(&b"last"[..])));
}

#[test]
fn nothing_is_appended_to_a_list_that_a_merge_found_too_long_until_it_is_cleared() {
    let folder = tempfile::tempdir().unwrap();
    let (_home, mut state) = opened(&folder);
    let (id, item) = (store_id("op", "list"), vec![7; MIB]);
    assert!(!state.is_too_long(id, b"k").unwrap());
    for number in 0..=LIST_BYTES / (16 * MIB) {
        (0..16).for_each(|_| state.append(id, b"k", &item));
        commit(&mut state, number);
    }
    // A read merges as a compaction does.
    let mut items = Column::default();
    assert!(!state.items(id, b"k", MIB, &mut items).unwrap());
    assert!(state.is_too_long(id, b"k").unwrap());
    assert!(!state.is_too_long(id, b"other").unwrap());
    state.clear_list(id, b"k");
    assert!(!state.is_too_long(id, b"k").unwrap(), "it is cleared by this batch");
    commit(&mut state, 1000);
    assert!(!state.is_too_long(id, b"k").unwrap());
}

#[test]
fn a_page_ends_at_its_bytes_before_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (_home, mut state) = opened(&folder);
    let id = store_id("op", "map");
    for at in 0..100u32 {
        // Small ones first: what is behind them cannot be foreseen from them.
        let bytes = if at < 20 { 1 } else { MIB };
        state.put_entry(id, b"k", format!("{at:04}").as_bytes(), &vec![7; bytes]);
    }
    commit(&mut state, 1);
    let most = Most {
        entries: 1000,
        bytes: 3 * MIB,
    };
    let (mut keys, mut values) = (Column::default(), Column::default());
    let more = state.scan(id, b"k", b"", None, most, &mut keys, &mut values).unwrap();
    assert!(
        more && keys.len() == 22 && values.bytes.len() < 3 * MIB,
        "{}",
        keys.len()
    );
    let one = Most { entries: 9, bytes: 1 };
    let more = state
        .scan(id, b"k", b"", Some(b"0050"), one, &mut keys, &mut values)
        .unwrap();
    assert!(more && keys.len() == 1, "one entry comes however long it is");
}

#[test]
fn a_store_that_is_dropped_is_empty_at_once_and_after_its_commit_everywhere() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let ((_home, mut state), (_other, mut replica)) = (opened(&here), opened(&there));
    let (gone, stays) = (store_id("op", "gone"), store_id("op", "stays"));
    for id in [gone, stays] {
        state.put(id, b"k", b"old");
        state.put_entry(id, b"map", b"user", b"old");
        state.append(id, b"list", b"old");
    }
    let mut delta = Vec::new();
    state.keep();
    state.delta(&mut delta);
    state.apply("p1").unwrap();
    replica.redo(&delta, "p1").unwrap();
    let mut column = Column::default();
    let mut keys = Column::default();
    keys.push(Some(b"k"));
    // The cache knows it too.
    state.values(gone, &keys, &mut column).unwrap();

    assert!(state.has_entries(gone).unwrap());
    state.drop_store(gone);
    assert!(!state.is_clean());
    state.undo();
    state.values(gone, &keys, &mut column).unwrap();
    assert_eq!(column.get(0), None);
    state.items(gone, b"list", 100, &mut column).unwrap();
    assert!(column.is_empty());
    state.put(gone, b"new", b"v");
    let mut delta = Vec::new();
    state.keep();
    state.delta(&mut delta);
    state.apply("p2").unwrap();
    replica.redo(&delta, "p2").unwrap();

    for state in [&mut state, &mut replica] {
        assert_eq!(state.view().count(gone).unwrap(), 1, "what was put since");
        assert_eq!(state.view().count(stays).unwrap(), 3);
        assert_eq!(state.view().value(gone, b"new").unwrap(), Some(b"v".to_vec()));
    }
    state.drop_store(gone);
    state.drop_overlay();
    assert!(
        state.has_entries(gone).unwrap(),
        "what was not committed was not dropped"
    );
}
