//! What the interface's `state-reader` answers in world `processor`, asked of the `state` of world `record-processor`,
//! which knows no other key than the one at hand.

use crate::Column;
use crate::bindings::sandbar::plugin::state_reader::Entries;
use crate::bindings::sandbar::plugin::types::{BytesColumn, NullableColumn};
use crate::record_bindings::sandbar::plugin::state;

pub(crate) fn get_many(store: u8, _key: &[u8], asked: &BytesColumn) -> NullableColumn {
    let mut found = Column::default();
    for user_key in entries(asked) {
        found.push(state::get_entry(store, user_key).as_deref());
    }
    found.into()
}

pub(crate) fn items(store: u8, _key: &[u8]) -> BytesColumn {
    let mut items = Column::default();
    state::items(store).iter().for_each(|item| items.push(Some(item)));
    items.into()
}

pub(crate) fn scan(store: u8, _key: &[u8], prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Entries {
    let (mut user_keys, mut values) = (Column::default(), Column::default());
    let page = state::scan(store, prefix, after, limit);
    for (user_key, value) in &page {
        user_keys.push(Some(user_key));
        values.push(Some(value));
    }
    Entries {
        user_key: user_keys.into(),
        value: values.into(),
        more: !page.is_empty(),
    }
}

fn entries(column: &BytesColumn) -> impl Iterator<Item = &[u8]> {
    let starts = std::iter::once(0).chain(column.ends.iter().copied());
    let spans = starts.zip(column.ends.iter().copied());
    spans.map(|(start, end)| &column.bytes[start as usize..end as usize])
}
