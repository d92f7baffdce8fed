//! The first so many of a window's records, in the order of what they are ranked by.

use std::marker::PhantomData;

use serde::{Deserialize, Serialize};

use super::aggregate::{Aggregate, Part};
use crate::Refusal;

/// The first `n` records, each given as what it is ranked by and what is kept of it: the least come first, of equal
/// ones the earlier. [`Reverse`](std::cmp::Reverse) turns the order round. Nothing is kept of a record that is not
/// among them.
#[derive(Debug)]
pub struct Top<K, T> {
    n: usize,
    of: PhantomData<fn() -> (K, T)>,
}

/// The records of a [`Top`], the first one first.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Ranked<K, T> {
    rows: Vec<Row<K, T>>,
    /// From here on the record that was added last changed what stands at the ranks, and what stood there before.
    #[serde(skip, default = "Option::default")]
    changed: Option<Changed<K, T>>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Row<K, T> {
    key: K,
    arrival: u64,
    item: T,
}

/// A record came in at `from`; the ones that were pushed out are no more.
#[derive(Debug, Clone)]
struct Changed<K, T> {
    from: usize,
    gone: Option<Row<K, T>>,
}

/// Takes a record back: where it came in, and the rows that it pushed out.
#[derive(Debug)]
pub struct Entered<K, T> {
    at: usize,
    gone: Vec<Row<K, T>>,
}

impl<K, T> Top<K, T> {
    /// The first so many.
    #[must_use]
    pub fn of(n: u32) -> Self {
        Self {
            n: n as usize,
            of: PhantomData,
        }
    }
}

impl<K, T> Default for Top<K, T> {
    fn default() -> Self {
        Self::of(0)
    }
}

impl<K, T> Ranked<K, T> {
    /// What is kept of the records, the first one first.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.rows.iter().map(|row| &row.item)
    }
}

impl<K, T: PartialEq> Ranked<K, T> {
    /// The ranks, from 1 on, at which the record that was added last made another one stand than before, and what is
    /// kept of that.
    pub fn changed(&self) -> impl Iterator<Item = (usize, &T)> {
        let from = self.changed.as_ref().map_or(self.rows.len(), |changed| changed.from);
        let gone = self.changed.as_ref().and_then(|changed| changed.gone.as_ref());
        // Each row stood one rank higher before, and the last rank's was pushed out, if there was one.
        let before = self.rows.iter().skip(from + 1).chain(gone).map(|row| &row.item);
        let before = before.map(Some).chain(std::iter::once(None));
        let now = self.items().enumerate().skip(from).zip(before);
        now.filter(|((_, item), before)| *before != Some(*item))
            .map(|((at, item), _)| (at + 1, item))
    }
}

impl<K: Part + Ord, T: Part> Aggregate for Top<K, T> {
    type Item = (K, T);
    type State = Ranked<K, T>;
    /// Nothing, if the record is not among them.
    type Undo = Option<Entered<K, T>>;
    type Output = Vec<T>;

    fn empty(&self) -> Ranked<K, T> {
        Ranked {
            rows: Vec::new(),
            changed: None,
        }
    }

    #[inline]
    fn add(&self, state: &mut Ranked<K, T>, (key, item): &(K, T), arrival: u64) -> Result<Self::Undo, Refusal> {
        state.changed = None;
        let at = state.rows.partition_point(|row| row.key <= *key);
        if at >= self.n {
            return Ok(None);
        }
        let row = Row {
            key: key.clone(),
            arrival,
            item: item.clone(),
        };
        state.rows.insert(at, row);
        // More than one, if more were asked for when the state was written.
        let gone = state.rows.split_off(self.n.min(state.rows.len()));
        state.changed = Some(Changed {
            from: at,
            gone: gone.first().cloned(),
        });
        Ok(Some(Entered { at, gone }))
    }

    fn undo(&self, state: &mut Ranked<K, T>, undo: Self::Undo) {
        if let Some(Entered { at, gone }) = undo {
            state.rows.remove(at);
            state.rows.extend(gone);
        }
        state.changed = None;
    }

    fn merge(&self, state: &mut Ranked<K, T>, other: Ranked<K, T>) -> Result<(), Refusal> {
        state.rows.extend(other.rows);
        let order = |one: &Row<K, T>, other: &Row<K, T>| (&one.key, one.arrival).cmp(&(&other.key, other.arrival));
        state.rows.sort_by(order);
        state.rows.truncate(self.n);
        state.changed = None;
        Ok(())
    }

    fn output(&self, state: &Ranked<K, T>) -> Vec<T> {
        state.items().take(self.n).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cmp::Reverse;

    type Best = Ranked<Reverse<i64>, String>;

    fn add(top: &Top<Reverse<i64>, String>, state: &mut Best, rows: &[(i64, &str)]) {
        for (arrival, (key, item)) in (0..).zip(rows) {
            let before = format!("{:?}", state.rows);
            let row = (Reverse(*key), (*item).to_owned());
            let undo = top.add(state, &row, arrival).unwrap();
            top.undo(state, undo);
            assert_eq!(format!("{:?}", state.rows), before);
            top.add(state, &row, arrival).unwrap();
        }
    }

    fn changed(state: &Best) -> Vec<(usize, &str)> {
        state.changed().map(|(rank, item)| (rank, &item[..])).collect()
    }

    #[test]
    fn the_first_stay_and_equal_ones_stand_by_arrival() {
        let top = Top::of(3);
        let mut state = top.empty();
        add(
            &top,
            &mut state,
            &[(5, "a"), (7, "b"), (5, "c"), (5, "d"), (1, "e"), (6, "f")],
        );
        assert_eq!(top.output(&state), ["b", "f", "a"]);
    }

    #[test]
    fn a_record_changes_the_ranks_behind_it_at_which_another_one_stands() {
        let top = Top::of(3);
        let mut state = top.empty();
        add(&top, &mut state, &[(5, "a")]);
        assert_eq!(changed(&state), [(1, "a")]);
        add(&top, &mut state, &[(7, "b")]);
        assert_eq!(changed(&state), [(1, "b"), (2, "a")]);
        add(&top, &mut state, &[(5, "a")]);
        assert_eq!(changed(&state), [(3, "a")]);
        // The last two are equal: what is pushed out leaves the same behind.
        add(&top, &mut state, &[(6, "c")]);
        assert_eq!(changed(&state), [(2, "c")]);
        add(&top, &mut state, &[(1, "d")]);
        assert_eq!(changed(&state), []);
        add(&top, &mut state, &[(9, "e")]);
        assert_eq!(changed(&state), [(1, "e"), (2, "b"), (3, "c")]);
    }

    #[test]
    fn merged_ones_are_those_of_all_records_and_fewer_may_be_asked_for_later() {
        let top = Top::of(3);
        let (mut one, mut other) = (top.empty(), top.empty());
        for (arrival, key) in [4, 9, 4, 2, 9, 8].into_iter().enumerate() {
            let row = (Reverse(key), format!("{arrival}"));
            let half = if arrival % 2 == 0 { &mut one } else { &mut other };
            top.add(half, &row, arrival as u64).unwrap();
        }
        top.merge(&mut other, one).unwrap();
        assert_eq!(top.output(&other), ["1", "4", "5"]);
        let fewer = Top::of(1);
        let before = other.rows.clone();
        let undo = fewer.add(&mut other, &(Reverse(10), "x".to_owned()), 9).unwrap();
        assert_eq!(fewer.output(&other), ["x"]);
        assert_eq!(changed(&other), [(1, "x")]);
        fewer.undo(&mut other, undo);
        assert_eq!(other.rows, before);
    }
}
