//! A batch as a guest is sent it: the columns of the host's records are moved into it for the call and moved back
//! after, so that the only copy that a call costs is the one into the guest's memory.

use std::mem::swap;

use super::chance;
use super::declared::Declared;
use super::keys::{Grouping, NO_KEY};
use super::portion::Portion;
use super::time::{Advance, CallTime};
use super::timers::{DeclaredTimers, Due, DueTimers};
use crate::clock;
use crate::error::Result;
use crate::plugin::load::{Description, StoreKind, World};
use crate::record::{Column, Headers, Records};
use crate::state::{StoreId, TaskState};

/// Where the records of a call come from.
#[derive(Debug, Clone, Copy)]
pub(in crate::plugin) struct Origin<'a> {
    /// Index into the plugin's inputs, of each record.
    pub(in crate::plugin) inputs: &'a [u8],
    /// The partition that the records stem from.
    pub(in crate::plugin) partition: i32,
}

/// What a guest is lent for a call, in the host's own words and for whatever world.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Lent {
    /// The keys that events point to, none of them absent.
    pub(in crate::plugin) keys: Column,
    pub(in crate::plugin) events: Events,
    /// For each value store a value a key.
    pub(in crate::plugin) values: Vec<Column>,
    /// Event time before the call, in milliseconds since 1970.
    pub(in crate::plugin) watermark: i64,
    /// How it moves; none if the plugin has no timers.
    pub(in crate::plugin) advances: Vec<Advance>,
    pub(in crate::plugin) due: Vec<Due>,
    /// Milliseconds since 1970.
    pub(in crate::plugin) processing_time: i64,
    pub(in crate::plugin) seed: u64,
}

/// The events of a call, in columns; one is empty if the plugin does not need it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct Events {
    /// Index of the plugin's input; empty too if there is one.
    pub(in crate::plugin) input: Vec<u8>,
    /// Index into the keys, or `NO_KEY`.
    pub(in crate::plugin) key: Vec<u32>,
    pub(in crate::plugin) timestamp: Vec<i64>,
    pub(in crate::plugin) value: Column,
    pub(in crate::plugin) partition: Vec<u32>,
    pub(in crate::plugin) offset: Vec<i64>,
    pub(in crate::plugin) headers: Headers,
}

/// A batch that is filled again and again.
pub(in crate::plugin) struct Sent {
    lent: Lent,
    headers: bool,
    coordinates: bool,
    inputs: usize,
    /// For a plugin that keeps state or sets timers.
    keyed: Option<Keyed>,
    timers: DeclaredTimers,
}

/// What travels with a batch whose plugin keeps state.
struct Keyed {
    grouping: Grouping,
    /// The distinct keys of the batch.
    keys: Column,
    /// The value stores, and for each its values, one a key.
    stores: Vec<StoreId>,
    values: Vec<Column>,
    /// For each store how many values are asked for at once.
    portions: Vec<Portion>,
}

impl Sent {
    /// Nothing sent yet; what a batch holds follows from what the plugin said that it needs.
    pub(in crate::plugin) fn new(
        description: &Description,
        world: World,
        stores: &[Declared],
        timers: DeclaredTimers,
    ) -> Self {
        let mut lent = Lent {
            watermark: i64::MIN,
            ..Lent::default()
        };
        let keeps_state = !stores.is_empty() || !timers.is_empty();
        let keyed = keeps_state.then(|| Keyed::new(stores));
        let values = keyed.as_ref().map_or(0, |keyed| keyed.values.len());
        lent.values.resize_with(values, Column::default);
        Self {
            lent,
            headers: description.needs.headers,
            coordinates: description.needs.coordinates || world == World::RecordProcessor,
            inputs: description.input_count(),
            keyed,
            timers,
        }
    }

    /// Groups the records and the timers that are due by key and looks up what the state has for the keys, for the
    /// `take` that follows. `false`: it has more than `most` bytes, and there is nothing to take. Nothing of a look-up
    /// before this one is left, whatever becomes of it.
    pub(in crate::plugin) fn look_up(
        &mut self,
        records: &Records,
        due: &DueTimers,
        state: &mut TaskState,
        most: usize,
    ) -> Result<bool> {
        let Some(keyed) = &mut self.keyed else { return Ok(true) };
        keyed.forget_values();
        let Keyed { grouping, keys, .. } = keyed;
        grouping.group(&records.keys, due.len(), keys, &mut self.lent.events.key);
        due.told(&self.timers, |key| grouping.index(key, keys), &mut self.lent.due)?;
        let mut left = most;
        for store in 0..keyed.stores.len() {
            if !keyed.look_up(store, state, left)? {
                keyed.forget_values();
                return Ok(false);
            }
            left = left.saturating_sub(keyed.values[store].bytes.len());
        }
        Ok(true)
    }

