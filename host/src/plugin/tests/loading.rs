//! What is loaded, and what is refused as no plugin of this version.

use super::*;

fn load(bytes: &[u8]) -> Error {
    load_bytes(bytes).unwrap_err()
}

#[test]
fn each_file_that_is_no_plugin_has_its_own_sentence() {
    let core = b"\0asm\x01\0\0\0";
    for (bytes, sentence) in [
        (&b""[..], "the file is empty"),
        (b"[package]\nname = \"filter\"\n", "it is a text file"),
        (b"\x7fELF\x02\x01\x01\0", "it is a native binary"),
        (b"\x89PNG\r\n\x1a\n\0\0", "it is not WebAssembly at all"),
        (core, "it is a core WebAssembly module, not a component"),
        (b"\0asm\x07\0\0\0", "it is WebAssembly of another version"),
        (b"\0asm\x0d\0\x01\0", "it does not export `describe`, `open`, `process`"),
    ] {
        let error = load(bytes);
        assert_eq!(error.kind, Kind::Plugin);
        assert!(error.what.starts_with("failed to load plugin `"), "{}", error.what);
        assert!(error.why.contains(sentence), "{} instead of {sentence}", error.why);
    }
}

#[test]
fn a_missing_file_and_a_folder_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let error = engine().load(&dir.path().join("none.wasm")).unwrap_err();
    assert_eq!(
        (error.kind, error.why.as_str()),
        (Kind::Plugin, "there is no such file")
    );
    assert!(engine().load(dir.path()).unwrap_err().why.contains("it is a folder"));
}

#[test]
fn a_component_cut_anywhere_is_refused_and_nothing_panics() {
    let whole = std::fs::read(built("plugins", "pass-through")).unwrap();
    for cut in (0..whole.len()).step_by(whole.len() / 97) {
        assert_eq!(load(&whole[..cut]).kind, Kind::Plugin);
    }
}

#[test]
fn a_component_with_any_byte_changed_is_refused_or_works_and_nothing_panics() {
    let whole = std::fs::read(built("guests", "lies")).unwrap();
    for at in (8..whole.len()).step_by(whole.len() / 31) {
        let mut changed = whole.clone();
        changed[at] ^= 0x55;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.wasm");
        std::fs::write(&path, &changed).unwrap();
        let _ = engine().load(&path);
    }
}

#[test]
fn a_file_that_is_too_large_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.wasm");
    std::fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    assert!(engine().load(&path).unwrap_err().why.contains("larger than 64MiB"));
}

#[test]
fn a_component_without_an_sdk_works_in_the_world_of_records() {
    let plugin = guest("record-world");
    assert_eq!(plugin.world(), World::RecordProcessor);
    let mut operator = plugin.operator("op", "", limits()).unwrap();
    let outcome = process(&mut operator, &["a", "b"]).unwrap();
    assert_eq!(outcome.outputs, [records(&["a", "b"])]);
}

#[test]
fn a_foreign_import_is_refused_by_name() {
    let error = refused("foreign-import");
    assert_eq!(error.kind, Kind::Plugin);
    assert!(error.why.contains("`evil:net/sockets`"), "{}", error.why);
    assert!(!error.why.contains("sandbar:plugin/log"), "{}", error.why);
}

#[test]
fn another_version_of_the_interface_is_told_as_such() {
    let mut bytes = std::fs::read(built("plugins", "pass-through")).unwrap();
    let name = b"sandbar:plugin/log@0.1.0";
    let places: Vec<usize> = bytes
        .windows(name.len())
        .enumerate()
        .filter(|(_, at)| at == name)
        .map(|(at, _)| at)
        .collect();
    assert!(!places.is_empty());
    places.iter().for_each(|at| bytes[at + name.len() - 3] = b'7');
    let error = load(&bytes);
    assert!(
        error
            .why
            .contains("version 0.7.0 of the plugin interface; this host serves 0.1.0"),
        "{}",
        error.why
    );
}

#[test]
fn an_insane_description_is_refused() {
    let error = refused("bad-describe");
    assert_eq!(error.kind, Kind::Plugin);
    assert_eq!(error.why, "its name is empty");
}

#[test]
fn a_plugin_tells_what_it_is() {
    let plugin = engine().load(&built("plugins", "filter")).unwrap();
    assert_eq!(plugin.description().name, "filter");
    assert_eq!(plugin.description().outputs.len(), 1);
    assert!(plugin.exports().iter().any(|name| name == "process"));
    assert!(plugin.imports().iter().all(|name| name.starts_with("sandbar:plugin/")));
    assert_eq!(plugin.digest().len(), 64);
}

/// Wasmtime asks for several memories to join its parts, and panics if the engine does not allow them.
#[test]
fn a_component_that_is_composed_of_others_is_compiled() {
    let error = load(include_bytes!("composed.wasm"));
    assert!(error.why.contains("does not fit the plugin interface"), "{}", error.why);
}
