//! Compiled plugins on disk, and whom to trust there.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::*;
use crate::config::CompileCache;

fn load(dir: &Path) -> Plugin {
    let engine = Engine::new(Some(CompileCache::own(dir.to_owned()))).unwrap();
    engine.load(&built("plugins", "pass-through")).unwrap()
}

/// With a cache that others fill, under a key.
fn load_under(dir: &Path, key: u8, is_filled: bool) -> crate::error::Result<Plugin> {
    let cache = CompileCache {
        folder: dir.to_owned(),
        key: Some([key; 32]),
        is_filled,
    };
    Engine::new(Some(cache))?.load(&built("plugins", "pass-through"))
}

fn works(plugin: &Plugin) {
    let mut operator = plugin.operator("op", "", limits()).unwrap();
    assert_eq!(values(&process(&mut operator, &["a"]).unwrap().outputs[0]), ["a"]);
}

fn entry(dir: &Path) -> PathBuf {
    let entries: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert_eq!(entries.len(), 1, "{entries:?}");
    entries[0].clone()
}

/// An entry that was taken is not written again: it keeps its inode.
fn inode(path: &Path) -> u64 {
    fs::metadata(path).unwrap().ino()
}

#[test]
fn a_plugin_is_compiled_once() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("a/b");
    works(&load(&cache));
    let entry = entry(&cache);
    assert_eq!(fs::metadata(&cache).unwrap().mode() & 0o777, 0o700);
    assert_eq!(fs::metadata(&entry).unwrap().mode() & 0o777, 0o600);
    let before = inode(&entry);
    works(&load(&cache));
    assert_eq!(inode(&entry), before);
}

#[test]
fn a_damaged_foreign_or_short_entry_is_not_run_but_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    load(&cache);
    let entry = entry(&cache);
    let whole = fs::read(&entry).unwrap();
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let mut other_key = whole.clone();
    other_key[20] ^= 1;
    for damaged in [
        &flipped,
        &other_key,
        &whole[..whole.len() - 1].to_vec(),
        &whole[..40].to_vec(),
        &Vec::new(),
    ] {
        fs::write(&entry, damaged).unwrap();
        let before = inode(&entry);
        works(&load(&cache));
        assert_ne!(inode(&entry), before, "taken as it was");
        assert_eq!(fs::read(&entry).unwrap(), whole);
    }
}

#[test]
fn an_entry_that_others_could_have_written_is_not_run() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    load(&cache);
    let entry = entry(&cache);
    let before = inode(&entry);
    fs::set_permissions(&entry, fs::Permissions::from_mode(0o666)).unwrap();
    works(&load(&cache));
    assert_ne!(inode(&entry), before);
    let before = inode(&entry);
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
    works(&load(&cache));
    assert_eq!(inode(&entry), before, "nothing is written where others write");
}

#[test]
fn a_cache_that_cannot_be_written_costs_nothing_but_time() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    works(&load(&file.join("cache")));
}

#[test]
fn where_nothing_is_compiled_only_code_is_run_that_the_key_vouches_for() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("cache");
    let missing = load_under(&cache, 7, false).unwrap_err();
    assert_eq!(missing.kind, Kind::Plugin);
    assert!(missing.to_string().contains("compiled code is not there"), "{missing}");
    works(&load_under(&cache, 7, true).unwrap());
    works(&load_under(&cache, 7, false).unwrap());
    assert!(load_under(&cache, 8, false).is_err(), "of another key");

    // What has no key in it is not taken with one, nor the other way round.
    let entry = entry(&cache);
    let whole = fs::read(&entry).unwrap();
    load(&cache);
    assert_ne!(fs::read(&entry).unwrap(), whole, "taken without its key");
    assert!(load_under(&cache, 7, false).is_err());

    // Who cannot make the code changes nothing unseen: neither the machine code, nor whose it is.
    for at in [20, whole.len() / 2] {
        let mut forged = whole.clone();
        forged[at] ^= 1;
        fs::write(&entry, &forged).unwrap();
        assert!(load_under(&cache, 7, false).is_err(), "forged at {at}");
    }
    fs::write(&entry, &whole).unwrap();
    works(&load_under(&cache, 7, false).unwrap());
}
