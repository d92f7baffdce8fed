//! What a worker has of its partitions: where each one stands, and the records that were taken in and not yet handed
//! over.
//!
//! Records of one fetch are gathered into runs, one a partition, so that partitions that alternate in the queue still
//! give large batches. Always: a partition's runs are in offset order and hold no record twice; nothing below its next
//! offset or at its stop or beyond is taken in.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use rdkafka::types::RDKafkaErrorCode as Code;

use super::buffered_partition::BufferedPartition;
use super::merging::{KnownEnd, Merging};
use crate::kafka::native::message::{Message, PartitionHandle};
use crate::kafka::native::record_queue::TakesMessages;
use crate::record::{Records, TopicPartition};
use crate::source::merge::MergedSource;

/// One serving ends when this many bytes were taken in: what is out of librdkafka's queue is out of its budget.
const SERVING_BYTES: usize = 2 << 20;

/// And when this many full batches were.
const SERVING_BATCHES: usize = 4;

/// Emptied runs that keep their memory for the next ones.
const SPARE_RUNS: usize = 16;

/// An error that came in place of a record.
#[derive(Debug)]
pub(in crate::source) struct Trouble {
    pub(in crate::source) topic: String,
    pub(in crate::source) partition: i32,
    pub(in crate::source) code: Code,
    pub(in crate::source) text: String,
}

/// The partitions of a worker, and their records.
#[derive(Debug)]
pub(in crate::source) struct RecordBuffer {
    slots: Vec<Option<BufferedPartition>>,
    by_place: BTreeMap<Arc<str>, BTreeMap<i32, usize>>,
    /// Slots that have a run, oldest first.
    runs: VecDeque<usize>,
    spare: Vec<Records>,
    /// The batch that was handed over and not processed yet.
    outstanding: Option<Outstanding>,
    pub(in crate::source) troubles: Vec<Trouble>,
    max_batch: usize,
    /// If partitions of one number are merged.
    merging: Option<Merging>,
    serving: BufferServing,
}

#[derive(Debug, Clone, Copy)]
struct Outstanding {
    slot: usize,
    /// The offset behind its last record, and the epoch of the leader that took it.
    behind: i64,
    leader_epoch: Option<i32>,
    /// The epoch of the leader of the first record of the run that it was taken from.
    oldest_epoch: Option<i32>,
}

/// What this serving has taken in.
#[derive(Debug, Default)]
struct BufferServing {
    records: usize,
    bytes: usize,
    /// Place and slot of the message before; a name is looked up only when the partition changes.
    last: Option<(PartitionHandle, Option<usize>)>,
}

impl RecordBuffer {
    /// `merged`: how each source is merged with the others, if they are.
    pub(in crate::source) fn new(max_batch: usize, merged: Option<Vec<MergedSource>>) -> Self {
        Self {
            slots: Vec::new(),
            by_place: BTreeMap::new(),
            runs: VecDeque::new(),
            spare: Vec::new(),
            outstanding: None,
            troubles: Vec::new(),
            max_batch: max_batch.max(1),
            merging: merged.map(Merging::new),
            serving: BufferServing::default(),
        }
    }

    pub(in crate::source) fn add(&mut self, slot: BufferedPartition) {
        let index = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        self.by_place
            .entry(slot.at.topic.clone())
            .or_default()
            .insert(slot.at.partition, index);
        match self.slots.get_mut(index) {
            Some(free) => *free = Some(slot),
            None => self.slots.push(Some(slot)),
        }
    }

    /// Gives a partition up, with the records that were not handed over. Gives its last safe position.
    pub(in crate::source) fn remove(&mut self, at: &TopicPartition) -> Option<(BufferedPartition, i64)> {
        let index = self.index(&at.topic, at.partition)?;
        let safe = self.settled(index)?;
        if let Some(numbers) = self.by_place.get_mut(&at.topic) {
            numbers.remove(&at.partition);
        }
        self.runs.retain(|run| *run != index);
        self.outstanding = self.outstanding.filter(|batch| batch.slot != index);
        self.merging.iter_mut().for_each(Merging::forget);
        let slot = self.slots[index].take()?;
        Some((slot, safe))
    }

    fn index(&self, topic: &str, partition: i32) -> Option<usize> {
        self.by_place.get(topic)?.get(&partition).copied()
    }

    pub(in crate::source) fn slots(&self) -> impl Iterator<Item = &BufferedPartition> {
        self.slots.iter().flatten()
    }

    pub(in crate::source) fn slot(&self, topic: &str, partition: i32) -> Option<&BufferedPartition> {
        self.slots[self.index(topic, partition)?].as_ref()
    }

    pub(in crate::source) fn slot_mut(&mut self, topic: &str, partition: i32) -> Option<&mut BufferedPartition> {
        let index = self.index(topic, partition)?;
        self.slots[index].as_mut()
    }

