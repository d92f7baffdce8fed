//! Event time of a task while a batch is on its way: how the batch's records move it, and how far each operator is.
//!
//! ```text
//! of a partition: the largest event time so far − max-out-of-orderness − 1 ms
//! of a task: the least of its partitions
//! ```
//!
//! Always: a record is seen first, then time moves; it never goes back; an operator is moved on only once all timers of
//! those before it have fired, so that what they put out is in time for it. What is known of time lies in the task's
//! state, and so is as old as the committed positions, whatever happens.
//!
//! A move that many timers wait for need not be done in one batch: a batch may end in its last move, and what is kept
//! says to where time has to go before anything else happens in the task. Operators begin that move anew, and find what
//! has not fired.

use crate::clock::LATEST_EVENT_TIME;
use crate::config::TimeSettings;
use crate::error::Result;
use crate::plugin::{Advance, CallTime, Reached};
use crate::record::{Column, Records, TopicPartition};
use crate::state::{StoreId, TaskState, store_id};
use crate::topology::{CallInput, RecordsFrom, Route};

/// How the records of a partition move event time.
#[derive(Debug, Clone, Copy)]
pub(super) struct TimeRule {
    /// How much later than the newest event an event may come and still be in time, in milliseconds.
    out_of_orderness: i64,
    /// Event times behind this one, in milliseconds since 1970, move nothing.
    latest: i64,
}

impl TimeRule {
    /// That of a source, while the clock stands at `now`.
    pub(super) fn of(settings: TimeSettings, now: i64) -> Self {
        Self {
            out_of_orderness: i64::try_from(settings.out_of_orderness.as_millis()).unwrap_or(i64::MAX),
            latest: settings.latest(now),
        }
    }

    /// Whether an event may have this time.
    pub(super) fn can_be(self, timestamp: i64) -> bool {
        (0..=self.latest).contains(&timestamp)
    }

    /// Why it may not.
    pub(super) fn why(self, timestamp: i64) -> String {
        let latest = self.latest;
        match timestamp {
            ..0 => format!("its event time is {timestamp}, before 1970"),
            _ if latest < LATEST_EVENT_TIME => format!(
                "its event time is {timestamp}, which is further ahead of the clock than `max-ahead` allows (until \
                 {latest})"
            ),
            _ => format!("its event time is {timestamp}, behind year 9999; times are in milliseconds since 1970"),
        }
    }

    /// The watermark behind a record of this event time; `None`: it moves nothing.
    fn watermark(self, timestamp: i64) -> Option<i64> {
        let watermark = || timestamp.saturating_sub(self.out_of_orderness).saturating_sub(1);
        self.can_be(timestamp).then(watermark)
    }
}

/// How far a call of the route is.
#[derive(Debug, Clone, Copy)]
struct CallReach {
    /// Where time stands for its operator.
    watermark: i64,
    /// No timer is due there any more.
    is_complete: bool,
    /// Where it may stand for those behind it: all timers up to there have fired that were due before a row behind it.
    passed: i64,
}

/// See the file's header.
#[derive(Default)]
pub(super) struct TaskTime {
    /// Before the batch.
    watermark: i64,
    /// The offset of the record before the batch's first, or what comes nearest, and that of its last.
    offset: i64,
    last_offset: i64,
    moves: Vec<Advance>,
    /// What is kept once the batch is through: the partition's watermark and the task's.
    partition: Option<(Vec<u8>, i64)>,
    /// How far each call of the route is: now, and when the piece at hand began.
    calls: Vec<CallReach>,
    calls_before: Vec<CallReach>,
    /// The host's clock, whose timers fire instead.
    clock: Option<i64>,
    /// Something on the route goes by time.
    is_told: bool,
}

