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
//! 3. the header holds a digest of the key and the code, so a damaged or half written entry (a full disk, a crash) is
//!    not run but made again.
//!
//! If others may have written it, such as whoever came by the disk, a key is given, and 3. is a code that only who has
//! the key can make: what was compiled is bound to its component.
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

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

use crate::clock;
use crate::config::CompileCache;

/// First bytes of an entry. The number is the layout's: magic, key, digest of key and code, code.
const MAGIC: &[u8; 16] = b"sandbar-code\0\0\0\x02";
const DIGEST: usize = 32;
const HEADER: usize = MAGIC.len() + 2 * DIGEST;

/// A folder of compiled plugins.
#[derive(Debug)]
pub(super) struct Cache {
    of: CompileCache,
    settings: [u8; DIGEST],
}

impl Cache {
    /// The cache for code of this engine. Touches no file.
    pub(super) fn new(of: CompileCache, engine: &Engine) -> Self {
        let mut settings = Digesting(Sha256::new());
        // wasmtime's own version is part of it.
        engine.precompile_compatibility_hash().hash(&mut settings);
        Self {
            of,
            settings: settings.0.finalize().into(),
        }
    }

    /// Whether what is not there is compiled.
    pub(super) fn is_filled(&self) -> bool {
        self.of.is_filled
    }

    /// The compiled form of the component of this digest, if there is an entry to be trusted.
    pub(super) fn get(&self, engine: &Engine, digest: &str) -> Option<Component> {
        let key = self.key(digest);
        let entry = self.read(&self.path(&key)).ok()?;
        let code = self.code_of(&entry, &key)?;
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
            tracing::warn!(
                "failed to keep a compiled plugin in {}: {why}",
                self.of.folder.display()
            );
        }
    }

    fn key(&self, digest: &str) -> [u8; DIGEST] {
        Sha256::new_with_prefix(self.settings)
            .chain_update(digest)
            .finalize()
            .into()
    }

    fn path(&self, key: &[u8; DIGEST]) -> PathBuf {
        self.of.folder.join(format!("{}.code", hex(key)))
    }

    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        mine_alone(&fs::metadata(&self.of.folder)?)?;
        let mut file = File::open(path)?;
        mine_alone(&file.metadata()?)?;
        let mut entry = Vec::new();
        file.read_to_end(&mut entry)?;
        Ok(entry)
    }

    fn write(&self, key: &[u8; DIGEST], code: &[u8]) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&self.of.folder)?;
        mine_alone(&fs::metadata(&self.of.folder)?)?;
        let path = self.path(key);
        let beside = path.with_extension(format!("{:016x}", clock::random()));
        let written = self
            .write_entry(&beside, key, code)
            .and_then(|()| fs::rename(&beside, &path));
        if written.is_err() {
            // Best effort: what is left over is never read.
            let _ = fs::remove_file(&beside);
        }
        written
    }

    fn write_entry(&self, path: &Path, key: &[u8; DIGEST], code: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        file.write_all(MAGIC)?;
        file.write_all(key)?;
        file.write_all(&self.seal(key, code)?)?;
        file.write_all(code)
    }

    /// The code of an entry that is whole and of this key.
    fn code_of<'a>(&self, entry: &'a [u8], key: &[u8; DIGEST]) -> Option<&'a [u8]> {
        let (header, code) = entry.split_at_checked(HEADER)?;
        let (magic, rest) = header.split_at(MAGIC.len());
        let (written_key, seal) = rest.split_at(DIGEST);
        (magic == MAGIC && written_key == key && self.is_seal(seal, key, code)).then_some(code)
    }

    /// What binds the code to the key of its entry.
    fn seal(&self, key: &[u8; DIGEST], code: &[u8]) -> io::Result<[u8; DIGEST]> {
        Ok(match &self.of.key {
            None => Sha256::new_with_prefix(key).chain_update(code).finalize().into(),
            Some(of_daemon) => authenticated(of_daemon, key, code)?.finalize().into_bytes().into(),
        })
    }

    fn is_seal(&self, seal: &[u8], key: &[u8; DIGEST], code: &[u8]) -> bool {
        match &self.of.key {
            None => self.seal(key, code).is_ok_and(|own| own == *seal),
            // In a time that does not tell how much of it was right.
            Some(of_daemon) => authenticated(of_daemon, key, code).is_ok_and(|mac| mac.verify_slice(seal).is_ok()),
        }
    }
}

fn authenticated(of_daemon: &[u8], key: &[u8; DIGEST], code: &[u8]) -> io::Result<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(of_daemon).map_err(io::Error::other)?;
    mac.update(key);
    mac.update(code);
    Ok(mac)
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
