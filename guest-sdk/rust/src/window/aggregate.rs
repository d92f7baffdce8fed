//! What is made of a window's records, record by record.

use std::marker::PhantomData;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::state::{Codec, Postcard};
use crate::{Refusal, dead_letter};

/// Makes something of records without keeping them. Several at once are a tuple of them: `(Count, Max<u64>)`.
pub trait Aggregate: 'static {
    /// What a record contributes.
    type Item;
    /// What is kept of the records so far.
    type State: Clone + Serialize + DeserializeOwned + 'static;
    /// Whatever takes a record back that was added last: the state before it, if nothing is smaller.
    type Undo: 'static;
    /// What it is in the end.
    type Output;

    /// Of no record.
    fn empty(&self) -> Self::State;

    /// Adds a record; `arrival` is higher for each that comes later.
    ///
    /// # Errors
    /// The record cannot be added; the state is as it was.
    fn add(&self, state: &mut Self::State, item: &Self::Item, arrival: u64) -> Result<Self::Undo, Refusal>;

    /// Takes the record back that was added last.
    fn undo(&self, state: &mut Self::State, undo: Self::Undo);

    /// Adds all records of another state.
    ///
    /// # Errors
    /// They do not go together.
    fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), Refusal>;

    /// What the state amounts to.
    fn output(&self, state: &Self::State) -> Self::Output;

    /// Takes a state from the front of the bytes, into one whose room may be used. `None`: it is read in postcard's own
    /// way, which also says what is wrong. Whoever reads faster reads the same bytes.
    #[doc(hidden)]
    fn read_state(&self, from: &mut &[u8], into: &mut Self::State) -> Option<()> {
        (*into, *from) = postcard::take_from_bytes(from).ok()?;
        Some(())
    }

    /// Adds the bytes of a state, as postcard writes them.
    ///
    /// # Errors
    /// It cannot be written.
    #[doc(hidden)]
    fn write_state(&self, state: &Self::State, into: &mut Vec<u8>) -> Result<(), String> {
        <Postcard as Codec<Self::State>>::write(state, into)
    }
}

/// What is kept of a record as it is.
pub trait Part: Clone + Serialize + DeserializeOwned + 'static {}

impl<T: Clone + Serialize + DeserializeOwned + 'static> Part for T {}

/// How many records there are.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count;

impl Aggregate for Count {
    type Item = ();
    type State = u64;
    type Undo = ();
    type Output = u64;

    fn empty(&self) -> u64 {
        0
    }

    #[inline]
    fn add(&self, state: &mut u64, (): &(), _: u64) -> Result<(), Refusal> {
        *state += 1;
        Ok(())
    }

    fn undo(&self, state: &mut u64, (): ()) {
        *state -= 1;
    }

    fn merge(&self, state: &mut u64, other: u64) -> Result<(), Refusal> {
        *state += other;
        Ok(())
    }

    fn output(&self, state: &u64) -> u64 {
        *state
    }
}

/// A number that can be summed up.
pub trait Summed: Part + Copy + Default {
    /// The sum; `None`: there is no such number.
    #[must_use]
    fn plus(self, other: Self) -> Option<Self>;
}

macro_rules! summed {
    ($($number:ty)*) => {$(
        impl Summed for $number {
            #[inline]
            fn plus(self, other: Self) -> Option<Self> {
                self.checked_add(other)
            }
        }
    )*};
}

summed! { i32 i64 i128 u32 u64 u128 }

impl Summed for f64 {
    #[inline]
    fn plus(self, other: Self) -> Option<Self> {
        Some(self + other).filter(|sum| sum.is_finite())
    }
}

/// The sum of numbers. A record is refused if no number of their type is the sum with it.
#[derive(Debug, Clone, Copy)]
pub struct Sum<T>(PhantomData<fn() -> T>);

impl<T: Summed> Aggregate for Sum<T> {
    type Item = T;
    type State = T;
    type Undo = T;
    type Output = T;