impl TaskTime {
    /// A batch begins: looks up where time stands, and how its records move it. `others`: the partitions of the task
    /// that hold time back beside its own. How many records came behind the watermark.
    pub(super) fn begin(
        &mut self,
        state: &mut TaskState,
        partition: &TopicPartition,
        others: &[TopicPartition],
        records: &Records,
        rule: TimeRule,
    ) -> Result<u64> {
        let known = Watermarks::read(state, std::iter::once(partition).chain(others))?;
        let (mut own, others) = (known.partitions[0], known.partitions[1..].iter().min().copied());
        self.start(known.task, records.offsets.first().map_or(0, |first| first - 1));
        self.last_offset = records.offsets.last().copied().unwrap_or(self.offset);
        let of_task = |own: i64| others.map_or(own, |others| own.min(others));
        // Others held time back until they were done, or idle, or a move was not done: it goes on before the first
        // record.
        let before_all = known.owed.map_or(of_task(own), |owed| owed.max(of_task(own)));
        self.move_to(before_all, self.offset);
        let (mut stands, mut late) = (self.watermark.max(before_all), 0);
        for (timestamp, offset) in records.timestamps.iter().zip(&records.offsets) {
            late += u64::from(*timestamp <= stands);
            own = own.max(rule.watermark(*timestamp).unwrap_or(own));
            stands = stands.max(of_task(own));
            self.move_to(stands, *offset);
        }
        if own > known.partitions[0] {
            self.partition = Some((place(partition), own));
        }
        Ok(late)
    }

    /// Time moves without a record: to `watermark`, or to where it has to go before.
    pub(super) fn begin_at(&mut self, state: &mut TaskState, watermark: i64, offset: i64) -> Result<()> {
        let known = Watermarks::read(state, std::iter::empty())?;
        self.start(known.task, offset);
        self.move_to(known.owed.unwrap_or(watermark), offset);
        Ok(())
    }

    /// The offset behind which time moves before the batch's first record, if it does.
    pub(super) fn moves_before(&self, records: &Records) -> Option<i64> {
        let is_before = |first: &&Advance| records.offsets.first().is_some_and(|offset| first.offset < *offset);
        Some(self.moves.first().filter(is_before)?.offset)
    }

    /// Time goes on behind the record of that offset, if it does.
    fn move_to(&mut self, watermark: i64, offset: i64) {
        if watermark > self.moves.last().map_or(self.watermark, |last| last.watermark) {
            self.moves.push(Advance {
                before: 0,
                watermark,
                offset,
            });
        }
    }

    /// The timers of the host's clock fire that are due by `now`.
    pub(super) fn begin_clock(&mut self, state: &mut TaskState, now: i64, offset: i64) -> Result<()> {
        let known = Watermarks::read(state, std::iter::empty())?;
        self.start(known.task, offset);
        self.clock = Some(now);
        Ok(())
    }

    fn start(&mut self, watermark: i64, offset: i64) {
        (self.watermark, self.offset, self.last_offset) = (watermark, offset, offset);
        self.moves.clear();
        self.partition = None;
        self.clock = None;
    }

    /// Nothing on the route of the batch goes by time.
    pub(super) fn stand_still(&mut self) {
        self.start(i64::MIN, 0);
        self.is_told = false;
    }

    /// To where the batch moved its partition's watermark, if it did.
    pub(super) fn partition_watermark(&self) -> Option<i64> {
        self.partition.as_ref().map(|(_, watermark)| *watermark)
    }

    /// Whether something on the route goes by time.
    pub(super) fn moves(&self) -> bool {
        self.is_told
    }

    /// The first piece of the batch begins on its route.
    pub(super) fn take_route(&mut self, route: &Route) {
        self.is_told = true;
        self.calls.clear();
        let stands = CallReach {
            watermark: self.watermark,
            is_complete: self.clock.is_none(),
            passed: self.watermark,
        };
        self.calls.resize(route.calls.len(), stands);
        self.calls_before.clone_from(&self.calls);
    }

    /// The piece at hand is staged.
    pub(super) fn keep(&mut self) {
        self.calls_before.clone_from(&self.calls);
    }

