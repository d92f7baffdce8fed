//! Where checkpoints are kept: `store` and `properties` of `[checkpoint]` become a place.

use std::collections::BTreeMap;

use crate::config::Location;
use crate::error::Result;

use super::file::CheckpointTable;
use super::properties;
use super::text::scope::Scope;

/// The folder if the file names none.
const FOLDER: &str = "checkpoints";

/// What the `[checkpoint]` table says of its store.
pub(super) fn location(raw: &CheckpointTable, scope: &Scope<'_>) -> Result<Location> {
    let store = raw.store.as_ref().map_or(FOLDER, |store| store.value.0.as_str());
    let span = raw.store.as_ref().and_then(|store| store.span.as_ref());
    let settings = (raw.properties.0.iter())
        .map(|(name, value)| {
            Ok((
                name.value.clone(),
                properties::resolve("checkpoint", name, value, scope)?,
            ))
        })
        .collect::<Result<BTreeMap<_, _>>>()?;
    let location = Location::parse(store, settings)
        .map_err(|why| scope.refuse(span, format!("`checkpoint.store` cannot be \"{store}\""), why))?;
    match (location, raw.properties.0.first()) {
        (Location::Folder(_), Some((name, _))) => {
            let what = format!("`{}` in `checkpoint.properties` has nothing to set", name.value);
            let why = "they are settings of s3://…, and the store is a folder";
            Err(scope.refuse(name.span.as_ref(), what, why))
        }
        (Location::Folder(path), None) => Ok(Location::Folder(scope.path(&path))),
        (bucket, _) => Ok(bucket),
    }
}