    /// Forgets what was taken in beyond `next` and not handed over, and goes on there.
    pub(in crate::source) fn restart(&mut self, at: &TopicPartition, next: i64) {
        let Some(index) = self.index(&at.topic, at.partition) else {
            return;
        };
        self.runs.retain(|run| *run != index);
        self.outstanding = self.outstanding.filter(|batch| batch.slot != index);
        self.merging.iter_mut().for_each(Merging::forget);
        if let Some(slot) = self.slots[index].as_mut() {
            slot.forget_run();
            slot.next = next;
            slot.processed = next;
        }
    }

    /// What was read before belongs to another log: its leader's epoch says nothing of the position any more.
    pub(in crate::source) fn forget_epoch(&mut self, at: &TopicPartition) {
        if let Some(index) = self.index(&at.topic, at.partition)
            && let Some(slot) = self.slots[index].as_mut()
        {
            (slot.leader_epoch, slot.newest_epoch) = (None, None);
        }
    }

    /// Where a partition may be committed: behind its last processed record; its position, if nothing is in between.
    fn settled(&self, index: usize) -> Option<i64> {
        let slot = self.slots.get(index)?.as_ref()?;
        let is_waiting = slot.run.is_some() || self.outstanding.is_some_and(|batch| batch.slot == index);
        Some(if is_waiting { slot.processed } else { slot.next })
    }

    /// Every partition with the position that may be committed.
    pub(in crate::source) fn positions(&self) -> impl Iterator<Item = (&BufferedPartition, i64)> {
        (0..self.slots.len()).filter_map(|index| Some((self.slots[index].as_ref()?, self.settled(index)?)))
    }

    pub(in crate::source) fn has_outstanding(&self) -> bool {
        self.outstanding.is_some()
    }

    /// The batch that was handed over last is processed.
    pub(in crate::source) fn processed(&mut self) {
        if let Some(batch) = self.outstanding.take()
            && let Some(slot) = self.slots[batch.slot].as_mut()
        {
            slot.processed = batch.behind;
            slot.leader_epoch = batch.leader_epoch.map(|epoch| (batch.behind, epoch));
        }
    }

    /// The batch that was handed over last, which has these records, ends behind the one of that offset: those behind
    /// it are handed over again. `false`: nobody waits for it any more, and it stays as it is.
    pub(in crate::source) fn put_back(&mut self, offset: i64, records: &mut Records) -> bool {
        let Some(batch) = &mut self.outstanding else {
            return false;
        };
        let Some(slot) = self.slots[batch.slot].as_mut() else {
            return false;
        };
        let mut run = records.split_off(records.offsets.partition_point(|of| *of <= offset));
        let mut told = run.len();
        if let Some(behind) = slot.run.take() {
            (slot.handed_over..behind.len()).for_each(|row| run.push_from(&behind, row));
            told += slot.told.saturating_sub(slot.handed_over);
            self.runs.retain(|of| *of != batch.slot);
        }
        (slot.run, slot.handed_over, slot.told) = (Some(run), 0, told);
        slot.oldest_epoch = batch.oldest_epoch;
        batch.behind = offset + 1;
        // Epochs never fall.
        batch.leader_epoch = slot.newest_epoch.filter(|newest| batch.oldest_epoch == Some(*newest));
        self.runs.push_front(batch.slot);
        self.merging.iter_mut().for_each(Merging::forget);
        true
    }

    pub(in crate::source) fn has_run(&self) -> bool {
        !self.runs.is_empty()
    }

    /// Whether something can be handed over. `known_end`: the end of a partition's log as far as it is known; `None`:
    /// nothing more is read.
    pub(in crate::source) fn is_ready(&mut self, known_end: Option<&KnownEnd<'_>>) -> bool {
        match &mut self.merging {
            Some(merging) if !self.runs.is_empty() => merging.choose(&mut self.slots, known_end, self.max_batch),
            _ => self.has_run(),
        }
    }

    /// Partitions of which so much is at hand that no more has to come for now, and those of which it has to again.
    pub(in crate::source) fn change_parked(&mut self) -> Vec<(TopicPartition, bool)> {
        let mut changed = Vec::new();
        if self.merging.is_none() {
            return changed;
        }
        for slot in self.slots.iter_mut().flatten() {
            let is_ahead = slot.left() >= self.max_batch;
            if std::mem::replace(&mut slot.is_parked, is_ahead) != is_ahead {
                changed.push((slot.at.clone(), is_ahead));
            }
        }
        changed
    }

