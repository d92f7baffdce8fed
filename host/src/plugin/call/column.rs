//! Whether a column that a guest gave is whole, whatever it holds: behind this check it is read without another.

use crate::record::Column;

/// Whether a column keeps what columns keep; `name` is what one of its entries is. The error completes "an outcome that
/// …" and "a column that …".
pub(super) fn check_column(name: &str, given: &Column) -> Result<(), String> {
    check_ends(name, &given.bytes, &given.ends)?;
    let ends = &given.ends;
    if !given.absent.is_sorted_by(|one, next| one < next) {
        return Err(format!("has absent {name}s that do not ascend"));
    }
    if let Some(last) = given.absent.last().filter(|last| **last as usize >= ends.len()) {
        return Err(format!("has an absent {name} at {last} of {}", ends.len()));
    }
    let start = |index: usize| if index == 0 { 0 } else { ends[index - 1] };
    match given
        .absent
        .iter()
        .find(|index| start(**index as usize) != ends[**index as usize])
    {
        Some(index) => Err(format!("has bytes for the absent {name} at {index}")),
        None => Ok(()),
    }
}

fn check_ends(name: &str, bytes: &[u8], ends: &[u32]) -> Result<(), String> {
    if !ends.is_sorted() {
        return Err(format!("has {name} ends that fall"));
    }
    let last = ends.last().copied().unwrap_or_default() as usize;
    if last != bytes.len() {
        return Err(format!("has {} bytes of {name}s, but they end at {last}", bytes.len()));
    }
    Ok(())
}
