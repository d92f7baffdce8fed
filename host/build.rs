//! What the linker leads through this program: `src/kafka/native/leader_discovery.rs` says why. And the files that
//! `sandbar new` makes projects of, listed so that they lie in the program: the templates, and of each SDK what a
//! plugin is built with.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Parts of `guest-sdk`; no tests of theirs, nothing that a tool chain leaves there.
const SDKS: &[&str] = &[
    "c/CMakeLists.txt",
    "c/README.md",
    "c/generated",
    "c/include",
    "c/sandbar-config.cmake",
    "c/src",
    "c/testing",
    "go/README.md",
    "go/go.mod",
    "go/internal",
    "go/sandbartest",
    "javascript/README.md",
    "javascript/bin",
    "javascript/package.json",
    "javascript/src",
    "javascript/wit",
    "python/README.md",
    "python/pyproject.toml",
    "python/sandbar_sdk",
    "rust/README.md",
    "rust/src",
    "rust/wit",
];
/// The sources of Go's SDK lie beside its tests.
const GO: &str = "go";
/// What Python leaves beside sources.
const COMPILED: &str = "__pycache__";

fn main() -> io::Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    if env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo:rustc-link-arg=-Wl,--wrap=rd_kafkap_leader_discovery_set_topic");
    }
    list_project_files()
}

fn list_project_files() -> io::Result<()> {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default()).join("..");
    let mut list = String::from("&[\n");
    let templates = root.join("templates");
    put_below(&templates, &root, &mut list)?;
    let sdks = root.join("guest-sdk");
    for part in SDKS {
        put_below(&sdks.join(part), &root, &mut list)?;
    }
    for entry in sorted(&sdks.join(GO))? {
        let name = entry.to_string_lossy();
        if name.ends_with(".go") && !name.ends_with("_test.go") {
            put_below(&entry, &root, &mut list)?;
        }
    }
    list.push(']');
    println!("cargo::rerun-if-changed={}", sdks.join(GO).display());
    fs::write(
        PathBuf::from(env::var_os("OUT_DIR").unwrap_or_default()).join("project_files.rs"),
        list,
    )
}

/// Puts a file, or all below a folder, into the list: a pair of its path and its bytes.
fn put_below(place: &Path, root: &Path, list: &mut String) -> io::Result<()> {
    println!("cargo::rerun-if-changed={}", place.display());
    if place.is_file() {
        let name = place.strip_prefix(root).unwrap_or(place).display().to_string();
        return writeln!(list, "({name:?}, include_bytes!({:?})),", place.display().to_string())
            .map_err(io::Error::other);
    }
    for entry in sorted(place)? {
        if !entry.ends_with(COMPILED) {
            put_below(&entry, root, list)?;
        }
    }
    Ok(())
}

fn sorted(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder)?.map(|entry| entry.map(|entry| entry.path()));
    let mut entries = entries.collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    Ok(entries)
}