    /// Hands over what goes next, which is the oldest run if nothing is merged: `into` gets its records, and gives its
    /// memory in return.
    pub(in crate::source) fn hand_over(&mut self, into: &mut Records) -> Option<(usize, TopicPartition)> {
        let (index, count) = match &mut self.merging {
            None => (*self.runs.front()?, usize::MAX),
            Some(merging) => merging.chosen()?,
        };
        let slot = self.slots[index].as_mut()?;
        let mut run = slot.run.take()?;
        let from = std::mem::take(&mut slot.handed_over);
        let to = from.saturating_add(count).min(run.len());
        let behind = to.checked_sub(1).map_or(slot.processed, |last| run.offsets[last] + 1);
        let is_of_one_leader = to == run.len() || slot.oldest_epoch == slot.newest_epoch;
        self.outstanding = Some(Outstanding {
            slot: index,
            behind,
            leader_epoch: slot.newest_epoch.filter(|_| is_of_one_leader),
            oldest_epoch: slot.oldest_epoch,
        });
        let place = (slot.source, slot.at.clone());
        match to == run.len() {
            true => {
                slot.forget_handed_over();
                self.runs.retain(|of| *of != index);
            }
            false => slot.handed_over = to,
        }
        if from == 0 && to == run.len() {
            std::mem::swap(into, &mut run);
        } else {
            into.clear();
            (from..to).for_each(|row| into.push_from(&run, row));
        }
        if slot.handed_over > 0 {
            slot.run = Some(run);
            slot.make_room(&mut self.spare);
        } else if self.spare.len() < SPARE_RUNS {
            run.clear();
            self.spare.push(run);
        }
        Some(place)
    }

    /// A new serving begins: what it takes in is counted anew.
    pub(in crate::source) fn begin(&mut self) {
        self.serving = BufferServing::default();
    }

    pub(in crate::source) fn is_full(&self) -> bool {
        self.serving.records >= self.max_batch * SERVING_BATCHES || self.serving.bytes >= SERVING_BYTES
    }

    fn slot_of(&mut self, message: &Message<'_>) -> Option<usize> {
        let place = message.place();
        match self.serving.last {
            Some((last, slot)) if last == place => slot,
            _ => {
                let slot = self.index(message.topic(), message.partition());
                self.serving.last = Some((place, slot));
                slot
            }
        }
    }

    /// An error, or the end of a partition, which tells a position.
    fn take_error(&mut self, message: &Message<'_>, code: Code, text: String) {
        if code == Code::PartitionEOF {
            if let Some(slot) = self.slot_mut(message.topic(), message.partition()) {
                slot.reach(message.offset());
                slot.end = Some(message.offset());
            }
            return;
        }
        self.troubles.push(Trouble {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            code,
            text,
        });
    }
}

impl TakesMessages for RecordBuffer {
    fn take(&mut self, message: &Message<'_>) -> bool {
        if let Some((code, text)) = message.error() {
            self.take_error(message, code, text);
            return !self.is_full();
        }
        let Some(index) = self.slot_of(message) else {
            return true;
        };
        let Some(slot) = self.slots[index].as_mut() else {
            return true;
        };
        let offset = message.offset();
        if offset < slot.next || slot.is_moving {
            return true;
        }
        if slot.stop.is_some_and(|stop| offset >= stop) {
            slot.reach(offset);
            return true;
        }
        if slot.run.is_none() {
            slot.run = Some(self.spare.pop().unwrap_or_default());
            slot.oldest_epoch = message.leader_epoch();
            self.runs.push_back(index);
        }
        let Some(run) = slot.run.as_mut() else {
            return true;
        };
        self.serving.records += 1;
        self.serving.bytes += push(message, run);
        slot.next = offset + 1;
        slot.newest_epoch = message.leader_epoch();
        // One that is held back does not stop those behind it that are waited for.
        let is_run_full = self.merging.is_none() && run.len() >= self.max_batch;
        !is_run_full && !self.is_full()
    }
}

