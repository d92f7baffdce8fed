//! The state against a plain model: random changes, reads, commits, restores and crashes, from a seed that is printed
//! when it fails.

use super::{KeptTimer, Most, StateDirectory, StoreId, TaskState, store_id};
use crate::record::Column;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

type Bytes = Vec<u8>;

/// What the state should hold.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Model {
    pub(super) values: BTreeMap<Bytes, Bytes>,
    pub(super) lists: BTreeMap<Bytes, Vec<Bytes>>,
    pub(super) maps: BTreeMap<Bytes, BTreeMap<Bytes, Bytes>>,
    /// When each is due, and its key.
    pub(super) timers: BTreeSet<(i64, Bytes)>,
}

impl Model {
    /// A time around that of the last timer, so that time goes on and some are set or cleared behind it.
    fn time(&self, chance: &mut Chance) -> i64 {
        let last = self.timers.last().map_or(0, |(at, _)| *at);
        last - 6 + chance.below(9) as i64
    }

    /// One of the first timers, so that it is often one that was just set, or set again; or any other one.
    fn timer(&self, chance: &mut Chance, key: Bytes) -> (i64, Bytes) {
        let some = self.timers.iter().nth(chance.below(4)).cloned();
        some.filter(|_| chance.below(3) > 0)
            .unwrap_or_else(|| (self.time(chance), key))
    }
}

/// A small generator (SplitMix64): the same numbers from the same seed, for ever.
pub(super) struct Chance(pub(super) u64);

impl Chance {
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % limit as u64) as usize
    }

    /// One of a few keys, so that changes meet; some begin as others do, one is empty, one is all ones.
    fn key(&mut self) -> Bytes {
        const KEYS: [&[u8]; 8] = [
            b"",
            b"a",
            b"ab",
            b"b",
            b"\0\0\0\x01a",
            b"\xff\xff\xff\xff",
            b"\xff",
            b"long long long key",
        ];
        KEYS[self.below(KEYS.len())].to_vec()
    }

    fn value(&mut self) -> Bytes {
        let (length, byte) = (self.below(40), self.below(256) as u8);
        vec![byte; length]
    }
}

pub(super) fn values() -> StoreId {
    store_id("op", "values")
}

pub(super) fn lists() -> StoreId {
    store_id("op", "lists")
}

pub(super) fn maps() -> StoreId {
    store_id("op", "maps")
}

pub(super) fn timers() -> StoreId {
    store_id("op", "timers")
}

fn timer(at: i64, key: &[u8]) -> KeptTimer<'_> {
    KeptTimer { at, name: "t", key }
}

/// One random change, of the state and of the model.
pub(super) fn change(chance: &mut Chance, state: &mut TaskState, model: &mut Model) {
    let (key, user, value) = (chance.key(), chance.key(), chance.value());
    match chance.below(28) {
        0..=5 => {
            match chance.below(3) {
                0 => state.put(values(), &key, &value),
                // Where the key stood in some look-up, or another one did.
                _ => state.put_looked_up(values(), chance.below(6), &key, &value),
            }
            model.values.insert(key, value);
        }
        6 => {
            state.delete(values(), &key);
            model.values.remove(&key);
        }
        7..=10 => {
            state.append(lists(), &key, &value);
            model.lists.entry(key).or_default().push(value);
        }
        11 => {
            state.clear_list(lists(), &key);
            model.lists.remove(&key);
        }
        12..=16 => {
            state.put_entry(maps(), &key, &user, &value);
            model.maps.entry(key).or_default().insert(user, value);
        }
        17..=18 => {
            state.delete_entry(maps(), &key, &user);
            model.maps.entry(key).or_default().remove(&user);
        }
        19 => {
            state.clear_map(maps(), &key);
            model.maps.remove(&key);
        }
        20..=23 => {
            let (at, key) = model.timer(chance, key);
            state.set_timer(timers(), timer(at, &key));
            model.timers.insert((at, key));
        }
        _ => {
            let (at, key) = model.timer(chance, key);
            state.clear_timer(timers(), timer(at, &key));
            model.timers.remove(&(at, key));
        }
    }
}

fn column<'a>(entries: impl IntoIterator<Item = &'a Bytes>) -> Column {
    let mut column = Column::default();
    entries.into_iter().for_each(|entry| column.push(Some(entry)));
    column
}

fn owned(column: &Column) -> Vec<Option<Bytes>> {
    column.iter().map(|entry| entry.map(<[u8]>::to_vec)).collect()
}

