//! A list that is stored inline as long as it is short.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize, Serializer};

/// One or two items lie in it, more in memory of their own. Serde reads and writes it as any list.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Vec<T>")]
pub(super) enum SmallList<T> {
    One([T; 1]),
    Two([T; 2]),
    Any(Vec<T>),
}

impl<T> SmallList<T> {
    /// So many, each made for its place.
    pub(super) fn of(count: usize, make: impl FnMut(usize) -> T) -> Self {
        match count {
            1 => Self::One(std::array::from_fn(make)),
            2 => Self::Two(std::array::from_fn(make)),
            _ => Self::Any((0..count).map(make).collect()),
        }
    }
}

impl<T> From<Vec<T>> for SmallList<T> {
    fn from(all: Vec<T>) -> Self {
        let all = match all.try_into() {
            Ok(one) => return Self::One(one),
            Err(all) => all,
        };
        all.try_into().map_or_else(Self::Any, Self::Two)
    }
}

impl<T> Deref for SmallList<T> {
    type Target = [T];

    #[inline]
    fn deref(&self) -> &[T] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => two,
            Self::Any(all) => all,
        }
    }
}

impl<T> DerefMut for SmallList<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => two,
            Self::Any(all) => all,
        }
    }
}

impl<T: Serialize> Serialize for SmallList<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(to)
    }
}