    fn empty(&self) -> T {
        T::default()
    }

    #[inline]
    fn add(&self, state: &mut T, item: &T, _: u64) -> Result<T, Refusal> {
        let sum = state
            .plus(*item)
            .ok_or_else(|| dead_letter("the sum is out of its numbers' range"))?;
        Ok(std::mem::replace(state, sum))
    }

    fn undo(&self, state: &mut T, before: T) {
        *state = before;
    }

    fn merge(&self, state: &mut T, other: T) -> Result<(), Refusal> {
        self.add(state, &other, 0).map(drop)
    }

    fn output(&self, state: &T) -> T {
        *state
    }
}

/// The average of numbers; `None` of none.
#[derive(Debug, Clone, Copy, Default)]
pub struct Avg;

impl Aggregate for Avg {
    type Item = f64;
    type State = (f64, u64);
    type Undo = f64;
    type Output = Option<f64>;

    fn empty(&self) -> (f64, u64) {
        (0.0, 0)
    }

    #[inline]
    fn add(&self, (sum, count): &mut (f64, u64), item: &f64, _: u64) -> Result<f64, Refusal> {
        *count += 1;
        Ok(std::mem::replace(sum, *sum + item))
    }

    fn undo(&self, (sum, count): &mut (f64, u64), before: f64) {
        (*sum, *count) = (before, *count - 1);
    }

    fn merge(&self, (sum, count): &mut (f64, u64), other: (f64, u64)) -> Result<(), Refusal> {
        (*sum, *count) = (*sum + other.0, *count + other.1);
        Ok(())
    }

    fn output(&self, (sum, count): &(f64, u64)) -> Option<f64> {
        (*count > 0).then(|| sum / *count as f64)
    }
}

macro_rules! extremes {
    ($($name:ident $beats:tt $what:literal;)*) => {$(
        #[doc = $what]
        #[derive(Debug, Clone, Copy)]
        pub struct $name<T>(PhantomData<fn() -> T>);

        impl<T: Part + PartialOrd> Aggregate for $name<T> {
            type Item = T;
            type State = Option<T>;
            /// What stood there, if it stands there no more.
            type Undo = Option<Option<T>>;
            type Output = Option<T>;

            fn empty(&self) -> Option<T> {
                None
            }

            #[inline]
            fn add(&self, state: &mut Option<T>, item: &T, _: u64) -> Result<Self::Undo, Refusal> {
                let beats = state.as_ref().is_none_or(|best| item $beats best);
                Ok(beats.then(|| state.replace(item.clone())))
            }

            fn undo(&self, state: &mut Option<T>, before: Self::Undo) {
                if let Some(before) = before {
                    *state = before;
                }
            }

            fn merge(&self, state: &mut Option<T>, other: Option<T>) -> Result<(), Refusal> {
                other.map_or(Ok(()), |other| self.add(state, &other, 0).map(drop))
            }

            fn output(&self, state: &Option<T>) -> Option<T> {
                state.clone()
            }
        }
    )*};
}

extremes! {
    Min < "The least; `None` of none.";
    Max > "The greatest; `None` of none.";
}

macro_rules! by_arrival {
    ($($name:ident $beats:tt $what:literal;)*) => {$(
        #[doc = $what]
        #[derive(Debug, Clone, Copy)]
        pub struct $name<T>(PhantomData<fn() -> T>);

        impl<T: Part> Aggregate for $name<T> {
            type Item = T;
            type State = Option<(u64, T)>;
            /// What stood there, if it stands there no more.
            type Undo = Option<Option<(u64, T)>>;
            type Output = Option<T>;

            fn empty(&self) -> Option<(u64, T)> {
                None
            }

            #[inline]
            fn add(&self, state: &mut Option<(u64, T)>, item: &T, arrival: u64) -> Result<Self::Undo, Refusal> {
                let beats = state.as_ref().is_none_or(|(other, _)| arrival $beats *other);
                Ok(beats.then(|| state.replace((arrival, item.clone()))))
            }

            fn undo(&self, state: &mut Option<(u64, T)>, before: Self::Undo) {
                if let Some(before) = before {
                    *state = before;
                }
            }

            fn merge(&self, state: &mut Option<(u64, T)>, other: Option<(u64, T)>) -> Result<(), Refusal> {
                other.map_or(Ok(()), |(arrival, other)| self.add(state, &other, arrival).map(drop))
            }

            fn output(&self, state: &Option<(u64, T)>) -> Option<T> {
                state.as_ref().map(|(_, item)| item.clone())
            }
        }
    )*};
}