/// A few random reads.
fn check_some(chance: &mut Chance, state: &mut TaskState, model: &Model) {
    let mut read = Column::default();
    let asked: Vec<Bytes> = (0..chance.below(6)).map(|_| chance.key()).collect();
    state.values(values(), &column(&asked), &mut read).unwrap();
    if chance.below(2) == 0 {
        read.clear();
        let cut = chance.below(asked.len() + 1);
        for some in [0..cut, cut..asked.len()] {
            state.values_of(values(), &column(&asked), some, &mut read).unwrap();
        }
    }
    let right: Vec<_> = asked.iter().map(|key| model.values.get(key).cloned()).collect();
    assert_eq!(owned(&read), right, "values of {asked:?}");

    let key = chance.key();
    assert!(state.items(lists(), &key, usize::MAX, &mut read).unwrap());
    let right: Vec<_> = model.lists.get(&key).into_iter().flatten().cloned().map(Some).collect();
    assert_eq!(owned(&read), right, "items of {key:?}");

    let map = model.maps.get(&key).cloned().unwrap_or_default();
    state.entries(maps(), &key, &column(&asked), &mut read).unwrap();
    let right: Vec<_> = asked.iter().map(|user| map.get(user).cloned()).collect();
    assert_eq!(owned(&read), right, "entries {asked:?} of {key:?}");

    let prefix = if chance.below(2) == 0 {
        Bytes::new()
    } else {
        chance.key()
    };
    let after = (chance.below(2) == 0).then(|| chance.key());
    let limit = chance.below(5);
    let most = Most {
        entries: limit,
        bytes: usize::MAX,
    };
    let mut user_keys = Column::default();
    let more = state.scan(maps(), &key, &prefix, after.as_deref(), most, &mut user_keys, &mut read);
    let all: Vec<_> = map
        .into_iter()
        .filter(|(user, _)| user.starts_with(&prefix) && after.as_ref().is_none_or(|after| user > after))
        .collect();
    assert_eq!(more.unwrap(), all.len() > limit, "more of {key:?}");
    let (users, right): (Vec<_>, Vec<_>) = all
        .into_iter()
        .take(limit)
        .map(|(user, value)| (Some(user), Some(value)))
        .unzip();
    assert_eq!(owned(&user_keys), users, "scan of {key:?} {prefix:?} {after:?}");
    assert_eq!(owned(&read), right);
    check_due(chance, state, model);
}

/// What is due at some time.
fn check_due(chance: &mut Chance, state: &mut TaskState, model: &Model) {
    let (until, limit, mut read) = (model.time(chance), chance.below(5) + 1, Column::default());
    let most = Most {
        entries: limit,
        bytes: usize::MAX,
    };
    let more = state.due_timers(timers(), until, most, &mut read).unwrap();
    let due: Vec<_> = model.timers.iter().filter(|(at, _)| *at <= until).collect();
    assert!(more || due.len() <= limit, "more are due at {until}");
    let found = read.iter().map(|user_key| {
        let KeptTimer { at, key, .. } = KeptTimer::read(user_key.unwrap()).unwrap();
        (at, key.to_vec())
    });
    assert!(found.eq(due.into_iter().take(limit).cloned()), "due at {until}");
}

/// All that is applied, read by the view.
pub(super) fn applied(state: &TaskState) -> Model {
    let (mut keys, mut read) = (Column::default(), Column::default());
    let view = state.view();
    let mut all = |store| {
        let mut all = Vec::new();
        let mut after = None;
        while view.scan(store, after.as_deref(), 3, (&mut keys, &mut read)).unwrap() || !keys.is_empty() {
            all.extend(
                keys.iter()
                    .map(|key| key.unwrap().to_vec())
                    .zip(read.iter().map(|value| value.unwrap().to_vec())),
            );
            after = all.last().map(|(key, _)| key.clone());
        }
        assert_eq!(view.count(store).unwrap(), all.len() as u64);
        all
    };
    let mut model = Model {
        values: all(values()).into_iter().collect(),
        ..Model::default()
    };
    let mut items = Column::default();
    for (key, frames) in all(lists()) {
        super::View::frames(&frames, &mut items).unwrap();
        model
            .lists
            .insert(key, items.iter().map(|item| item.unwrap().to_vec()).collect());
    }
    for (own, value) in all(maps()) {
        let (key, user) = super::View::split(&own).unwrap();
        model.maps.entry(key.to_vec()).or_default().insert(user.to_vec(), value);
    }
    for (own, _) in all(timers()) {
        let (_, user) = super::View::split(&own).unwrap();
        let KeptTimer { at, key, .. } = KeptTimer::read(user).unwrap();
        model.timers.insert((at, key.to_vec()));
    }
    model
}

