//! Seeds for what a plugin leaves to chance: the same in a replay.

/// The same for the same record, whenever and with whichever others it is processed.
pub(in crate::plugin) fn of_record(offset: i64, partition: u32, input: u8) -> u64 {
    mixed(offset.cast_unsigned() ^ (u64::from(partition) << 40) ^ (u64::from(input) << 32))
}

/// The same for the same timer.
pub(in crate::plugin) fn of_timer(timer: u8, key: &[u8], at: i64) -> u64 {
    let bytes = key.iter().fold(u64::from(timer), |mixed, &byte| {
        // FNV-1a, <http://www.isthe.com/chongo/tech/comp/fnv/>.
        (mixed ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed(bytes ^ at.cast_unsigned())
}

/// The finisher of splitmix64, <https://prng.di.unimi.it/splitmix64.c>: neighbours get seeds that have nothing in
/// common.
pub(in crate::plugin) fn mixed(mut mixed: u64) -> u64 {
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
