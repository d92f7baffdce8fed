//! Where checkpoints are kept: `store` and `properties` of `[checkpoint]` become a place.

use std::path::{Path, PathBuf};

use crate::config::Location;
use crate::error::Result;

use super::check::Scope;
use super::file::Checkpoint;
use super::properties;

/// The folder where the file names none.
const FOLDER: &str = "checkpoints";

/// What the `[checkpoint]` table says of its store.
pub(super) fn location(raw: &Checkpoint, scope: &Scope<'_>) -> Result<Location> {
    let store = raw.store.as_ref().map_or(FOLDER, |store| store.value.0.as_str());
    let span = raw.store.as_ref().and_then(|store| store.span.as_ref());
    let refuse = |what: String, why: &str| scope.refuse(span, what, why);
    let form = "it is a folder, file://… or s3://bucket/prefix";
    match store.split_once("://") {
        None => folder(raw, scope.path(Path::new(store)), scope),
        Some(("file", path)) if path.starts_with('/') => folder(raw, PathBuf::from(path), scope),
        Some(("file", _)) => {
            let why = "a file:// address has no host: file:///path, or the folder alone";
            Err(refuse(format!("`checkpoint.store` cannot be \"{store}\""), why))
        }
        Some(("s3", place)) => {
            let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
            let prefix = prefix.trim_matches('/');
            if bucket.is_empty() || prefix.split('/').any(|part| part == ".." || part == ".") {
                return Err(refuse(format!("`checkpoint.store` cannot be \"{store}\""), form));
            }
            Ok(Location::S3 {
                bucket: bucket.to_owned(),
                prefix: prefix.to_owned(),
                properties: (raw.properties.0.iter())
                    .map(|(name, value)| {
                        Ok((
                            name.value.clone(),
                            properties::resolve("checkpoint", name, value, scope)?,
                        ))
                    })
                    .collect::<Result<_>>()?,
            })
        }
        Some((scheme, _)) => Err(refuse(format!("`checkpoint.store` cannot be at `{scheme}://`"), form)),
    }
}

fn folder(raw: &Checkpoint, path: PathBuf, scope: &Scope<'_>) -> Result<Location> {
    match raw.properties.0.first() {
        None => Ok(Location::Folder(path)),
        Some((name, _)) => {
            let what = format!("`{}` in `checkpoint.properties` has nothing to set", name.value);
            Err(scope.refuse(
                name.span.as_ref(),
                what,
                "they are settings of s3://…, and the store is a folder",
            ))
        }
    }
}