by_arrival! {
    First < "The one that came first; `None` of none.";
    Last > "The one that came last; `None` of none.";
}

/// All of them, in the order of their arrival.
#[derive(Debug, Clone, Copy)]
pub struct Collect<T>(PhantomData<fn() -> T>);

impl<T: Part> Aggregate for Collect<T> {
    type Item = T;
    type State = Vec<(u64, T)>;
    type Undo = ();
    type Output = Vec<T>;

    fn empty(&self) -> Vec<(u64, T)> {
        Vec::new()
    }

    fn add(&self, state: &mut Vec<(u64, T)>, item: &T, arrival: u64) -> Result<(), Refusal> {
        state.push((arrival, item.clone()));
        Ok(())
    }

    fn undo(&self, state: &mut Vec<(u64, T)>, (): ()) {
        state.pop();
    }

    fn merge(&self, state: &mut Vec<(u64, T)>, other: Vec<(u64, T)>) -> Result<(), Refusal> {
        state.extend(other);
        state.sort_by_key(|(arrival, _)| *arrival);
        Ok(())
    }

    fn output(&self, state: &Vec<(u64, T)>) -> Vec<T> {
        state.iter().map(|(_, item)| item.clone()).collect()
    }
}

macro_rules! defaults {
    ($($name:ident)*) => {$(
        impl<T> Default for $name<T> {
            fn default() -> Self {
                Self(PhantomData)
            }
        }
    )*};
}

defaults! { Sum Min Max First Last Collect }

macro_rules! tuples {
    ($(($($name:ident $at:tt),*);)*) => {$(
        impl<$($name: Aggregate),*> Aggregate for ($($name,)*) {
            type Item = ($($name::Item,)*);
            type State = ($($name::State,)*);
            /// Of those that were added.
            type Undo = ($(Option<$name::Undo>,)*);
            type Output = ($($name::Output,)*);

            fn empty(&self) -> Self::State {
                ($(self.$at.empty(),)*)
            }

            #[inline]
            fn add(&self, state: &mut Self::State, item: &Self::Item, arrival: u64) -> Result<Self::Undo, Refusal> {
                let mut undo: Self::Undo = ($(None::<$name::Undo>,)*);
                let mut add_all = || {
                    $(undo.$at = Some(self.$at.add(&mut state.$at, &item.$at, arrival)?);)*
                    Ok(())
                };
                match add_all() {
                    Ok(()) => Ok(undo),
                    Err(refusal) => {
                        self.undo(state, undo);
                        Err(refusal)
                    }
                }
            }

            fn undo(&self, state: &mut Self::State, undo: Self::Undo) {
                $(if let Some(undo) = undo.$at {
                    self.$at.undo(&mut state.$at, undo);
                })*
            }

            fn merge(&self, state: &mut Self::State, other: Self::State) -> Result<(), Refusal> {
                $(self.$at.merge(&mut state.$at, other.$at)?;)*
                Ok(())
            }

            fn output(&self, state: &Self::State) -> Self::Output {
                ($(self.$at.output(&state.$at),)*)
            }
        }
    )*};
}

tuples! {
    (A 0);
    (A 0, B 1);
    (A 0, B 1, C 2);
    (A 0, B 1, C 2, D 3);
    (A 0, B 1, C 2, D 3, E 4);
    (A 0, B 1, C 2, D 3, E 4, F 5);
}