/// Copies a message behind a run's records; gives its size.
fn push(message: &Message<'_>, run: &mut Records) -> usize {
    let at = run.len() as u32;
    let (key, value) = (message.key(), message.payload());
    let mut size = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len);
    run.keys.push(key);
    run.values.push(value);
    run.timestamps.push(message.timestamp());
    message.each_header(|name, value| {
        size += name.len() + value.map_or(0, <[u8]>::len);
        run.headers.push(at, name, value);
    });
    run.offsets.push(message.offset());
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A buffer of one partition that has taken in these offsets.
    fn buffer(offsets: std::ops::Range<i64>) -> RecordBuffer {
        let mut buffer = RecordBuffer::new(10, None);
        let at = TopicPartition::new("in", 0);
        buffer.add(BufferedPartition::new(0, at, offsets.start, None, None));
        fill(&mut buffer, offsets);
        buffer
    }

    /// More records come.
    fn fill(buffer: &mut RecordBuffer, offsets: std::ops::Range<i64>) {
        if offsets.is_empty() {
            return;
        }
        let slot = buffer.slots[0].as_mut().unwrap();
        slot.next = offsets.end;
        if slot.run.is_none() {
            buffer.runs.push_back(0);
        }
        let run = slot.run.get_or_insert_default();
        for offset in offsets {
            run.keys.push(None);
            run.values.push(Some(offset.to_string().as_bytes()));
            run.timestamps.push(0);
            run.offsets.push(offset);
        }
        (slot.oldest_epoch, slot.newest_epoch) = (Some(3), Some(3));
    }

    fn slot(buffer: &RecordBuffer) -> &BufferedPartition {
        buffer.slots[0].as_ref().unwrap()
    }

    fn position(buffer: &RecordBuffer) -> i64 {
        buffer.positions().next().unwrap().1
    }

    #[test]
    fn the_rest_of_a_batch_that_ended_sooner_goes_next_and_no_position_passes_it() {
        for came_meanwhile in [10, 14] {
            let mut buffer = buffer(0..10);
            let mut batch = Records::default();
            buffer.hand_over(&mut batch).unwrap();
            assert_eq!(batch.offsets, Vec::from_iter(0..10));
            fill(&mut buffer, 10..came_meanwhile);
            assert!(buffer.put_back(6, &mut batch) && buffer.put_back(3, &mut batch));
            assert_eq!(batch.offsets, [0, 1, 2, 3]);
            assert_eq!(position(&buffer), 0, "nothing is processed yet");
            buffer.processed();
            assert_eq!(position(&buffer), 4);
            assert_eq!(slot(&buffer).leader_epoch_at(4), Some(3));
            buffer.hand_over(&mut batch).unwrap();
            assert_eq!(batch.offsets, Vec::from_iter(4..came_meanwhile));
            assert_eq!(batch.values.get(0), Some(&b"4"[..]));
            assert_eq!(position(&buffer), 4);
            buffer.processed();
            assert_eq!((position(&buffer), buffer.has_run()), (came_meanwhile, false));
            assert_eq!(slot(&buffer).leader_epoch_at(came_meanwhile), Some(3));
        }
    }

    #[test]
    fn what_stands_behind_the_part_of_a_run_that_was_handed_over_stays_behind_it() {
        let mut buffer = buffer(0..10);
        let mut batch = Records::default();
        buffer.hand_over(&mut batch).unwrap();
        // As if only the first six of them had been chosen.
        let whole = batch.clone();
        batch = whole.clone();
        drop(batch.split_off(6));
        let slot_of = buffer.slots[0].as_mut().unwrap();
        (slot_of.run, slot_of.handed_over, slot_of.told) = (Some(whole), 6, 10);
        buffer.runs.push_back(0);
        assert!(buffer.put_back(1, &mut batch));
        assert_eq!(batch.offsets, [0, 1]);
        assert_eq!((slot(&buffer).left(), slot(&buffer).told), (8, 8));
        buffer.processed();
        buffer.hand_over(&mut batch).unwrap();
        assert_eq!(batch.offsets, Vec::from_iter(2..10));
    }

    #[test]
    fn of_two_leaders_nobody_says_which_one_took_the_last_record() {
        let mut buffer = buffer(0..10);
        buffer.slots[0].as_mut().unwrap().oldest_epoch = Some(2);
        let mut batch = Records::default();
        buffer.hand_over(&mut batch).unwrap();
        assert!(buffer.put_back(3, &mut batch));
        buffer.processed();
        assert_eq!(slot(&buffer).leader_epoch_at(4), None);
    }

    #[test]
    fn a_partition_with_records_at_hand_is_not_at_its_stop() {
        let mut buffer = buffer(0..10);
        buffer.slots[0].as_mut().unwrap().stop = Some(10);
        let mut batch = Records::default();
        buffer.hand_over(&mut batch).unwrap();
        assert!(buffer.put_back(3, &mut batch));
        buffer.processed();
        let stops = |buffer: &RecordBuffer| slot(buffer).stops_at(position(buffer));
        assert!(slot(&buffer).is_at_stop() && !stops(&buffer));
        buffer.hand_over(&mut batch).unwrap();
        buffer.processed();
        assert!(stops(&buffer));
    }

    #[test]
    fn what_came_back_is_forgotten_with_its_partition() {
        let mut buffer = buffer(0..10);
        let mut batch = Records::default();
        buffer.hand_over(&mut batch).unwrap();
        assert!(buffer.put_back(3, &mut batch));
        let at = TopicPartition::new("in", 0);
        let (_, safe) = buffer.remove(&at).unwrap();
        assert_eq!((safe, buffer.has_run(), buffer.has_outstanding()), (0, false, false));
        assert!(
            !buffer.put_back(2, &mut batch),
            "there is nothing that it could come back to"
        );
        assert_eq!(batch.offsets, [0, 1, 2, 3]);
    }
}