    /// The distinct keys of the batch that was looked up last; none if the plugin keeps no state.
    pub(in crate::plugin) fn keys(&self) -> &Column {
        static NONE: Column = Column {
            bytes: vec![],
            ends: vec![],
            absent: vec![],
        };
        self.keyed.as_ref().map_or(&NONE, |keyed| &keyed.keys)
    }

    /// Moves the columns of `records` in. `give_back` must follow before anybody looks at the records again.
    /// `time` is told only to a plugin that has timers.
    pub(in crate::plugin) fn take(
        &mut self,
        records: &mut Records,
        origin: Origin<'_>,
        time: Option<&CallTime>,
    ) -> &mut Lent {
        let count = records.len();
        let seed = seed(origin, records);
        if let Some(time) = time {
            self.lent.watermark = time.watermark;
            self.lent.advances.clone_from(&time.advances);
        }
        match &mut self.keyed {
            Some(keyed) => keyed.swap(&mut self.lent),
            None => self.take_keys(records, count),
        }
        let events = &mut self.lent.events;
        events.input.clear();
        if self.inputs > 1 {
            events.input.extend_from_slice(origin.inputs);
        }
        fill(
            &mut events.partition,
            if self.coordinates { count } else { 0 },
            origin.partition.cast_unsigned(),
        );
        swap(&mut events.timestamp, &mut records.timestamps);
        swap(&mut events.value, &mut records.values);
        if self.coordinates {
            swap(&mut events.offset, &mut records.offsets);
        }
        if self.headers {
            swap(&mut events.headers, &mut records.headers);
        }
        self.lent.processing_time = clock::wall_ms();
        self.lent.seed = seed;
        &mut self.lent
    }

    /// Moves the columns back to where `take` had them from.
    pub(in crate::plugin) fn give_back(&mut self, records: &mut Records) {
        let events = &mut self.lent.events;
        swap(&mut events.timestamp, &mut records.timestamps);
        swap(&mut events.value, &mut records.values);
        if self.coordinates {
            swap(&mut events.offset, &mut records.offsets);
        }
        if self.headers {
            swap(&mut events.headers, &mut records.headers);
        }
        match &mut self.keyed {
            Some(keyed) => keyed.swap(&mut self.lent),
            None => self.give_keys_back(records),
        }
    }

    fn give_keys_back(&mut self, records: &mut Records) {
        swap(&mut self.lent.keys.bytes, &mut records.keys.bytes);
        if records.keys.absent.is_empty() {
            swap(&mut self.lent.keys.ends, &mut records.keys.ends);
        }
    }

    /// One entry for each event that has a key: if no state is kept, nothing is grouped. An absent key has no bytes,
    /// so these move as they are in any case, and the ends too if no key is absent.
    fn take_keys(&mut self, records: &mut Records, count: usize) {
        let keys = &mut records.keys;
        swap(&mut self.lent.keys.bytes, &mut keys.bytes);
        let key = &mut self.lent.events.key;
        if keys.absent.is_empty() {
            swap(&mut self.lent.keys.ends, &mut keys.ends);
            ascend(key, count);
        } else {
            present(keys, &mut self.lent.keys.ends, key);
        }
    }
}

impl Keyed {
    fn new(stores: &[Declared]) -> Self {
        let travelling = stores.iter().filter(|store| store.kind == StoreKind::Value);
        let stores: Vec<StoreId> = travelling.map(|store| store.id).collect();
        Self {
            grouping: Grouping::default(),
            keys: Column::default(),
            values: vec![Column::default(); stores.len()],
            portions: vec![Portion::new(); stores.len()],
            stores,
        }
    }

    fn forget_values(&mut self) {
        self.values.iter_mut().for_each(Column::clear);
    }

