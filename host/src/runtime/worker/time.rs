//! What moves the time of a worker's tasks while nothing is read: partitions that are idle, the end of a bounded input,
//! and the clock.

use super::run::Worker;
use crate::clock::{self, Interval};
use crate::error::Result;
use crate::offset_metadata::PartitionTime;
use crate::record::TopicPartition;
use crate::runtime::batch::{Done, MovedBy, Watermarks};
use crate::runtime::input::WorkerInput;
use crate::source::ReaderPosition;
use std::collections::HashMap;
use std::time::Duration;

/// How often the group is asked where the time of others stands, while partitions of a worker are idle; and when it is
/// asked again that did not answer.
const OTHERS_LOOK: Duration = Duration::from_millis(500);
const OTHERS_LOOK_AFTER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long the group may take to answer that.
const OTHERS_LIMIT: Duration = Duration::from_millis(500);

/// A task whose time may move, with a partition of its own to which whatever comes of it is put down.
struct Timed {
    task: String,
    partition: TopicPartition,
    /// The offset of that partition's last record.
    offset: i64,
    /// Index in the pipeline's sources.
    source: usize,
    /// Its partitions, and which of them are idle.
    partitions: Vec<(TopicPartition, bool)>,
}

impl Worker {
    /// Goes on with a move of time that a batch left, this worker's or that of whoever had the task before, once what
    /// was done of it is committed if a commit is due. Whether there was one.
    pub(super) fn go_on_with_time(&mut self) -> Result<bool> {
        if !self.may_owe_time {
            return Ok(false);
        }
        self.poll_and_commit()?;
        // Whatever was given up meanwhile has no state here; whatever was taken back owes what it owed then.
        for input in 0..self.inputs.len() {
            for timed in self.timed_tasks(input) {
                if let Some(watermark) = self.owed_time(&timed.task)? {
                    let offset = timed.offset;
                    self.fire(input, &timed, MovedBy::Others { watermark, offset })?;
                    return Ok(true);
                }
            }
        }
        self.may_owe_time = self.owned.is_restoring();
        Ok(false)
    }

    /// To where the time of a task has to go before anything else happens in it.
    fn owed_time(&mut self, task: &str) -> Result<Option<i64>> {
        match self.owned.state(task) {
            Some(state) => Ok(Watermarks::read(state, std::iter::empty())?.owed),
            None => Ok(None),
        }
    }

    /// Moves the time of tasks whose partitions are idle, and fires the timers of the clock.
    pub(super) fn see_to_time(&mut self) -> Result<()> {
        for input in 0..self.inputs.len() {
            self.look_at_idleness(input);
            let tasks = self.timed_tasks(input);
            if tasks.is_empty() {
                continue;
            }
            let elsewhere = self.least_active(input, &tasks)?;
            for timed in tasks {
                // What fired before may have made the group take it.
                if !self.owned.has(&timed.task) {
                    continue;
                }
                if let Some(watermark) = self.moved_by_others(&timed, &elsewhere)? {
                    let offset = timed.offset;
                    self.fire(input, &timed, MovedBy::Others { watermark, offset })?;
                }
                let now = clock::wall_ms();
                let state = self.owned.state(&timed.task);
                // Reads nothing, unlike the look whether a move of event time is owed, which comes first.
                let may_fire = self.tasks.may_fire_by_clock(timed.source, now, state);
                if may_fire && self.owed_time(&timed.task)?.is_none() {
                    let offset = timed.offset;
                    self.fire(input, &timed, MovedBy::Clock { now, offset })?;
                }
            }
        }
        Ok(())
    }

    /// The end of an input is the end of time for its tasks. Whether something fired.
    pub(in crate::runtime) fn end_time(&mut self, input: usize) -> Result<bool> {
        let mut has_fired = false;
        for timed in self.timed_tasks(input) {
            let state = self.owned.state(&timed.task);
            if self.tasks.may_fire_in_the_end(timed.source, state)? {
                let (watermark, offset) = (i64::MAX, timed.offset);
                self.fire(input, &timed, MovedBy::Others { watermark, offset })?;
                has_fired = true;
            }
        }
        Ok(has_fired)
    }

