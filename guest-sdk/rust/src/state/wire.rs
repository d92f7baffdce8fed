//! Numbers as [postcard](https://postcard.jamesmunns.com/wire-format) writes them, for what is read and written with
//! each record: by way of serde it takes twice as long.
//!
//! Always: what postcard writes is read as it was meant; of other bytes a number that is not `None` is the `u64` that
//! postcard reads.

/// Of each byte the bit that says that another one follows.
const MORE: u64 = u64::from_ne_bytes([0x80; 8]);

/// Takes a number from the front; `None`: there is none, or it has more than 64 bits.
#[inline]
pub(crate) fn read_u64(from: &mut &[u8]) -> Option<u64> {
    match from.split_first()? {
        (&byte, rest) if byte < 0x80 => {
            *from = rest;
            Some(u64::from(byte))
        }
        _ => read_long(from),
    }
}

/// Takes a number that may be negative.
#[inline]
pub(crate) fn read_i64(from: &mut &[u8]) -> Option<i64> {
    let zigzag = read_u64(from)?;
    Some((zigzag >> 1) as i64 ^ -((zigzag & 1) as i64))
}

/// Takes what may be absent.
#[inline]
pub(crate) fn read_option<T>(from: &mut &[u8], read: impl FnOnce(&mut &[u8]) -> Option<T>) -> Option<Option<T>> {
    match from.split_first()? {
        (0, rest) => {
            *from = rest;
            Some(None)
        }
        (1, rest) => {
            *from = rest;
            read(from).map(Some)
        }
        _ => None,
    }
}

/// Eight bytes are looked at as one number, in which the seven bits of each are then moved together.
#[inline]
fn read_long(from: &mut &[u8]) -> Option<u64> {
    let Some(word) = from.first_chunk().map(|chunk| u64::from_le_bytes(*chunk)) else {
        return read_bytes(from);
    };
    let ends = !word & MORE;
    if ends == 0 {
        return read_bytes(from);
    }
    let bits = word & (ends ^ (ends - 1)) & !MORE;
    let bits = (bits & 0x007f_007f_007f_007f) | ((bits & 0x7f00_7f00_7f00_7f00) >> 1);
    let bits = (bits & 0x0000_3fff_0000_3fff) | ((bits & 0x3fff_0000_3fff_0000) >> 2);
    let bits = (bits & 0x0000_0000_0fff_ffff) | ((bits & 0x0fff_ffff_0000_0000) >> 4);
    *from = from.get(ends.trailing_zeros() as usize / 8 + 1..)?;
    Some(bits)
}

#[cold]
fn read_bytes(from: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for (at, &byte) in from.iter().enumerate().take(10) {
        let bits = u64::from(byte & 0x7f);
        if at == 9 && byte > 1 {
            return None;
        }
        number |= bits << (7 * at);
        if byte < 0x80 {
            *from = &from[at + 1..];
            return Some(number);
        }
    }
    None
}

/// Adds a number.
#[inline]
pub(crate) fn write_u64(number: u64, into: &mut Vec<u8>) {
    if number < 0x80 {
        return into.push(number as u8);
    }
    if number >> 56 != 0 {
        return write_bytes(number, into);
    }
    let bits = (number & 0x0fff_ffff) | ((number & 0x00ff_ffff_f000_0000) << 4);
    let bits = (bits & 0x0000_3fff_0000_3fff) | ((bits & 0x0fff_c000_0fff_c000) << 2);
    let bits = (bits & 0x007f_007f_007f_007f) | ((bits & 0x3f80_3f80_3f80_3f80) << 1);
    let last = (63 - bits.leading_zeros()) / 8;
    let more = MORE & ((1 << (8 * last)) - 1);
    let end = into.len() + last as usize + 1;
    // Eight bytes at once are one instruction; those behind the number are taken back.
    into.extend_from_slice(&(bits | more).to_le_bytes());
    into.truncate(end);
}

/// Adds a number that may be negative.
#[inline]
pub(crate) fn write_i64(number: i64, into: &mut Vec<u8>) {
    write_u64(((number << 1) ^ (number >> 63)) as u64, into);
}

/// Adds what may be absent.
#[inline]
pub(crate) fn write_option<T>(value: Option<T>, into: &mut Vec<u8>, write: impl FnOnce(T, &mut Vec<u8>)) {
    into.push(u8::from(value.is_some()));
    if let Some(value) = value {
        write(value, into);
    }
}

#[cold]
fn write_bytes(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{Codec, Postcard};
    use crate::testing::chance::Chance;

    fn word(chance: &mut Chance) -> u64 {
        chance.below(u64::MAX) as u64
    }

    fn by_postcard<T>(number: &T) -> Vec<u8>
    where
        Postcard: Codec<T>,
    {
        let mut bytes = Vec::new();
        Postcard::write(number, &mut bytes).unwrap();
        bytes
    }

    /// Of all lengths, in bits.
    fn numbers() -> impl Iterator<Item = u64> {
        let mut chance = Chance(7);
        let around = (0..64).flat_map(|bits| [1u64 << bits, (1 << bits) - 1, (1 << bits) + 1]);
        let random = (0..20_000).map(move |at| word(&mut chance) >> (at % 64));
        around.chain([u64::MAX]).chain(random)
    }

    #[test]
    fn numbers_are_written_as_postcard_writes_them_and_read_back() {
        for number in numbers() {
            let mut bytes = Vec::new();
            write_u64(number, &mut bytes);
            assert_eq!(bytes, by_postcard(&number), "{number}");
            let signed = number as i64;
            let start = bytes.len();
            write_i64(signed, &mut bytes);
            assert_eq!(bytes[start..], by_postcard(&signed), "{signed}");
            // Few bytes behind it, then none, then many.
            for behind in [3, 0, 20] {
                bytes.resize(bytes.len() + behind, 0xff);
                let mut left = &bytes[..];
                assert_eq!(read_u64(&mut left), Some(number));
                assert_eq!(read_i64(&mut left), Some(signed));
                assert_eq!(left, vec![0xff; behind]);
                bytes.truncate(bytes.len() - behind);
            }
        }
    }

    #[test]
    fn of_other_bytes_a_number_is_read_only_as_postcard_reads_it() {
        let mut chance = Chance(8);
        for round in 0..100_000 {
            let mut bytes: Vec<u8> = (0..round % 13).map(|_| word(&mut chance) as u8).collect();
            if round % 3 == 0 {
                bytes.iter_mut().for_each(|byte| *byte |= 0x80);
                bytes.extend((round % 2 == 0).then_some((round % 5) as u8));
            }
            let mut left = &bytes[..];
            let expected = postcard::take_from_bytes::<u64>(&bytes).ok();
            let read = read_u64(&mut left).map(|number| (number, left));
            assert_eq!(read, expected, "{bytes:?}");
            let mut left = &bytes[..];
            let expected = postcard::take_from_bytes::<Option<i64>>(&bytes).ok();
            let read = read_option(&mut left, read_i64).map(|number| (number, left));
            assert_eq!(read, expected, "{bytes:?}");
        }
    }
}
