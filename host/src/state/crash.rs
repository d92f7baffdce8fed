//! What is left of a task's files by a kill, a power cut or a bad disk: an earlier commit, whole, or `Kind::Corrupt`.

use super::model::{self, Chance, Model};
use super::{StateDirectory, TaskState, keys, store_id};
use crate::error::{Error, Kind};
use crate::record::Column;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

const CACHE: u64 = 16 << 20;

/// Commits a few random changes, `commits` times; every pointer with the state that belongs to it.
fn committed(state: &mut TaskState, commits: usize) -> BTreeMap<String, Model> {
    let (mut chance, mut model) = (Chance(7), Model::default());
    let mut all = BTreeMap::new();
    for commit in 0..commits {
        for _ in 0..5 {
            model::change(&mut chance, state, &mut model);
        }
        state.keep();
        let pointer = format!("p{commit:04}");
        state.apply(&pointer).unwrap();
        all.insert(pointer, model::tidied(model.clone()));
    }
    all
}

/// The task's files as a kill leaves them: the database still has them open.
fn killed(home: &Path, to: &Path) -> PathBuf {
    let files = to.join("tasks/task-0");
    model::copy_folder(&home.join("tasks/task-0"), &files);
    files
}

fn file(folder: &Path, ending: &str) -> PathBuf {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = entries
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    found.sort();
    found.pop().unwrap()
}

fn open(dir: &Path) -> Result<TaskState, Error> {
    StateDirectory::open(dir, CACHE).unwrap().task("task/0")
}

#[test]
fn a_killed_process_left_its_last_commit() {
    let (dir, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut state = open(dir.path()).unwrap();
    let all = committed(&mut state, 20);
    state.put(model::values(), b"not", b"committed");
    state.keep();
    killed(dir.path(), copy.path());
    let state = open(copy.path()).unwrap();
    assert_eq!(state.applied(), Some("p0019"));
    assert_eq!(model::applied(&state), all["p0019"]);
}

#[test]
fn a_log_that_is_cut_anywhere_opens_at_an_earlier_commit_with_its_state() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(dir.path()).unwrap();
    let all = committed(&mut state, 12);
    let length = {
        let copy = tempfile::tempdir().unwrap();
        fs::metadata(file(&killed(dir.path(), copy.path()), ".log"))
            .unwrap()
            .len()
    };
    let mut seen = std::collections::BTreeSet::new();
    for cut in (0..length).step_by(61) {
        let copy = tempfile::tempdir().unwrap();
        let log = file(&killed(dir.path(), copy.path()), ".log");
        fs::File::options().write(true).open(log).unwrap().set_len(cut).unwrap();
        let state = open(copy.path()).unwrap();
        let right = state.applied().map(|pointer| all[pointer].clone()).unwrap_or_default();
        assert_eq!(model::applied(&state), right, "cut at {cut}");
        seen.insert(state.applied().map(str::to_owned));
    }
    assert_eq!(seen.len(), 12, "nothing, and every pointer but the last");
}

#[test]
fn a_commit_that_is_missing_before_the_last_is_found() {
    let dir = tempfile::tempdir().unwrap();
    committed(&mut open(dir.path()).unwrap(), 5);
    {
        let db = rocksdb::DB::open_default(dir.path().join("tasks/task-0"));
        // Of the numbers 1 to 5, the third is lost.
        let steps: Vec<u8> = [1u64, 2, 4, 5].iter().flat_map(|step| step.to_le_bytes()).collect();
        db.unwrap().put(keys::META_STEPS, steps).unwrap();
    }
    let error = open(dir.path()).err().unwrap();
    assert_eq!(
        (error.kind, &*error.why),
        (Kind::Corrupt, "a commit is missing before the last one")
    );
}

#[test]
fn applies_are_numbered_over_syncs_and_restarts() {
    let dir = tempfile::tempdir().unwrap();
    for commits in [1, 255, 256, 257, 3, 600] {
        let mut state = open(dir.path()).unwrap();
        committed(&mut state, commits);
    }
    assert!(open(dir.path()).is_ok());
}

/// A task whose entries lie in a table file, closed.
fn flushed(dir: &Path) -> PathBuf {
    let mut state = open(dir).unwrap();
    for number in 0..2000u32 {
        state.put(model::values(), &number.to_be_bytes(), &[9; 50]);
    }
    state.keep();
    state.apply("p").unwrap();
    state.snapshot(&dir.join("base")).unwrap();
    dir.join("tasks/task-0")
}

#[test]
fn a_missing_table_is_damage_and_the_task_can_be_forgotten() {
    let dir = tempfile::tempdir().unwrap();
    let folder = flushed(dir.path());
    fs::remove_file(file(&folder, ".sst")).unwrap();
    let home = StateDirectory::open(dir.path(), CACHE).unwrap();
    let error = home.task("task/0").err().unwrap();
    assert_eq!(error.kind, Kind::Corrupt, "{error}");
    home.forget("task/0").unwrap();
    let state = home.install("task/0", &dir.path().join("base")).unwrap();
    assert_eq!(state.applied(), Some("p"));
}

