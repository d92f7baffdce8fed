//! By what that is found which ends at one moment.

use super::MapKey;

/// A moment, and what ends then. In a map of such keys, all that ends at one moment lies together.
#[derive(Debug)]
pub(crate) struct EndKey {
    /// In milliseconds since 1970.
    pub(crate) at: i64,
    /// What ends.
    pub(crate) id: Vec<u8>,
}

impl EndKey {
    /// An entry's own key has 4 KiB at most, and the time stands in front of it.
    pub(crate) const ID_BYTES_MAX: usize = (4 << 10) - size_of::<i64>();

    /// What the keys of one moment begin with.
    pub(crate) fn moment(at: i64) -> Vec<u8> {
        let mut bytes = Vec::new();
        i64::write(&at, &mut bytes);
        bytes
    }
}

impl MapKey for EndKey {
    type Borrowed = Self;

    fn write(key: &Self, into: &mut Vec<u8>) {
        i64::write(&key.at, into);
        into.extend_from_slice(&key.id);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (at, id) = bytes.split_at_checked(size_of::<i64>())?;
        Some(Self {
            at: i64::read(at)?,
            id: id.to_vec(),
        })
    }
}