    /// The piece at hand came to nothing.
    pub(super) fn undo(&mut self) {
        self.calls.clone_from(&self.calls_before);
    }

    /// The time of a call with these rows, in a piece that ends behind the source's record `end`.
    pub(super) fn of_call(&self, inputs: &[CallInput], call: usize, rows: &[i64], end: i64) -> CallTime {
        if !self.is_told {
            return CallTime::default();
        }
        let stands = self.calls[call].watermark;
        let until = inputs.iter().map(|input| self.until(input.from, end)).min();
        let until = until.unwrap_or_else(|| self.end_of(end));
        let moved = |moved: &Advance| moved.watermark <= stands;
        let passed = self.moves.partition_point(moved);
        let to = self.moves.partition_point(|moved| moved.watermark <= until).max(passed);
        let offset = passed
            .checked_sub(1)
            .map_or(self.offset, |last| self.moves[last].offset);
        CallTime {
            // With rows they wait for the next piece, which has none.
            clock: self.clock.filter(|_| rows.is_empty()),
            ..CallTime::of(rows, stands, offset, &self.moves[passed..to])
        }
    }

    /// How far a call came that had so many rows and this time.
    pub(super) fn reach(&mut self, call: usize, reached: Reached, time: &CallTime, rows: usize) {
        let Some(of) = self.calls.get_mut(call).filter(|_| self.is_told) else {
            return;
        };
        let Reached { watermark, is_complete } = reached;
        of.watermark = watermark;
        of.is_complete = is_complete && (self.clock.is_none() || rows == 0);
        // Rows behind an advance came when all that was due there had fired; behind the last one, it may be cut.
        let has_passed = |advance: &&Advance| match advance.watermark == watermark {
            true => is_complete || (advance.before as usize) < rows,
            false => advance.watermark < watermark,
        };
        let passed = time.advances.iter().rfind(has_passed).map(|advance| advance.watermark);
        of.passed = match is_complete {
            true => watermark,
            false => passed.unwrap_or(of.passed),
        };
    }

    /// Whether every call came as far as the source's records up to `end` move time.
    pub(super) fn is_complete(&self, end: i64) -> bool {
        if !self.is_told {
            return true;
        }
        let until = self.end_of(end);
        let is_there = |call: &CallReach| call.is_complete && call.watermark >= until;
        self.calls.iter().all(is_there)
    }

    /// Whether nothing is left to do but a move behind the batch's last record: it may be done in a batch of its own.
    /// The clock's timers have no such place to go on from.
    pub(super) fn is_in_last_move(&self) -> bool {
        let stands = self.before_last_move();
        let is_behind_all = self.moves.last().is_some_and(|last| last.offset >= self.last_offset);
        is_behind_all && self.calls.iter().all(|call| call.passed >= stands)
    }

    /// Where time stood before the batch's last move.
    fn before_last_move(&self) -> i64 {
        match self.moves[..] {
            [.., before, _last] => before.watermark,
            _ => self.watermark,
        }
    }

    /// The batch's last move.
    pub(super) fn last_move(&self) -> Option<Advance> {
        self.moves.last().copied()
    }

    /// How far whatever reads from there may be moved.
    fn until(&self, from: RecordsFrom, end: i64) -> i64 {
        match from {
            RecordsFrom::Source => self.end_of(end),
            RecordsFrom::Call { call, .. } => self.calls[call].passed,
        }
    }

    /// Where the source's records up to that one move time.
    fn end_of(&self, end: i64) -> i64 {
        let count = self.moves.partition_point(|moved| moved.offset <= end);
        count
            .checked_sub(1)
            .map_or(self.watermark, |last| self.moves[last].watermark)
    }

    /// The batch is through: what is known of time from here on. The end of time is no watermark that is kept: what is
    /// read later would be late.
    pub(super) fn store(&self, state: &mut TaskState) {
        self.store_partition(state);
        if let Some(last) = self.kept_move() {
            state.put(watermarks(), TASK, &last.to_le_bytes());
        }
    }

