//! How many different values there are: exactly up to a thousand, beyond that from the marks that their hashes leave
//! (HyperLogLog, with Ertl's estimate).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};

use super::found::{Found, Number, What};

/// So many are counted exactly.
const EXACT: usize = 1000;
/// 2^15 marks: the standard error is 0.6 %.
const PRECISION: u32 = 15;
const MARKS: usize = 1 << PRECISION;
/// Bits of a hash behind those that choose the mark.
const REST: usize = 64 - PRECISION as usize;

/// Values, by their hashes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, serde::Deserialize)]
pub(super) enum Distinct {
    /// In ascending order.
    Few(Vec<u64>),
    Many(Marks),
}

/// Takes back what a value that was added did.
#[derive(Debug)]
pub(super) enum Forget {
    Nothing,
    Hash(u64),
    Mark(usize, u8),
    All(Vec<u64>),
}

/// For each beginning of a hash the longest row of zeros behind it, and one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Marks(Vec<u8>);

impl Distinct {
    pub(super) fn add(&mut self, found: &Found) -> Forget {
        self.add_hash(hash(found))
    }

    fn add_hash(&mut self, hash: u64) -> Forget {
        match self {
            Self::Few(hashes) => {
                let Err(at) = hashes.binary_search(&hash) else {
                    return Forget::Nothing;
                };
                if hashes.len() < EXACT {
                    hashes.insert(at, hash);
                    return Forget::Hash(hash);
                }
                let hashes = std::mem::take(hashes);
                let mut marks = Marks(vec![0; MARKS]);
                for hash in hashes.iter().chain([&hash]) {
                    marks.add(*hash);
                }
                *self = Self::Many(marks);
                Forget::All(hashes)
            }
            Self::Many(marks) => marks
                .add(hash)
                .map_or(Forget::Nothing, |(at, before)| Forget::Mark(at, before)),
        }
    }

    pub(super) fn undo(&mut self, forget: Forget) {
        match (self, forget) {
            (Self::Few(hashes), Forget::Hash(hash)) => hashes.retain(|other| *other != hash),
            (Self::Many(Marks(marks)), Forget::Mark(at, before)) => {
                if let Some(mark) = marks.get_mut(at) {
                    *mark = before;
                }
            }
            (all, Forget::All(hashes)) => *all = Self::Few(hashes),
            _ => {}
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        match (&mut *self, other) {
            (_, Self::Few(hashes)) => hashes.into_iter().for_each(|hash| drop(self.add_hash(hash))),
            (Self::Few(hashes), Self::Many(marks)) => {
                let hashes = std::mem::take(hashes);
                *self = Self::Many(marks);
                hashes.into_iter().for_each(|hash| drop(self.add_hash(hash)));
            }
            (Self::Many(Marks(marks)), Self::Many(Marks(others))) => {
                let pairs = marks.iter_mut().zip(others);
                pairs.for_each(|(mark, other)| *mark = other.max(*mark));
            }
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Few(hashes) => hashes.len() as u64,
            Self::Many(marks) => marks.estimate(),
        }
    }
}

impl Marks {
    /// The place of a mark that rose, and what it was.
    fn add(&mut self, hash: u64) -> Option<(usize, u8)> {
        let at = (hash >> REST) as usize;
        let zeros = (hash << PRECISION | 1 << (PRECISION - 1)).leading_zeros() as u8;
        let mark = self.0.get_mut(at)?;
        let before = *mark;
        *mark = before.max(zeros + 1);
        (*mark > before).then_some((at, before))
    }

    /// Ertl, "New cardinality estimation algorithms for HyperLogLog sketches", algorithm 6.
    fn estimate(&self) -> u64 {
        let mut counts = [0.0; REST + 2];
        for &mark in &self.0 {
            counts[usize::from(mark).min(REST + 1)] += 1.0;
        }
        let all = MARKS as f64;
        let mut sum = all * tau(1.0 - counts[REST + 1] / all);
        for count in counts[1..=REST].iter().rev() {
            sum = 0.5 * (sum + count);
        }
        sum += all * sigma(counts[0] / all);
        let estimate = all * all / (2.0 * std::f64::consts::LN_2 * sum);
        estimate.round() as u64
    }
}

fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}

/// Whole numbers are the same however they are written, texts by their characters, the rest by its JSON. It stands in
/// states, so it never changes.
fn hash(found: &Found) -> u64 {
    match &found.what {
        What::Number(number) => match whole(*number) {
            Some(number) => hash_of(b'i', &number.to_le_bytes()),
            None => hash_of(b'f', &number.float().to_le_bytes()),
        },
        What::Text(text) => hash_of(b's', text.as_bytes()),
        What::Other => hash_of(b'j', found.json.as_bytes()),
    }
}

fn whole(number: Number) -> Option<i64> {
    match number {
        Number::Whole(number) => Some(number),
        Number::Float(float) => {
            let whole = float as i64;
            (Number::Whole(whole).order(number).is_eq()).then_some(whole)
        }
    }
}

/// FNV-1a, with the end of splitmix64 so that each bit of the result depends on each bit before.
fn hash_of(kind: u8, bytes: &[u8]) -> u64 {
    let each = std::iter::once(&kind).chain(bytes);
    let hash = each.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ hash >> 31
}

impl Serialize for Marks {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        into.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Marks;
            fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str("bytes")
            }
            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Marks, E> {
                Ok(Marks(bytes.to_vec()))
            }
        }
        from.deserialize_bytes(Bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(number: i64) -> Found {
        Found {
            what: What::Number(Number::Whole(number)),
            json: String::new(),
        }
    }

    #[test]
    fn up_to_a_thousand_are_exact_and_more_are_within_two_per_cent() {
        let mut distinct = Distinct::Few(Vec::new());
        for exact in 1..=300_000u64 {
            distinct.add(&of(exact as i64));
            distinct.add(&of(exact as i64 / 2 + 1));
            if exact <= EXACT as u64 {
                assert_eq!(distinct.count(), exact);
            } else if exact % 9973 == 0 || exact < 1003 {
                let count = distinct.count();
                assert!(count.abs_diff(exact) * 50 <= exact, "{count} for {exact}");
            }
        }
    }

    #[test]
    fn what_is_added_is_taken_back_and_halves_make_the_whole() {
        for count in [10, 999, 1000, 1001, 1500] {
            let mut whole = Distinct::Few(Vec::new());
            let mut halves = [whole.clone(), whole.clone()];
            for number in 0..count {
                let before = whole.clone();
                let forget = whole.add(&of(number));
                whole.undo(forget);
                assert!(whole == before, "{number}");
                whole.add(&of(number));
                halves[usize::from(number * 10 > count * 9)].add(&of(number));
            }
            let [mut many, mut few] = halves;
            let (one, other) = (many.clone(), few.clone());
            many.merge(other);
            few.merge(one);
            assert!(many == whole && few == whole, "{count}");
        }
    }

    #[test]
    fn a_number_is_the_same_however_it_is_written() {
        let float = |float| Found {
            what: What::Number(Number::Float(float)),
            json: String::new(),
        };
        assert_eq!(hash(&of(5)), hash(&float(5.0)));
        assert_ne!(hash(&of(5)), hash(&float(5.5)));
        assert_ne!(hash(&of(i64::MAX)), hash(&float(9_223_372_036_854_775_807.0)));
        assert_eq!(hash(&of(0)), hash(&float(-0.0)));
    }
}
