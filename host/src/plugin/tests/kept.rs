//! A task's real state for tests, and what guests that keep state are called with.

use super::*;
use crate::record::Column;
use crate::state::{Most, StateDirectory, TaskState, store_id};

/// A task's state of its own, until the end of the test.
pub(super) struct Kept {
    pub(super) state: Option<TaskState>,
    home: StateDirectory,
    _folder: tempfile::TempDir,
}

impl Kept {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(folder.path(), 1 << 20).unwrap();
        Self {
            state: Some(home.task("views/0").unwrap()),
            home,
            _folder: folder,
        }
    }

    /// The state as a process finds it that has just started: nothing of it is in memory.
    pub(super) fn open_again(&mut self) {
        self.state = None;
        self.state = Some(self.home.task("views/0").unwrap());
    }

    pub(super) fn state(&mut self) -> &mut TaskState {
        self.state.as_mut().unwrap()
    }

    pub(super) fn call(&mut self, operator: &mut Operator, records: &mut Records) -> Result<Outcome, CallError> {
        let mut outcome = Outcome::default();
        let before = records.clone();
        let call = Call {
            records,
            inputs: &[],
            time: &CallTime::default(),
            most_timers: 1000,
            cut_behind: 0..0,
            partition: 0,
            room: usize::MAX,
        };
        let done = operator.process(call, &mut self.state, &mut outcome);
        assert!(self.state.is_some(), "a call gives the state back");
        assert_eq!(*records, before, "a call gives the records back as they were");
        done.map(|_reached| outcome)
    }

    pub(super) fn value(&mut self, store: &str, key: &[u8]) -> Option<Vec<u8>> {
        let (mut keys, mut values) = (Column::default(), Column::default());
        keys.push(Some(key));
        self.state().values(store_id("op", store), &keys, &mut values).unwrap();
        values.get(0).map(<[u8]>::to_vec)
    }

    pub(super) fn items(&mut self, store: &str, key: &[u8]) -> Vec<Vec<u8>> {
        let mut items = Column::default();
        assert!(
            self.state()
                .items(store_id("op", store), key, usize::MAX, &mut items)
                .unwrap()
        );
        items.iter().map(|item| item.unwrap().to_vec()).collect()
    }

    pub(super) fn entries(&mut self, store: &str, key: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (mut keys, mut values) = (Column::default(), Column::default());
        let state = self.state.as_mut().unwrap();
        let most = Most {
            entries: 10_000,
            bytes: usize::MAX,
        };
        let more = state.scan(store_id("op", store), key, b"", None, most, &mut keys, &mut values);
        assert!(!more.unwrap());
        let entries = keys.iter().zip(values.iter());
        entries
            .map(|(key, value)| (key.unwrap().to_vec(), value.unwrap().to_vec()))
            .collect()
    }
}

pub(super) fn keyed(rows: &[(Option<&str>, &str)]) -> Records {
    let mut records = Records::default();
    for (at, (key, value)) in rows.iter().enumerate() {
        records.keys.push(key.map(str::as_bytes));
        records.values.push(Some(value.as_bytes()));
        records.timestamps.push(at as i64);
        records.offsets.push(1000 + at as i64);
    }
    records
}

pub(super) fn count_by_key(world: World) -> Operator {
    operator_in(world, "count-by-key")
}
