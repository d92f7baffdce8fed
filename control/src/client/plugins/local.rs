//! Plugins that are files, with the signatures beside them.
//!
//! Never reads more than a plugin or a signature may have.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use crate::means::PluginSignature;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Bytes of a plugin, at most.
pub(super) const MOST_PLUGIN_BYTES: u64 = 64 << 20;
/// Bytes of a file of a signature, at most.
const MOST_SIGNATURE_BYTES: u64 = 4096;
/// Characters of a plugin's name that are shown.
const MOST_NAME_CHARS: usize = 100;

/// The bytes of a plugin's file.
///
/// # Errors
/// `PluginRefused`: it cannot be read, or is too large.
pub(super) fn plugin(path: &Path) -> Result<Vec<u8>> {
    let refused = |why: String| {
        let what = format!("failed to read the plugin `{}`", path.display());
        Problem::new(ProblemKind::PluginRefused, what, why)
    };
    let bytes = read(path, MOST_PLUGIN_BYTES).map_err(|error| refused(error.to_string()))?;
    match bytes.len() as u64 > MOST_PLUGIN_BYTES {
        true => Err(refused(format!("it has more than {MOST_PLUGIN_BYTES} bytes"))),
        false => Ok(bytes),
    }
}

/// Where minisign puts the signature of a file, if nobody says where.
pub(super) fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    name.into()
}

/// The signature in a file.
///
/// # Errors
/// `PluginRefused`: it cannot be read, or is no signature.
pub(super) fn signature(path: &Path) -> Result<PluginSignature> {
    let refused = |why: String| {
        let what = format!("failed to read the signature `{}`", path.display());
        Problem::new(ProblemKind::PluginRefused, what, why)
    };
    let bytes = read(path, MOST_SIGNATURE_BYTES).map_err(|error| refused(error.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|_| refused("it is no text in UTF-8".to_owned()))?;
    text.parse().map_err(refused)
}

/// What a plugin of this file is called, if that may be shown: its name without what follows the last dot.
pub(super) fn shown_name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy()).unwrap_or_default();
    stem.chars()
        .filter(|char| !char.is_control())
        .take(MOST_NAME_CHARS)
        .collect()
}

/// What a file holds: one byte more than `most` if it holds more.
pub(super) fn read(path: &Path, most: u64) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(most + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}
