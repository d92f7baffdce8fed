//! The door for the fuzzers: bytes of a delta, of a key, of a list and of a timer.

use super::overlay::KeyChange;
use super::{KeptTimer, delta, keys};

/// Reads bytes as all that the state keeps: as they are, and as a delta whose sum is right.
pub fn kept(bytes: &[u8]) {
    let _changes = delta::decode(bytes);
    let summed = [bytes, &crc32c::crc32c(bytes).to_le_bytes()].concat();
    if let Ok(changes) = delta::decode(&summed) {
        same_again(changes);
    }
    timer(bytes);
    let mut items = 0;
    if keys::items(bytes, |item| items += keys::frame_length(item)).is_some() {
        assert_eq!(items, bytes.len());
    }
    if let Some((key, user_key)) = keys::own(bytes).and_then(keys::split_map) {
        assert_eq!(key.len() + user_key.len() + 4 + 5, bytes.len());
        assert_eq!(keys::is_map(bytes), user_key.is_empty());
    }
}

fn same_again(changes: Vec<KeyChange<'_>>) {
    let mut again = Vec::new();
    let count = changes.len();
    delta::encode(changes.into_iter(), &mut again);
    let read = delta::decode(&again).expect("what was written is read");
    assert_eq!(read.len(), count);
}

fn timer(bytes: &[u8]) {
    if let Some(timer) = KeptTimer::read(bytes) {
        let mut again = Vec::new();
        timer.write(&mut again);
        assert_eq!(again, bytes);
    }
}
