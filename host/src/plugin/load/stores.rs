//! The state that a plugin declares, in the host's own words, and whether what is stored is what a plugin can read.

use std::fmt;
use std::str::FromStr;

use super::names::{name, names};
use crate::plugin::limits::tame;

/// A keyed store that a plugin declares. Stores are matched by name from one version of a plugin to the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    /// Its name.
    pub name: String,
    /// What it keeps under a key.
    pub kind: StoreKind,
    /// What wrote the bytes, such as `postcard`.
    pub codec: String,
    /// Version of what the bytes mean, from 1.
    pub schema_version: u32,
    /// The oldest version that the plugin can read.
    pub readable_from: u32,
}

/// A store as a guest declares it: not a word of it checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct SaidStore {
    pub(in crate::plugin) name: String,
    pub(in crate::plugin) kind: StoreKind,
    pub(in crate::plugin) codec: String,
    pub(in crate::plugin) schema_version: u32,
    pub(in crate::plugin) readable_from: u32,
    /// Milliseconds until an entry is gone; 0: never.
    pub(in crate::plugin) ttl: u64,
    /// A read puts that off too.
    pub(in crate::plugin) refresh_on_read: bool,
}

/// What a store keeps under a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StoreKind {
    /// One value.
    Value,
    /// Items in the order of their appending.
    List,
    /// Values by a second key, the user key.
    Map,
}

/// What it keeps, and as what: `value, postcard, schema 2, reads 1 and later`.
impl fmt::Display for Store {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}, {}, schema {}", self.kind, self.codec, self.schema_version)?;
        match self.readable_from {
            from if from == self.schema_version => Ok(()),
            from => write!(out, ", reads {from} and later"),
        }
    }
}

/// What is known of a store that was written before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored<'a> {
    /// What it keeps under a key.
    pub kind: StoreKind,
    /// What wrote the bytes.
    pub codec: &'a str,
    /// Version of what the bytes mean.
    pub schema_version: u32,
    /// The oldest version that entries may still have; it is not above the other.
    pub oldest_version: u32,
}

/// Whether a plugin that declares a store can read what is stored. The error is a sentence that names both.
pub fn compatible(stored: Stored<'_>, declared: &Store) -> Result<(), String> {
    let Store {
        name,
        kind,
        codec,
        schema_version,
        readable_from,
    } = declared;
    if stored.kind != *kind {
        return Err(format!(
            "store `{name}` was written as a {}; the plugin declares a {kind}",
            stored.kind
        ));
    }
    if stored.codec != codec {
        return Err(format!(
            "store `{name}` was written with codec `{}`; the plugin declares codec `{codec}`",
            tame(stored.codec, 64)
        ));
    }
    if *readable_from <= stored.oldest_version && stored.schema_version <= *schema_version {
        return Ok(());
    }
    let reads = if readable_from == schema_version {
        format!("only version {schema_version}")
    } else {
        format!("versions {readable_from} to {schema_version}")
    };
    let written = match (stored.schema_version, stored.oldest_version) {
        (newest, oldest) if oldest < newest => {
            format!("schema version {newest}, and entries that were not written since have version {oldest} or later")
        }
        (newest, _) => format!("schema version {newest}"),
    };
    Err(format!(
        "store `{name}` was written with {written}; the plugin has version {schema_version} and reads {reads}"
    ))
}

impl StoreKind {
    /// Its name, as manifests have it.
    pub fn as_str(self) -> &'static str {
        match self {
            StoreKind::Value => "value",
            StoreKind::List => "list",
            StoreKind::Map => "map",
        }
    }
}

impl fmt::Display for StoreKind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl FromStr for StoreKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [StoreKind::Value, StoreKind::List, StoreKind::Map]
            .into_iter()
            .find(|kind| kind.as_str() == text)
            .ok_or_else(|| format!("`{}` is no kind of store", tame(text, 64)))
    }
}

/// Takes over what a guest said, or says what is wrong with it.
pub(super) fn check(said: Vec<SaidStore>) -> Result<Vec<Store>, String> {
    names("store", said.iter().map(|store| &store.name))?;
    said.into_iter().map(store).collect()
}