    /// The same, and the last move is not done.
    pub(super) fn store_owed(&self, state: &mut TaskState) {
        self.store_partition(state);
        if let Some(last) = self.kept_move() {
            let known = [self.before_last_move().to_le_bytes(), last.to_le_bytes()];
            state.put(watermarks(), TASK, known.as_flattened());
        }
    }

    fn store_partition(&self, state: &mut TaskState) {
        if let Some((place, watermark)) = &self.partition {
            state.put(watermarks(), place, &watermark.to_le_bytes());
        }
    }

    fn kept_move(&self) -> Option<i64> {
        let last = self.moves.last().map(|last| last.watermark);
        last.filter(|last| *last < i64::MAX)
    }
}

/// What a task's state knows of time.
pub(crate) struct Watermarks {
    /// The task's; the least number there is: nothing moved it yet.
    pub(crate) task: i64,
    /// To where it has to go before anything else happens, if a batch ended in its last move.
    pub(crate) owed: Option<i64>,
    /// Those of the partitions that were asked for.
    pub(crate) partitions: Vec<i64>,
}

impl Watermarks {
    /// The watermarks of a task and of some of its partitions.
    pub(crate) fn read<'a>(
        state: &mut TaskState,
        partitions: impl Iterator<Item = &'a TopicPartition>,
    ) -> Result<Self> {
        let (mut keys, mut found) = (Column::default(), Column::default());
        keys.push(Some(TASK));
        partitions.for_each(|at| keys.push(Some(&place(at))));
        state.values(watermarks(), &keys, &mut found)?;
        // Of a task two, if the second is owed.
        let number = |value: Option<&[u8]>, index: usize| {
            let (numbers, _) = value?.as_chunks();
            numbers.get(index).copied().map(i64::from_le_bytes)
        };
        let mut all = found.iter();
        let task = all.next().flatten();
        Ok(Self {
            task: number(task, 0).unwrap_or(i64::MIN),
            owed: number(task, 1),
            partitions: all.map(|value| number(value, 0).unwrap_or(i64::MIN)).collect(),
        })
    }
}

/// The task's own watermark stands under no partition's name.
const TASK: &[u8] = b"";

/// Where a partition's watermark stands: no topic has a slash in its name.
fn place(at: &TopicPartition) -> Vec<u8> {
    format!("{}/{}", at.topic, at.partition).into_bytes()
}

