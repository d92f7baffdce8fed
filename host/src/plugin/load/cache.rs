//! Compiled plugins on disk, so that a start does not compile again.
//!
//! An entry is native code that the process will run, so reading it is as trusting as loading a library. That is sound
//! because
//!
//! 1. the folder is made for this user alone (0700), each entry too (0600), and neither is read if anybody else could
//!    have written it or if it belongs to another user: who can forge an entry is this user or root, and both can
//!    replace the program itself;
//! 2. an entry's name and header hold a key over the component's digest, wasmtime's version and every setting and CPU
//!    feature that the code depends on, so code for another machine or another configuration is never found;
//! 3. the header holds a digest of the code, so a damaged or half written entry (a full disk, a crash) is not run but
//!    made again.
//!
//! Entries are written beside their place and renamed into it: readers and writers in other processes see a whole entry
//! or none.

#![expect(
    unsafe_code,
    reason = "native code from the cache is run: the one place where the host trusts a file"
)]

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::hash::{Hash, Hasher};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::clock;

/// First bytes of an entry. The number is the layout's: magic, key, digest of the code, code.
const MAGIC: &[u8; 16] = b"sandbar-code\0\0\0\x01";
const DIGEST: usize = 32;
const HEADER: usize = MAGIC.len() + 2 * DIGEST;

/// A folder of compiled plugins.
#[derive(Debug)]
pub(super) struct Cache {
    dir: PathBuf,
    settings: [u8; DIGEST],
}

impl Cache {
    /// The cache in `dir` for code of this engine. Touches no file.
    pub(super) fn new(dir: PathBuf, engine: &Engine) -> Self {
        let mut settings = Digesting(Sha256::new());
        // wasmtime's own version is part of it.
        engine.precompile_compatibility_hash().hash(&mut settings);
        Self {
            dir,
            settings: settings.0.finalize().into(),
        }
    }

    /// The compiled form of the component of this digest, if there is an entry to be trusted.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let key = self.key(digest);
        let entry = self.read(&self.path(&key)).ok()?;
        let code = code_of(&entry, &key)?;
        // SAFETY: the bytes are what `serialize` gave for an engine of these settings: they were written by this user,
        // in a place where only this user can write, under a key of this component and these settings, and their digest
        // is that of the day when they were written.
        match unsafe { Component::deserialize(engine, code) } {
            Ok(component) => Some(component),
            Err(why) => {
                tracing::debug!("a compiled plugin was not taken: {why:#}");
                None
            }
        }
    }

    /// Keeps the compiled form of a component. Failing to costs the next start its time, and nothing else.
    pub(super) fn put(&self, digest: &str, component: &Component) {
        let kept = component
            .serialize()
            .map_err(io::Error::other)
            .and_then(|code| self.write(&self.key(digest), &code));
        if let Err(why) = kept {
            tracing::warn!("failed to keep a compiled plugin in {}: {why}", self.dir.display());
        }
    }

    fn key(&self, digest: &str) -> [u8; DIGEST] {
        Sha256::new_with_prefix(self.settings)
            .chain_update(digest)
            .finalize()
            .into()
    }

    fn path(&self, key: &[u8; DIGEST]) -> PathBuf {
        self.dir.join(format!("{}.code", hex(key)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        mine_alone(&fs::metadata(&self.dir)?)?;
        let mut file = File::open(path)?;
        mine_alone(&file.metadata()?)?;
        let mut entry = Vec::new();
        file.read_to_end(&mut entry)?;
        Ok(entry)
    }

    fn write(&self, key: &[u8; DIGEST], code: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.dir)?;
        mine_alone(&fs::metadata(&self.dir)?)?;
        let path = self.path(key);
        let beside = path.with_extension(format!("{:016x}", clock::random()));
        let written = write_entry(&beside, key, code).and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // Best effort: what is left over is never read.
            let _ = fs::remove_file(&beside);
        }
        written
    }
}

fn write_entry(path: &Path, key: &[u8; DIGEST], code: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(MAGIC)?;
    file.write_all(key)?;
    file.write_all(&Sha256::digest(code))?;
    file.write_all(code)
}

/// The code of an entry that is whole and of this key.
fn code_of<'a>(entry: &'a [u8], key: &[u8; DIGEST]) -> Option<&'a [u8]> {
    let (header, code) = entry.split_at_checked(HEADER)?;
    let (magic, rest) = header.split_at(MAGIC.len());
    let (written_key, digest) = rest.split_at(DIGEST);
    (magic == MAGIC && written_key == key && digest == Sha256::digest(code).as_slice()).then_some(code)
}

/// An error unless the file or folder belongs to this process's user, and nobody else can write it.
fn mine_alone(about: &fs::Metadata) -> io::Result<()> {
    // The kernel gives a process's own folder the process's effective user; the standard library has no other way to
    // ask.
    let user = fs::metadata("/proc/self")?.uid();
    if about.uid() == user && about.mode() & 0o022 == 0 {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "others can write it, or it belongs to another user",
    ))
}

/// Hexadecimal digits of a digest.
pub(super) fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Lets what can be hashed be digested: 64 bits would do for a table, and not for a name that must never be found
/// twice.
struct Digesting(Sha256);

impl Hasher for Digesting {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        // Nobody asks: the digest is taken whole.
        0
    }
}