fn store(said: SaidStore) -> Result<Store, String> {
    let SaidStore {
        name: called,
        kind,
        codec,
        schema_version,
        readable_from,
        ttl,
        refresh_on_read,
    } = said;
    name(&format!("the codec of store `{called}`"), &codec)?;
    if ttl > 0 || refresh_on_read {
        return Err(format!(
            "its store `{called}` declares a time to live: entries that end by event time come with a later version \
             of Sandbar"
        ));
    }
    if readable_from == 0 || readable_from > schema_version {
        return Err(format!(
            "its store `{called}` has schema version {schema_version} and is readable from {readable_from}: versions \
             begin at 1, and the second is not above the first"
        ));
    }
    Ok(Store {
        name: called,
        kind,
        codec,
        schema_version,
        readable_from,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said() -> SaidStore {
        SaidStore {
            name: "total".into(),
            kind: StoreKind::Value,
            codec: "postcard".into(),
            schema_version: 3,
            readable_from: 2,
            ttl: 0,
            refresh_on_read: false,
        }
    }

    #[test]
    fn a_plain_store_is_taken() {
        let stores = check(vec![
            said(),
            SaidStore {
                name: "seen".into(),
                kind: StoreKind::Map,
                ..said()
            },
        ])
        .unwrap();
        assert_eq!(stores[1].kind, StoreKind::Map);
        assert_eq!((stores[0].schema_version, stores[0].readable_from), (3, 2));
    }

    #[test]
    fn a_store_that_cannot_be_is_refused_with_a_sentence() {
        let wrong = |change: fn(&mut SaidStore)| {
            let mut said = said();
            change(&mut said);
            check(vec![said]).unwrap_err()
        };
        assert_eq!(wrong(|said| said.name.clear()), "the name of a store is empty");
        assert!(wrong(|said| said.codec = "a b".into()).contains("the codec of store `total` has other characters"));
        assert!(wrong(|said| said.readable_from = 4).contains("schema version 3 and is readable from 4"));
        assert!(wrong(|said| (said.schema_version, said.readable_from) = (0, 0)).contains("begin at 1"));
        assert!(wrong(|said| said.ttl = 1).contains("time to live"));
        assert!(wrong(|said| said.refresh_on_read = true).contains("time to live"));
        assert_eq!(
            check(vec![said(), said()]).unwrap_err(),
            "it declares two stores of the name `total`"
        );
        assert!(
            check(
                (0..65)
                    .map(|at| SaidStore {
                        name: at.to_string(),
                        ..said()
                    })
                    .collect()
            )
            .unwrap_err()
            .contains("64 are the most")
        );
    }

    #[test]
    fn what_is_stored_is_read_by_a_plugin_that_says_so_and_by_no_other() {
        let declared = &check(vec![said()]).unwrap()[0];
        let aged = |kind, codec, schema_version, oldest_version| {
            let stored = Stored {
                kind,
                codec,
                schema_version,
                oldest_version,
            };
            compatible(stored, declared)
        };
        let stored = |kind, codec, schema_version| aged(kind, codec, schema_version, schema_version);
        assert_eq!(stored(StoreKind::Value, "postcard", 3), Ok(()));
        assert_eq!(stored(StoreKind::Value, "postcard", 2), Ok(()));
        for version in [1, 4] {
            let why = stored(StoreKind::Value, "postcard", version).unwrap_err();
            assert_eq!(
                why,
                format!(
                    "store `total` was written with schema version {version}; the plugin has version 3 and reads \
                     versions 2 to 3"
                )
            );
        }
        assert_eq!(aged(StoreKind::Value, "postcard", 3, 2), Ok(()));
        assert_eq!(
            aged(StoreKind::Value, "postcard", 3, 1).unwrap_err(),
            "store `total` was written with schema version 3, and entries that were not written since have version 1 \
             or later; the plugin has version 3 and reads versions 2 to 3"
        );
        assert!(
            stored(StoreKind::List, "postcard", 3)
                .unwrap_err()
                .contains("as a list; the plugin declares a value")
        );
        assert!(
            stored(StoreKind::Value, "json", 3)
                .unwrap_err()
                .contains("codec `json`; the plugin declares codec `postcard`")
        );
    }

    #[test]
    fn a_kind_is_read_as_it_is_written() {
        for kind in [StoreKind::Value, StoreKind::List, StoreKind::Map] {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        assert!("set".parse::<StoreKind>().is_err());
    }
}
