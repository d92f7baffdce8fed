//! What a round commits, as it was when the round began.

use crate::checkpoint::{Stops, TaskFrame, Upload};
use crate::clock;
use crate::config::Offsets;
use crate::offset_metadata::Pointer;
use crate::pipeline::lane::Lane;
use crate::pipeline::worker::Worker;
use crate::record::{Committable, TopicPartition};
use std::collections::BTreeMap;
use std::time::Instant;

/// What a round commits.
pub(super) struct Sealed {
    pub(super) partitions: Vec<SealedPartition>,
    /// What is to be written once the outputs are acknowledged; elsewhere it is written meanwhile.
    pub(super) waiting: Option<Vec<TaskFrame>>,
    pub(super) upload: Option<Upload>,
    /// One a task, once the bundle is durable.
    pub(super) pointers: Vec<Pointer>,
    /// Each lane's membership, as bytes for the producer.
    pub(super) members: Vec<(usize, Vec<u8>)>,
    pub(super) begun: Instant,
    /// Of the changes.
    pub(super) bytes: usize,
}

impl Sealed {
    pub(super) fn with_upload(&mut self) -> Option<(&mut Vec<Pointer>, &mut Upload)> {
        Some((&mut self.pointers, self.upload.as_mut()?))
    }
}

pub(super) struct SealedPartition {
    pub(super) lane: usize,
    pub(super) at: TopicPartition,
    pub(super) next: i64,
    leader_epoch: Option<i32>,
    stop: Option<String>,
    incarnation: u64,
    task: String,
}

/// The number of the present assignment of each partition, by lane.
type Incarnations = BTreeMap<(usize, TopicPartition), u64>;

impl SealedPartition {
    pub(super) fn is_among(&self, now: &Incarnations) -> bool {
        now.get(&(self.lane, self.at.clone())) == Some(&self.incarnation)
    }
}

/// What a bundle says of each task's partitions; their stops only if it is the truth, since the group's offsets
/// carry them else.
fn by_task(partitions: &[SealedPartition], with_stops: bool) -> BTreeMap<String, (Offsets, Stops)> {
    let mut held: BTreeMap<String, (Offsets, Stops)> = BTreeMap::new();
    for partition in partitions {
        let (offsets, stops) = held.entry(partition.task.clone()).or_default();
        let (topic, number) = (partition.at.topic.as_ref(), partition.at.partition);
        offsets
            .entry(topic.to_owned())
            .or_default()
            .insert(number, partition.next);
        if let Some(stop) = partition.stop.clone().filter(|_| with_stops) {
            stops.entry(topic.to_owned()).or_default().insert(number, stop);
        }
    }
    held
}

impl Worker {
    /// Freezes what is to be committed, and begins to write it. Nothing if nothing was read since the last commit.
    pub(super) fn seal(&mut self) {
        let begun = clock::now();
        let mut partitions = Vec::new();
        let mut is_new = self.owned.owes_round();
        for (lane, member) in self.members() {
            let Some(reader) = &member.reader else { continue };
            for owned in reader.owned() {
                let task = member.task_ids.task(&owned.partition);
                // One that is being brought back has nothing to commit.
                if !self.owned.has(&task) {
                    continue;
                }
                is_new |= owned.committed != Some(owned.next);
                partitions.push(SealedPartition {
                    lane,
                    task,
                    stop: reader.kept_stop(&owned.partition),
                    at: owned.partition,
                    next: owned.next,
                    leader_epoch: owned.leader_epoch,
                    incarnation: owned.incarnation,
                });
            }
        }
        let Some(rounds) = &mut self.rounds else { return };
        rounds.sealed = None;
        if !is_new && !self.writer.has_transaction() {
            return;
        }
        let frames = self.owned.frames(by_task(&partitions, rounds.is_truth));
        let bytes = frames.iter().map(|frame| frame.delta.len()).sum();
        let (waiting, upload) = match rounds.is_truth {
            true => (Some(frames), None),
            false => (None, Some(rounds.store.put(self.index, frames))),
        };
        rounds.sealed = Some(Sealed {
            bytes,
            partitions,
            waiting,
            upload,
            pointers: Vec::new(),
            members: Vec::new(),
            begun,
        });
    }

    pub(super) fn sealed(&mut self) -> Option<&mut Sealed> {
        self.rounds.as_mut()?.sealed.as_mut()
    }

    pub(super) fn incarnations(&self) -> Incarnations {
        let mut now = Incarnations::new();
        for (lane, member) in self.members() {
            for owned in member.reader.iter().flat_map(|reader| reader.owned()) {
                now.insert((lane, owned.partition), owned.incarnation);
            }
        }
        now
    }

    /// Leaves out of a round that is committed the tasks that were lost since: if they came back, others may have
    /// gone on with them, and what was taken over then is what is committed now.
    pub(super) fn forget_lost(&mut self) {
        let now = self.incarnations();
        if let Some(sealed) = self.sealed() {
            let lost: Vec<String> = (sealed.partitions.iter())
                .filter(|of| !of.is_among(&now))
                .map(|of| of.task.clone())
                .collect();
            sealed.partitions.retain(|of| !lost.contains(&of.task));
            sealed.pointers.retain(|pointer| !lost.contains(&pointer.task));
        }
    }

    /// Next offset and pointer of every partition, for one lane.
    pub(in crate::pipeline) fn positions(&self, lane: usize) -> Vec<Committable> {
        let Some(sealed) = self.rounds.as_ref().and_then(|rounds| rounds.sealed.as_ref()) else {
            return Vec::new();
        };
        let Lane::Kafka(member) = &self.lanes[lane] else {
            return Vec::new();
        };
        let Some(reader) = &member.reader else {
            return Vec::new();
        };
        let of_lane = sealed.partitions.iter().filter(|of| of.lane == lane);
        let position = |of: &SealedPartition| {
            let pointer = sealed.pointers.iter().find(|pointer| pointer.task == of.task)?;
            Some(Committable {
                partition: of.at.clone(),
                next: of.next,
                leader_epoch: of.leader_epoch,
                metadata: reader.metadata_for(&of.at, pointer),
            })
        };
        of_lane.filter_map(position).collect()
    }
}