/// The store of a task's watermarks: no operator's, since none has an empty name.
fn watermarks() -> StoreId {
    static STORE: std::sync::OnceLock<StoreId> = std::sync::OnceLock::new();
    *STORE.get_or_init(|| store_id("", "watermarks"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::StateDirectory;
    use std::time::Duration;

    fn rule(max_ahead: Option<u64>) -> TimeRule {
        let settings = TimeSettings {
            out_of_orderness: Duration::from_millis(10),
            max_ahead: max_ahead.map(Duration::from_millis),
            ..TimeSettings::default()
        };
        TimeRule::of(settings, 1_000)
    }

    fn records(times: &[i64]) -> Records {
        let mut records = Records::default();
        for (offset, at) in times.iter().enumerate() {
            records.keys.push(None);
            records.values.push(None);
            records.timestamps.push(*at);
            records.offsets.push(offset as i64);
        }
        records
    }

    fn moved(time: &TaskTime) -> Vec<(i64, i64)> {
        time.moves.iter().map(|moved| (moved.offset, moved.watermark)).collect()
    }

    #[test]
    fn a_task_stands_where_the_last_of_its_partitions_stands_and_never_goes_back() {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let (mut state, mut time) = (home.task("a/0").unwrap(), TaskTime::default());
        let (a, b) = (TopicPartition::new("a", 0), TopicPartition::new("b", 0));
        let mut batch = |at: &TopicPartition, others: &[TopicPartition], times: &[i64], is_kept: bool| {
            let late = time.begin(&mut state, at, others, &records(times), rule(None)).unwrap();
            time.store(&mut state);
            match is_kept {
                true => state.keep(),
                false => state.undo(),
            }
            (moved(&time), late)
        };
        let both = |other: &TopicPartition| vec![other.clone()];
        let seen = |moved: &[(i64, i64)], late| (moved.to_vec(), late);
        assert_eq!(
            batch(&a, &both(&b), &[100, 200], true),
            seen(&[], 0),
            "nothing is known of b"
        );
        assert_eq!(batch(&b, &both(&a), &[50, 40, 60], true), seen(&[(0, 39), (2, 49)], 0));
        assert_eq!(batch(&b, &both(&a), &[500], false), seen(&[(0, 189)], 0));
        let again = batch(&b, &both(&a), &[300], true);
        assert_eq!(again, seen(&[(0, 189)], 0), "what was undone did not happen");
        assert_eq!(batch(&a, &[], &[150], true), seen(&[], 1), "b is idle: no step back");
        assert_eq!(batch(&a, &[], &[201, 400], true), seen(&[(0, 190), (1, 389)], 0));
        assert_eq!(
            batch(&b, &both(&a), &[301], true),
            seen(&[], 1),
            "b came back, and is late"
        );
    }

    #[test]
    fn once_the_others_are_done_time_goes_on_before_the_next_record() {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let (mut state, mut time) = (home.task("a/0").unwrap(), TaskTime::default());
        let (a, b) = (TopicPartition::new("a", 0), TopicPartition::new("b", 0));
        let batches: [(&TopicPartition, &[&TopicPartition], &[i64]); 2] = [(&a, &[&b], &[200]), (&b, &[&a], &[50])];
        for (at, others, times) in batches {
            let others: Vec<_> = others.iter().map(|at| (*at).clone()).collect();
            time.begin(&mut state, at, &others, &records(times), rule(None))
                .unwrap();
            time.store(&mut state);
            state.keep();
        }
        let late = time
            .begin(&mut state, &a, &[], &records(&[150, 300]), rule(None))
            .unwrap();
        assert_eq!((moved(&time), late), (vec![(-1, 189), (1, 289)], 1));
    }

    #[test]
    fn times_that_cannot_be_move_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let (mut state, mut time) = (home.task("a/0").unwrap(), TaskTime::default());
        let at = TopicPartition::new("a", 0);
        let times = [-1, 100, 1_700_000_000_000_000, 5_000, i64::MAX, i64::MIN, 200];
        time.begin(&mut state, &at, &[], &records(&times), rule(Some(3_999)))
            .unwrap();
        assert_eq!(
            moved(&time),
            [(1, 89), (6, 189)],
            "5,000 is further ahead than it may be"
        );
        time.begin(&mut state, &at, &[], &records(&times), rule(None)).unwrap();
        assert_eq!(moved(&time), [(1, 89), (3, 4_989)]);
        assert!(rule(Some(3_999)).why(5_000).contains("`max-ahead`"));
        assert!(rule(None).why(-1).contains("before 1970") && rule(None).why(i64::MAX).contains("year 9999"));
    }

    #[test]
    fn the_end_of_time_is_not_kept() {
        let folder = tempfile::tempdir().unwrap();
        let home = StateDirectory::open(folder.path(), 1 << 20).unwrap();
        let (mut state, mut time) = (home.task("a/0").unwrap(), TaskTime::default());
        let at = TopicPartition::new("a", 0);
        time.begin(&mut state, &at, &[], &records(&[100]), rule(None)).unwrap();
        time.store(&mut state);
        time.begin_at(&mut state, i64::MAX, 1).unwrap();
        assert_eq!(moved(&time), [(1, i64::MAX)]);
        time.store(&mut state);
        let known = Watermarks::read(&mut state, std::iter::once(&at)).unwrap();
        assert_eq!((known.task, known.partitions), (89, vec![89]));
    }
}