    /// Looks up what a store has for the keys, into a column that is empty. `false`: more than `most` bytes.
    fn look_up(&mut self, store: usize, state: &mut TaskState, most: usize) -> Result<bool> {
        let (id, values, portion) = (self.stores[store], &mut self.values[store], &mut self.portions[store]);
        while values.len() < self.keys.len() {
            let from = values.len();
            let to = self.keys.len().min(from + portion.next(most - values.bytes.len()));
            let before = values.bytes.len();
            state.values_of(id, &self.keys, from..to, values)?;
            portion.learn(to - from, values.bytes.len() - before);
            if values.bytes.len() > most {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Moves keys and values in, or back.
    fn swap(&mut self, lent: &mut Lent) {
        swap(&mut lent.keys, &mut self.keys);
        for (there, here) in lent.values.iter_mut().zip(&mut self.values) {
            swap(there, here);
        }
    }
}

/// The ends of the keys that are there, and for each event the index of its key.
fn present(keys: &Column, ends: &mut Vec<u32>, key: &mut Vec<u32>) {
    ends.clear();
    key.clear();
    let mut absent = keys.absent.iter().peekable();
    for (event, &end) in keys.ends.iter().enumerate() {
        if absent.next_if(|&&gone| gone as usize == event).is_some() {
            key.push(NO_KEY);
        } else {
            key.push(ends.len() as u32);
            ends.push(end);
        }
    }
}

/// Makes the column 0, 1, 2, … of this length. It may hold anything before.
fn ascend(column: &mut Vec<u32>, count: usize) {
    column.clear();
    column.extend(0..count as u32);
}

fn fill<T: Clone>(column: &mut Vec<T>, count: usize, value: T) {
    column.clear();
    column.resize(count, value);
}

/// That of the first record.
fn seed(origin: Origin<'_>, records: &Records) -> u64 {
    let first = records.offsets.first().copied().unwrap_or_default();
    let input = origin.inputs.first().copied().unwrap_or_default();
    chance::of_record(first, origin.partition.cast_unsigned(), input)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::Needs;

    fn sent(needs: Needs, inputs: &[&str]) -> Sent {
        sent_with(needs, inputs, &[])
    }

    fn sent_with(needs: Needs, inputs: &[&str], stores: &[Declared]) -> Sent {
        let description = Description {
            name: "p".into(),
            version: String::new(),
            inputs: inputs.iter().map(|name| (*name).to_owned()).collect(),
            outputs: vec![],
            stores: vec![],
            timers: vec![],
            metrics: vec![],
            config_schema: String::new(),
            needs,
        };
        let timers = DeclaredTimers::of("op", &description);
        Sent::new(&description, World::Processor, stores, timers)
    }

    fn records(keys: &[Option<&[u8]>]) -> Records {
        let mut records = Records::default();
        for (at, key) in keys.iter().enumerate() {
            records.keys.push(*key);
            records.values.push(if at == 1 { None } else { Some(b"v") });
            records.timestamps.push(at as i64);
            records.offsets.push(100 + at as i64);
            records.headers.push(at as u32, b"h", None);
        }
        records
    }

    const ORIGIN: Origin<'static> = Origin {
        inputs: &[0],
        partition: 0,
    };
    const ALL: Needs = Needs {
        coordinates: true,
        headers: true,
        keeps_key: false,
    };
    const NONE: Needs = Needs {
        coordinates: false,
        headers: false,
        keeps_key: false,
    };

    #[test]
    fn what_was_moved_in_comes_back_the_same() {
        for needs in [ALL, NONE] {
            let mut sent = sent(needs, &[]);
            for keys in [
                &[Some(&b"a"[..]), Some(b"bc"), Some(b"")][..],
                &[None, Some(b"x"), None, Some(b"y")],
                &[None, None],
            ] {
                let mut mine = records(keys);
                let before = mine.clone();
                sent.take(
                    &mut mine,
                    Origin {
                        inputs: &[0],
                        partition: 3,
                    },
                    None,
                );
                sent.give_back(&mut mine);
                assert_eq!(mine, before);
            }
        }
    }

    #[test]
    fn where_state_is_kept_keys_are_distinct_and_their_values_travel() {
        let folder = tempfile::tempdir().unwrap();
        let home = crate::state::StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let mut state = home.task("views/0").unwrap();
        let store = |name: &str, kind| Declared {
            id: crate::state::store_id("op", name),
            name: name.to_owned(),
            kind,
        };
        let stores = [
            store("list", StoreKind::List),
            store("one", StoreKind::Value),
            store("other", StoreKind::Value),
        ];
        state.put(stores[1].id, b"y", b"1");
        state.put(stores[2].id, b"x", b"");
        let mut sent = sent_with(NONE, &[], &stores);
        let mut mine = records(&[Some(b"x"), None, Some(b"y"), Some(b"x"), Some(b"z")]);
        let before = mine.clone();
        for _ in 0..2 {
            assert!(sent.look_up(&mine, &DueTimers::default(), &mut state, 100).unwrap());
            let batch = sent.take(&mut mine, ORIGIN, None);
            assert_eq!(batch.events.key, [0, NO_KEY, 1, 0, 2]);
            assert_eq!(
                (&batch.keys.bytes[..], &batch.keys.ends[..]),
                (&b"xyz"[..], &[1, 2, 3][..])
            );
            let values: Vec<_> = batch.values.iter().map(|column| column.absent.clone()).collect();
            assert_eq!(values, [vec![0, 2], vec![1, 2]]);
            assert_eq!(batch.values[0].bytes, b"1");
            sent.give_back(&mut mine);
            assert_eq!(mine, before);
            assert_eq!(sent.keys().len(), 3);
        }
    }

    #[test]
    fn values_of_many_keys_are_all_looked_up_unless_they_are_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let home = crate::state::StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let mut state = home.task("views/0").unwrap();
        let store = Declared {
            id: crate::state::store_id("op", "one"),
            name: "one".to_owned(),
            kind: StoreKind::Value,
        };
        let names: Vec<_> = (0..401).map(|number| number.to_string()).collect();
        for name in names.iter().step_by(2) {
            state.put(store.id, name.as_bytes(), name.as_bytes());
        }
        let keys: Vec<_> = names.iter().map(|name| Some(name.as_bytes())).collect();
        let mut sent = sent_with(NONE, &[], &[store]);
        let mut mine = records(&keys);
        let bytes: usize = names.iter().step_by(2).map(String::len).sum();
        assert!(
            !sent
                .look_up(&mine, &DueTimers::default(), &mut state, bytes - 1)
                .unwrap()
        );
        assert!(sent.look_up(&mine, &DueTimers::default(), &mut state, bytes).unwrap());
        let batch = sent.take(&mut mine, ORIGIN, None);
        let values = batch.values[0].clone();
        for (index, name) in names.iter().enumerate() {
            let expected = (index % 2 == 0).then_some(name.as_bytes());
            assert_eq!(values.get(index), expected, "{name}");
        }
    }

    #[test]
    fn nothing_of_a_look_up_before_is_left_when_there_is_too_much() {
        let folder = tempfile::tempdir().unwrap();
        let home = crate::state::StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let mut state = home.task("views/0").unwrap();
        let stores = ["one", "other"].map(|name| Declared {
            id: crate::state::store_id("op", name),
            name: name.to_owned(),
            kind: StoreKind::Value,
        });
        state.put(stores[1].id, b"small", b"somebody's");
        state.put(stores[0].id, b"large", &[7; 100]);
        state.put(stores[1].id, b"large", b"its own");
        let mut sent = sent_with(NONE, &[], &stores);
        assert!(
            sent.look_up(&records(&[Some(b"small")]), &DueTimers::default(), &mut state, 50)
                .unwrap()
        );
        assert!(
            !sent
                .look_up(&records(&[Some(b"large")]), &DueTimers::default(), &mut state, 50)
                .unwrap()
        );
        let keyed = sent.keyed.as_ref().unwrap();
        assert!(keyed.values.iter().all(Column::is_empty), "{:?}", keyed.values);
    }

    #[test]
    fn keys_are_indexed_and_an_absent_one_has_none() {
        let mut sent = sent(NONE, &[]);
        let mut mine = records(&[None, Some(b"x"), Some(b""), None, Some(b"yz")]);
        let batch = sent.take(&mut mine, ORIGIN, None);
        assert_eq!(batch.events.key, [NO_KEY, 0, 1, NO_KEY, 2]);
        assert_eq!(
            (&batch.keys.bytes[..], &batch.keys.ends[..]),
            (&b"xyz"[..], &[1, 1, 3][..])
        );
        sent.give_back(&mut mine);
        let mut mine = records(&[Some(b"x"), Some(b"y")]);
        assert_eq!(sent.take(&mut mine, ORIGIN, None).events.key, [0, 1]);
    }

    #[test]
    fn a_plugin_is_sent_what_it_needs_and_no_more() {
        let mut mine = records(&[Some(b"x"), None]);
        let origin = Origin {
            inputs: &[1, 1],
            partition: 7,
        };
        let mut lean = sent(NONE, &["one"]);
        let batch = lean.take(&mut mine, origin, None);
        assert!(batch.events.input.is_empty() && batch.events.partition.is_empty() && batch.events.offset.is_empty());
        assert!(batch.events.headers.of.is_empty());
        lean.give_back(&mut mine);
        let mut full = sent(ALL, &["one", "two"]);
        let batch = full.take(&mut mine, origin, None);
        assert_eq!(batch.events.input, [1, 1]);
        assert_eq!(batch.events.partition, [7, 7]);
        assert_eq!(batch.events.offset, [100, 101]);
        assert_eq!(batch.events.headers.of, [0, 1]);
    }

    #[test]
    fn a_replay_gets_the_same_seed() {
        let origin = Origin {
            inputs: &[0],
            partition: 7,
        };
        assert_eq!(seed(origin, &records(&[None])), seed(origin, &records(&[None, None])));
        assert_ne!(
            seed(origin, &records(&[None])),
            seed(
                Origin {
                    inputs: &[0],
                    partition: 8
                },
                &records(&[None])
            )
        );
    }
}
