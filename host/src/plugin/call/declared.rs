//! The stores of an operator as the parts of a call know them: each by the id that the state has for it.

use crate::plugin::load::{Description, StoreKind};
use crate::state::{StoreId, store_id};

/// A store that an operator's plugin declares, as the state knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Declared {
    pub(in crate::plugin) id: StoreId,
    pub(in crate::plugin) name: String,
    pub(in crate::plugin) kind: StoreKind,
}

impl Declared {
    /// The stores of an operator, in the order in which changes number them.
    pub(in crate::plugin) fn all(operator: &str, description: &Description) -> Vec<Self> {
        let stores = description.stores.iter();
        stores
            .map(|store| Self {
                id: store_id(operator, &store.name),
                name: store.name.clone(),
                kind: store.kind,
            })
            .collect()
    }
}
