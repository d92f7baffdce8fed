//! Reads of the state that does not travel, answered in place of the host; outside of a call of
//! [`Host`](super::Host)'s nothing is kept.

use std::cell::RefCell;

use super::state::Held;
use crate::Column;
use crate::bindings::sandbar::plugin::state_reader::Entries;
use crate::bindings::sandbar::plugin::types::{BytesColumn, NullableColumn};

std::thread_local! {
    static HELD: RefCell<Held> = RefCell::default();
}

/// Runs a call whose reads see what is held.
pub(super) fn during<T>(held: &mut Held, call: impl FnOnce() -> T) -> T {
    let swap = |held: &mut Held| HELD.with(|served| std::mem::swap(&mut *served.borrow_mut(), held));
    swap(held);
    let answer = call();
    swap(held);
    answer
}

/// As the function of this name in `wit/`, and so below.
pub(crate) fn get_many(store: u8, key: &[u8], user_keys: &BytesColumn) -> NullableColumn {
    let (asked, mut found) = (Column::from(user_keys.clone()), Column::default());
    HELD.with_borrow(|held| {
        for own in asked.iter() {
            let place = (store, key.to_vec(), own.unwrap_or_default().to_vec());
            found.push(held.entries.get(&place).map(Vec::as_slice));
        }
    });
    found.into()
}

pub(crate) fn scan(store: u8, key: &[u8], prefix: &[u8], after: Option<&[u8]>, limit: u32) -> Entries {
    let (mut user_keys, mut values) = (Column::default(), Column::default());
    let more = HELD.with_borrow(|held| {
        let from = (store, key.to_vec(), after.unwrap_or_default().max(prefix).to_vec());
        let entries = held.entries.range(from..);
        let ours =
            entries.take_while(|((of, under, own), _)| (*of, &under[..]) == (store, key) && own.starts_with(prefix));
        let mut left = ours.filter(|((_, _, own), _)| after.is_none_or(|after| &own[..] > after));
        for ((_, _, own), value) in left.by_ref().take(limit as usize) {
            user_keys.push(Some(own));
            values.push(Some(value));
        }
        left.next().is_some()
    });
    Entries {
        user_key: user_keys.into(),
        value: values.into(),
        more,
    }
}

pub(crate) fn items(store: u8, key: &[u8]) -> BytesColumn {
    let mut items = Column::default();
    HELD.with_borrow(|held| {
        let all = held.items.get(&(store, key.to_vec()));
        all.into_iter().flatten().for_each(|item| items.push(Some(item)));
    });
    items.into()
}