/// Maps without entries are no maps.
pub(super) fn tidied(mut model: Model) -> Model {
    model.maps.retain(|_, entries| !entries.is_empty());
    model
}

/// The state of one task beside a replica that is restored from deltas and bases.
struct Run<'a> {
    home: &'a StateDirectory,
    state: TaskState,
    replica: TaskState,
    committed: Model,
    kept: Model,
    now: Model,
    commits: usize,
}

impl Run<'_> {
    fn step(&mut self, chance: &mut Chance) {
        match chance.below(102) {
            0..=54 => change(chance, &mut self.state, &mut self.now),
            55..=79 => check_some(chance, &mut self.state, &self.now),
            80..=88 => {
                self.state.keep();
                self.kept = self.now.clone();
            }
            89..=93 => {
                self.state.undo();
                self.now = self.kept.clone();
            }
            94..=96 => self.commit(),
            97 => {
                self.state.drop_overlay();
                self.restart_from_committed();
            }
            98 => self.reopen(),
            99 => self.rebase(),
            _ => self.drop_a_store(chance),
        }
    }

    fn commit(&mut self) {
        self.state.keep();
        self.commits += 1;
        let pointer = format!("sb1:b{}", self.commits);
        let mut delta = Vec::new();
        self.state.delta(&mut delta);
        self.state.apply(&pointer).unwrap();
        assert!(self.state.is_clean() && self.state.applied() == Some(&pointer));
        self.replica.redo(&delta, &pointer).unwrap();
        self.kept = self.now.clone();
        self.committed = self.now.clone();
        let right = tidied(self.committed.clone());
        assert_eq!(applied(&self.state), right);
        assert_eq!(applied(&self.replica), right);
    }

    /// Stores are dropped between a restore and the first batch only.
    fn drop_a_store(&mut self, chance: &mut Chance) {
        if !self.state.is_clean() {
            return;
        }
        let store = match chance.below(4) {
            0 => {
                self.now.values.clear();
                values()
            }
            1 => {
                self.now.lists.clear();
                lists()
            }
            2 => {
                self.now.maps.clear();
                maps()
            }
            _ => {
                self.now.timers.clear();
                timers()
            }
        };
        self.state.drop_store(store);
        self.kept = self.now.clone();
    }

    fn restart_from_committed(&mut self) {
        assert!(self.state.is_clean());
        (self.now, self.kept) = (self.committed.clone(), self.committed.clone());
    }

    /// The process ends without a commit and starts again.
    fn reopen(&mut self) {
        let pointer = self.state.applied().map(str::to_owned);
        let spare = self.home.task("spare/0").unwrap();
        drop(std::mem::replace(&mut self.state, spare));
        self.state = self.home.task("task/0").unwrap();
        assert_eq!(self.state.applied().map(str::to_owned), pointer);
        self.restart_from_committed();
    }

    /// The replica's files become a base of the task's.
    fn rebase(&mut self) {
        let files = self.home.scratch();
        self.state.snapshot(&files).unwrap();
        let base = tempfile::tempdir().unwrap();
        let other = StateDirectory::open(base.path(), 16 << 20).unwrap();
        let copy = base.path().join("tasks/.copy");
        copy_folder(&files, &copy);
        std::fs::remove_dir_all(&files).unwrap();
        let restored = other.install("task/0", &copy).unwrap();
        assert_eq!(restored.applied(), self.state.applied());
        assert_eq!(applied(&restored), tidied(self.committed.clone()));
    }
}

pub(super) fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

#[test]
fn the_state_does_what_a_plain_map_does() {
    let seed = std::env::var("SANDBAR_SEED").ok().and_then(|seed| seed.parse().ok());
    let seeds = seed.map_or(1..=12, |seed: u64| seed..=seed);
    for seed in seeds {
        println!("SANDBAR_SEED={seed}");
        let mut chance = Chance(seed);
        let (dir, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let home = StateDirectory::open(dir.path(), 16 << 20).unwrap();
        let mut run = Run {
            home: &home,
            state: home.task("task/0").unwrap(),
            replica: StateDirectory::open(there.path(), 16 << 20)
                .unwrap()
                .task("task/0")
                .unwrap(),
            committed: Model::default(),
            kept: Model::default(),
            now: Model::default(),
            commits: 0,
        };
        for _ in 0..1500 {
            run.step(&mut chance);
        }
        assert!(run.commits > 10);
    }
}