    fn look_at_idleness(&mut self, input: usize) {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return;
        };
        let Some(reader) = &member.reader else { return };
        if !member.sources.iter().any(|source| self.tasks.goes_by_time(*source)) {
            return;
        }
        let sources = &self.shared.pipeline.sources;
        let after = |of: &ReaderPosition| match of.is_at_stop {
            // It brings nothing any more.
            true => Some(Duration::ZERO),
            false if of.end.is_some_and(|end| of.next >= end) => {
                Some(sources[member.sources[of.source]].time().idle_after)
            }
            false => None,
        };
        let positions = reader.positions();
        let at_end: HashMap<_, _> = positions
            .iter()
            .filter_map(|of| Some((&of.partition, after(of)?)))
            .collect();
        let newly_idle = member.idleness.look(clock::now(), |at| at_end.get(at).copied());
        // Whoever waits for its time is not to wait for it any more.
        newly_idle.iter().for_each(|task| self.owned.tell_group(task));
    }

    /// The tasks of an input behind which something goes by time.
    /// Whether there is a task in which something may happen although no record comes.
    pub(super) fn goes_by_time(&self) -> bool {
        (0..self.inputs.len()).any(|input| !self.timed_tasks(input).is_empty())
    }

    fn timed_tasks(&self, input: usize) -> Vec<Timed> {
        match &self.inputs[input] {
            WorkerInput::Files { files, task, .. } => {
                let first = files.partitions().next();
                let timed = first.filter(|(_, source, _)| self.tasks.goes_by_time(*source));
                let timed = timed.map(|(partition, source, _)| Timed {
                    task: task.clone(),
                    partition: partition.clone(),
                    offset: -1,
                    source,
                    partitions: files
                        .partitions()
                        .map(|(at, _, is_done)| (at.clone(), is_done))
                        .collect(),
                });
                timed.into_iter().collect()
            }
            WorkerInput::Kafka(member) => {
                let Some(reader) = &member.reader else {
                    return Vec::new();
                };
                if !member.sources.iter().any(|source| self.tasks.goes_by_time(*source)) {
                    return Vec::new();
                }
                let positions = reader.positions();
                let tasks = member.idleness.tasks().into_iter().filter_map(|(task, partitions)| {
                    let of = positions.iter().find(|of| of.partition == *partitions[0].0)?;
                    Some(Timed {
                        task: task.to_owned(),
                        partition: of.partition.clone(),
                        offset: of.next - 1,
                        source: member.sources[of.source],
                        partitions: partitions.into_iter().map(|(at, idle)| (at.clone(), idle)).collect(),
                    })
                });
                tasks.filter(|timed| self.owned.has(&timed.task)).collect()
            }
        }
    }

    /// For each task the least watermark of the partitions of other tasks that are not idle; none if all are. Those of
    /// other workers and processes are known by what they committed.
    fn least_active(&mut self, input: usize, tasks: &[Timed]) -> Result<HashMap<String, i64>> {
        let mut least: Vec<(String, Option<i64>)> = Vec::new();
        for timed in tasks {
            let watermarks = match self.owned.state(&timed.task) {
                Some(state) => Watermarks::read(state, timed.partitions.iter().map(|(at, _)| at))?.partitions,
                None => Vec::new(),
            };
            let mut active = Vec::new();
            if let WorkerInput::Kafka(member) = &mut self.inputs[input] {
                for ((at, is_idle), watermark) in timed.partitions.iter().zip(watermarks) {
                    member.idleness.note(at, watermark);
                    active.extend((!is_idle).then_some(watermark));
                }
            }
            least.push((timed.task.clone(), active.into_iter().min()));
        }
        if least.iter().any(|(_, active)| active.is_none()) {
            least.push((String::new(), self.least_committed(input)?));
        }
        let elsewhere = |(task, _): &(String, Option<i64>)| {
            let others = least.iter().filter(|(other, _)| other != task);
            Some((task.clone(), others.filter_map(|(_, least)| *least).min()?))
        };
        Ok(least.iter().filter_map(elsewhere).collect())
    }

    /// The least watermark that others committed for partitions that are not idle, as of a moment ago.
    fn least_committed(&mut self, input: usize) -> Result<Option<i64>> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(None);
        };
        let Some(reader) = &member.reader else { return Ok(None) };
        if member.others_look.due() {
            let committed = reader.committed_elsewhere(OTHERS_LIMIT)?;
            let again = if committed.is_some() {
                OTHERS_LOOK
            } else {
                OTHERS_LOOK_AFTER_TIMEOUT
            };
            member.others_look = Interval::new(again);
            member.least_of_others = match &committed {
                Some(committed) => committed
                    .iter()
                    .filter_map(|(_, held)| active_watermark(held.as_ref()))
                    .min(),
                None => Some(i64::MIN),
            };
        }
        Ok(member.least_of_others)
    }

    /// Where a task's time is without a record: where its partitions that are not idle let it. If all are, none holds
    /// it back: it is as far as any of them came, or where those of other tasks are. So it does not matter which of
    /// them was idle first. `None`: it stands still.
    fn moved_by_others(&mut self, timed: &Timed, elsewhere: &HashMap<String, i64>) -> Result<Option<i64>> {
        let Some(state) = self.owned.state(&timed.task) else {
            return Ok(None);
        };
        let known = Watermarks::read(state, timed.partitions.iter().map(|(at, _)| at))?;
        if known.owed.is_some() {
            return Ok(known.owed);
        }
        let of_each = timed.partitions.iter().zip(&known.partitions);
        let active = of_each
            .filter(|((_, is_idle), _)| !is_idle)
            .map(|(_, watermark)| watermark);
        let furthest = || known.partitions.iter().chain(elsewhere.get(&timed.task)).max();
        let moved = active.min().or_else(furthest);
        Ok(moved.copied().filter(|moved| *moved > known.task))
    }

    /// Lets time move with an empty batch of one of the task's partitions.
    fn fire(&mut self, input: usize, timed: &Timed, moved_by: MovedBy) -> Result<Done> {
        self.batch.records.clear();
        self.batch.partition.clone_from(&timed.partition);
        self.take_through(input, timed.source, &moved_by)
    }
}

/// The watermark that was committed for a partition; `None`: it is idle. What is not known holds time back.
fn active_watermark(held: Option<&(i64, String)>) -> Option<i64> {
    match held.and_then(|(_, metadata)| PartitionTime::read(metadata)) {
        Some(time) if time.is_idle => None,
        Some(time) => Some(time.watermark),
        None => Some(i64::MIN),
    }
}
