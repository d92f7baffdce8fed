//! Timers in a task's state: the entries of a map of their own, an operator and clock each, in the order in which they
//! fire.
//!
//! Always: a timer is in the state at most once, since its name, key and time are its key there.

use super::floors::{Floor, KeptTimer, behind};
use crate::error::Result;
use crate::record::Column;
use crate::state::{Most, StoreId, TaskState};

impl TaskState {
    /// Sets a timer; setting one that is set is nothing new.
    pub fn set_timer(&mut self, store: StoreId, timer: KeptTimer<'_>) {
        let mut user_key = std::mem::take(&mut self.timer_key);
        timer.write(&mut user_key);
        let is_new = self.floors.add(store, &user_key, timer.at);
        self.put_timer(store, &user_key, is_new);
        self.timer_key = user_key;
    }

    /// Clears a timer, whether or not it is set.
    pub fn clear_timer(&mut self, store: StoreId, timer: KeptTimer<'_>) {
        let mut user_key = std::mem::take(&mut self.timer_key);
        timer.write(&mut user_key);
        self.delete_timer(store, &user_key);
        self.timer_key = user_key;
    }

    /// Clears a timer by its user key, which [`due_timers`](Self::due_timers) tells.
    pub fn delete_timer(&mut self, store: StoreId, user_key: &[u8]) {
        self.delete_entry(store, &[], user_key);
    }

    /// Whether a timer may be due at `until`; reads nothing. What [`due_timers`](Self::due_timers) finds decides.
    pub fn may_have_due(&self, store: StoreId, until: i64) -> bool {
        self.floors.may_have(store, until)
    }