#[test]
fn a_flipped_byte_in_a_table_is_damage_and_never_a_wrong_value() {
    let dir = tempfile::tempdir().unwrap();
    let folder = flushed(dir.path());
    let table = file(&folder, ".sst");
    let whole = fs::read(&table).unwrap();
    let mut asked = Column::default();
    (0..2000u32).for_each(|number| asked.push(Some(&number.to_be_bytes())));
    let mut found = 0;
    for at in (0..whole.len()).step_by(997) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::remove_file(&table).unwrap();
        fs::write(&table, bytes).unwrap();
        let mut read = Column::default();
        let outcome = open(dir.path()).and_then(|mut state| state.values(model::values(), &asked, &mut read));
        match outcome {
            Ok(()) => assert!(read.iter().all(|value| value == Some(&[9; 50])), "byte {at}"),
            Err(error) => {
                assert_eq!(error.kind, Kind::Corrupt, "{error}");
                found += 1;
            }
        }
    }
    assert!(found > 50, "{found} of the flips hit what is read");
}

#[test]
fn the_files_of_another_task_or_layout_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    flushed(dir.path());
    let home = StateDirectory::open(dir.path(), CACHE).unwrap();
    let error = home.install("task/1", &dir.path().join("base")).err().unwrap();
    assert_eq!(
        (error.kind, &*error.why),
        (Kind::Corrupt, "these are the files of task `task/0`")
    );
    rocksdb::DB::open_default(dir.path().join("tasks/task-0"))
        .unwrap()
        .put(keys::META_LAYOUT, [2])
        .unwrap();
    let error = home.task("task/0").err().unwrap();
    assert_eq!(
        (error.kind, &*error.why),
        (Kind::Corrupt, "its layout is version [2], this program reads 1")
    );
}

#[test]
fn ten_thousand_keys_are_one_multi_get_and_what_is_known_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(dir.path()).unwrap();
    let store = store_id("count", "counts");
    let (mut asked, mut read) = (Column::default(), Column::default());
    for number in 0..10_000u32 {
        asked.push(Some(&number.to_le_bytes()));
        state.put(store, &number.to_le_bytes(), &number.to_be_bytes());
    }
    state.keep();
    state.values(store, &asked, &mut read).unwrap();
    assert_eq!(state.stats().multi_gets, 0);
    state.apply("p").unwrap();
    for _ in 0..2 {
        read.clear();
        state.values(store, &asked, &mut read).unwrap();
    }
    let stats = state.stats();
    assert_eq!((stats.multi_gets, stats.multi_get_keys, stats.applies), (1, 10_000, 1));
    let right = (0..10_000u32).map(u32::to_be_bytes);
    assert!(read.iter().zip(right).all(|(value, right)| value == Some(&right)));
    assert_eq!(state.stats().keys, 10_004, "the meta entries count too");
}

#[test]
fn a_store_that_fits_is_read_once_and_then_known_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let (store, other) = (store_id("count", "counts"), store_id("count", "others"));
    let mut state = open(dir.path()).unwrap();
    for number in 0..10_000u32 {
        state.put(store, &number.to_le_bytes(), &number.to_be_bytes());
    }
    state.put(other, b"o", b"1");
    state.keep();
    state.apply("p").unwrap();
    drop(state);
    let mut state = open(dir.path()).unwrap();
    let ask = |state: &mut TaskState, store, number: u32| {
        let (mut asked, mut read) = (Column::default(), Column::default());
        asked.push(Some(&number.to_le_bytes()));
        state.values(store, &asked, &mut read).unwrap();
        read.get(0).map(<[u8]>::to_vec)
    };
    let mut multi_gets = 0;
    for number in 0..20_000u32 {
        let right = (number < 10_000).then(|| number.to_be_bytes().to_vec());
        assert_eq!(ask(&mut state, store, number), right);
        multi_gets = state.stats().multi_gets;
    }
    assert!((300..1000).contains(&multi_gets), "{multi_gets}");
    // What is applied from now on is known as well, and what another store has is not.
    state.put(store, &20_000u32.to_le_bytes(), b"new");
    state.delete(store, &1u32.to_le_bytes());
    state.keep();
    state.apply("p2").unwrap();
    assert_eq!(ask(&mut state, store, 20_000), Some(b"new".to_vec()));
    assert_eq!(ask(&mut state, store, 1), None);
    assert_eq!(state.stats().multi_gets, multi_gets);
    ask(&mut state, other, 0);
    assert_eq!(state.stats().multi_gets, multi_gets + 1);
}

#[test]
fn a_large_map_is_cleared_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(dir.path()).unwrap();
    let maps = model::maps();
    for number in 0..5000u32 {
        state.put_entry(maps, b"large", &number.to_be_bytes(), b"v");
    }
    state.put_entry(maps, b"largf", b"stays", b"v");
    state.keep();
    state.apply("p1").unwrap();
    state.clear_map(maps, b"large");
    state.put_entry(maps, b"large", b"new", b"v");
    state.keep();
    state.apply("p2").unwrap();
    assert_eq!(state.view().count(maps).unwrap(), 2);
}

#[test]
fn a_delta_of_another_hand_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(dir.path()).unwrap();
    committed(&mut state, 3);
    let before = model::applied(&state);
    let error = state.redo(b"not a delta at all", "p9").unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt);
    assert_eq!((state.applied(), model::applied(&state)), (Some("p0002"), before));
}

#[test]
fn a_batch_in_the_middle_is_never_applied() {
    let dir = tempfile::tempdir().unwrap();
    let mut state = open(dir.path()).unwrap();
    state.put(model::values(), b"k", b"v");
    assert_eq!(state.apply("p").unwrap_err().kind, Kind::Bug);
    assert_eq!(state.applied(), None);
    assert_eq!(state.redo(b"", "p").unwrap_err().kind, Kind::Bug);
    state.undo();
    assert!(state.is_clean());
    state.apply("p").unwrap();
}
