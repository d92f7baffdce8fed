//! A few things that lie in whoever has them.

use std::ops::{Deref, DerefMut};

use serde::{Deserialize, Serialize, Serializer};

/// One or two take no memory of their own. Serde takes it for a list.
#[derive(Debug, Clone, Deserialize)]
#[serde(from = "Vec<T>")]
pub(super) enum Few<T> {
    One([T; 1]),
    Two([T; 2]),
    Any(Vec<T>),
}

impl<T> Few<T> {
    /// So many, each made for its place.
    pub(super) fn of(count: usize, make: impl FnMut(usize) -> T) -> Self {
        match count {
            1 => Self::One(std::array::from_fn(make)),
            2 => Self::Two(std::array::from_fn(make)),
            _ => Self::Any((0..count).map(make).collect()),
        }
    }
}

impl<T> From<Vec<T>> for Few<T> {
    fn from(all: Vec<T>) -> Self {
        let all = match all.try_into() {
            Ok(one) => return Self::One(one),
            Err(all) => all,
        };
        all.try_into().map_or_else(Self::Any, Self::Two)
    }
}

impl<T> From<Few<T>> for Vec<T> {
    fn from(few: Few<T>) -> Self {
        match few {
            Few::One(one) => one.into(),
            Few::Two(two) => two.into(),
            Few::Any(all) => all,
        }
    }
}

impl<T> Deref for Few<T> {
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

impl<T> DerefMut for Few<T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut [T] {
        match self {
            Self::One(one) => one,
            Self::Two(two) => two,
            Self::Any(all) => all,
        }
    }
}

impl<T: Serialize> Serialize for Few<T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        self[..].serialize(to)
    }
}