    /// The timers of a store that are due at `until`, in the order in which they fire: as many as are wanted.
    /// False: there are no more. `into` is cleared first, and gets what [`KeptTimer::read`] reads.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn due_timers(&mut self, store: StoreId, until: i64, most: Most, into: &mut Column) -> Result<bool> {
        into.clear();
        self.learn_last_applied(store)?;
        if !self.floors.may_have(store, until) {
            return Ok(false);
        }
        let (from, mut empty) = (self.floors.from(store), Column::default());
        // The first one says whether any is due: the others are not read in vain.
        let one = Most { entries: 1, ..most };
        self.entries_from(store, &from, one, (into, &mut empty))?;
        let Some(first) = into.iter().flatten().next().map(<[u8]>::to_vec) else {
            self.floors.set(store, Floor::None);
            return Ok(false);
        };
        let end = behind(until);
        let is_due = first < end;
        let mut has_more = false;
        if is_due {
            has_more = self.entries_from(store, &first, most, (into, &mut empty))?;
        }
        let due = into
            .iter()
            .flatten()
            .take_while(|user_key| **user_key < end[..])
            .count();
        has_more &= due == into.len();
        // Those that are not due any more were read for nothing: one page of them at most.
        into.truncate(due);
        self.floors.set(store, Floor::From(first));
        Ok(has_more)
    }

    /// Makes sure that it is known when the last timer that is applied is due: it is read once, and followed from then
    /// on.
    fn learn_last_applied(&mut self, store: StoreId) -> Result<()> {
        if self.floors.knows_last_applied(store) {
            return Ok(());
        }
        let last = self.last_applied_timer(store)?;
        // If it is no timer, which is found out when it is due, nothing is new.
        let at = |key: &[u8]| KeptTimer::read(key).map_or(i64::MAX, |timer| timer.at);
        self.floors
            .set_last_applied(store, last.map_or(i64::MIN, |key| at(&key)));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::{StateDirectory, store_id};

    fn timer(at: i64, name: &'static str, key: &'static str) -> KeptTimer<'static> {
        KeptTimer {
            at,
            name,
            key: key.as_bytes(),
        }
    }

    fn most(entries: usize) -> Most {
        Most {
            entries,
            bytes: 1 << 20,
        }
    }

    fn due(state: &mut TaskState, until: i64, entries: usize) -> (Vec<String>, bool) {
        let mut found = Column::default();
        let more = state
            .due_timers(store_id("op", "timers"), until, most(entries), &mut found)
            .unwrap();
        let shown = found.iter().flatten().map(|user_key| {
            let KeptTimer { at, name, key } = KeptTimer::read(user_key).unwrap();
            format!("{at} {name} {}", String::from_utf8_lossy(key))
        });
        (shown.collect(), more)
    }

    /// A task's state, and what has to stay there as long as it does.
    fn open() -> ((tempfile::TempDir, StateDirectory), TaskState) {
        let home = tempfile::tempdir().unwrap();
        let directory = StateDirectory::open(home.path(), 1 << 20).unwrap();
        let state = directory.task("views/0").unwrap();
        ((home, directory), state)
    }

    /// Golden: a change here needs another version of the store.
    #[test]
    fn the_key_of_a_timer_stays_as_it_was_written() {
        let mut key = Vec::new();
        timer(1, "close", "k\0").write(&mut key);
        assert_eq!(key, b"\x80\0\0\0\0\0\0\x01close\0k\0");
        assert_eq!(KeptTimer::read(&key), Some(timer(1, "close", "k\0")));
        timer(-1, "c", "").write(&mut key);
        assert_eq!(key, b"\x7f\xff\xff\xff\xff\xff\xff\xffc\0");
        for torn in [&key[..7], &key[..9], b"\x7f\xff\xff\xff\xff\xff\xff\xff\xff\0"] {
            assert_eq!(KeptTimer::read(torn), None, "{torn:?}");
        }
    }

    #[test]
    fn timers_are_due_in_the_order_of_time_name_and_key() {
        let (_home, mut state) = open();
        let store = store_id("op", "timers");
        for set in [
            timer(20, "b", "x"),
            timer(10, "b", "a"),
            timer(10, "a", "z"),
            timer(-5, "b", "x"),
            timer(10, "a", "b"),
            timer(i64::MAX, "a", "end"),
            timer(10, "a", "b"),
        ] {
            state.set_timer(store, set);
        }
        state.keep();
        assert_eq!(due(&mut state, -6, 9), (vec![], false));
        assert_eq!(due(&mut state, 9, 9), (vec!["-5 b x".to_owned()], false));
        let (first, more) = due(&mut state, 19, 3);
        assert_eq!(
            (first, more),
            (["-5 b x", "10 a b", "10 a z"].map(String::from).to_vec(), true)
        );
        for fired in [timer(-5, "b", "x"), timer(10, "a", "b"), timer(10, "a", "z")] {
            state.clear_timer(store, fired);
        }
        assert_eq!(due(&mut state, 19, 3), (vec!["10 b a".to_owned()], false));
        state.undo();
        assert_eq!(due(&mut state, 10, 9).0.len(), 4, "what was undone is due again");
        state.apply("sb1:b:views/0:1:0123456789abcdef").unwrap();
        for entries in [1, 2, 5, 6, 7] {
            let (found, more) = due(&mut state, i64::MAX, entries);
            assert_eq!((found.len(), more), (entries.min(6), entries < 6));
        }
    }

    #[test]
    fn nothing_is_read_as_long_as_nothing_can_be_due_and_an_earlier_one_is_found() {
        let (_home, mut state) = open();
        let store = store_id("op", "timers");
        assert!(state.may_have_due(store, i64::MIN), "nothing is known yet");
        assert_eq!(due(&mut state, 100, 9), (vec![], false));
        assert!(!state.may_have_due(store, i64::MAX));
        state.set_timer(store, timer(50, "a", "k"));
        state.keep();
        assert!(!state.may_have_due(store, 49) && state.may_have_due(store, 50));
        state.set_timer(store, timer(40, "a", "k"));
        assert!(state.may_have_due(store, 40));
        state.undo();
        assert!(!state.may_have_due(store, 49));
        state.set_timer(store, timer(30, "a", "k"));
        state.keep();
        state.drop_overlay();
        assert_eq!(due(&mut state, 100, 9), (vec![], false), "neither was committed");
    }

    /// Each commit's number of changes.
    #[test]
    fn a_timer_that_comes_and_goes_within_a_commit_leaves_nothing_to_apply() {
        let (_home, mut state) = open();
        let (store, mut pointers) = (store_id("op", "timers"), 0..);
        let mut commit = |state: &mut TaskState| {
            state.keep();
            let mut delta = Vec::new();
            state.delta(&mut delta);
            let pointer = format!("sb1:b:views/0:{}:0123456789abcdef", pointers.next().unwrap());
            state.apply(&pointer).unwrap();
            crate::state::delta::decode(&delta).unwrap().len()
        };
        state.set_timer(store, timer(10, "a", "early"));
        state.clear_timer(store, timer(10, "a", "early"));
        assert_eq!(commit(&mut state), 1, "nothing is known of what is applied");
        assert_eq!(due(&mut state, 5, 9), (vec![], false));
        for at in [20, 30, 40] {
            state.set_timer(store, timer(at, "a", "k"));
        }
        state.clear_timer(store, timer(20, "a", "k"));
        assert_eq!(commit(&mut state), 2, "the one at 20 was never there");
        // Two that are applied, one that is not but might be for all that is known, and one that cannot be.
        for at in [30, 40, 35, 41] {
            state.set_timer(store, timer(at, "a", "k"));
            state.clear_timer(store, timer(at, "a", "k"));
        }
        assert_eq!(commit(&mut state), 3);
        assert_eq!(due(&mut state, 100, 9), (vec![], false));
    }
}
