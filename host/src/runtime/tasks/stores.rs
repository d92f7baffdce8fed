//! The rule of a restore: whether the stores of a checkpoint are what the plugins declare now. Pure.

use crate::checkpoint::StoreSchema;
use crate::plugin::{self, compatible};

/// What becomes of a store that a checkpoint has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreFate {
    /// The plugin goes on with what it holds.
    Restored,
    /// No plugin declares it: the run ends, unless it may drop state.
    Dropped,
    /// The plugin declares it and cannot read it: the run ends. A sentence that names both.
    Unreadable(String),
}

/// What becomes of a store that a checkpoint has, given the store of that name that its operator's plugin declares.
pub fn fate(stored: &StoreSchema, declared: Option<&plugin::Store>) -> StoreFate {
    let Some(declared) = declared else {
        return StoreFate::Dropped;
    };
    let readable = stored.kind.parse().and_then(|kind| {
        let stored = plugin::Stored {
            kind,
            codec: &stored.codec,
            schema_version: stored.schema_version,
            oldest_version: stored.oldest_version(),
        };
        compatible(stored, declared)
    });
    readable.map_or_else(StoreFate::Unreadable, |()| StoreFate::Restored)
}

/// A store as the checkpoints of an operator with this plugin have it, if all of its entries were written by it.
pub fn shape(operator: &str, store: &plugin::Store) -> StoreSchema {
    StoreSchema {
        operator: operator.to_owned(),
        store: store.name.clone(),
        kind: store.kind.to_string(),
        codec: store.codec.clone(),
        schema_version: store.schema_version,
        oldest_version: None,
    }
}
