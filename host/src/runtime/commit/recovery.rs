//! The ways back from a checkpoint that did not go through.
//!
//! Always: after anything but a clean commit the producer is a new one before anything else is done, and what is
//! committed decides where to resume.

use super::coordinator::{BrokenCondition, Coordinator};
use super::ports::{CommitPorts, TaskPartition};
use crate::checkpoint::Event;
use crate::error::Result;
use crate::offset_metadata::{Metadata, is_ours};
use crate::source::GroupOffset;
use std::collections::BTreeMap;

impl Coordinator {
    pub(super) fn reinitialise(&mut self, ports: &mut impl CommitPorts) -> Result<Option<Event>> {
        // A process that stood still may learn here that another one took its place.
        ports.poll_groups()?;
        self.hear(ports)?;
        if !self.keeps(BrokenCondition::Reinitialise) {
            return Ok(Some(Event::Reinitialised));
        }
        let limit = self.time_left(ports, self.limits().reinitialise);
        ports.reinitialise(limit).map(Some)
    }

    /// Which of the two a commit in doubt was: the pointers say.
    pub(super) fn resolve_in_doubt(&mut self, ports: &mut impl CommitPorts) -> Result<Event> {
        let limit = self.time_left(ports, self.limits().resolve);
        let Some(committed) = ports.committed(limit)? else {
            return Ok(Event::Unresolved);
        };
        let Some(in_flight) = &self.in_flight else {
            return Ok(Event::ResolvedOther);
        };
        let mut resolved = Event::ResolvedOther;
        for of in &in_flight.covered {
            let Some((_, Some((_, metadata)))) = committed.iter().find(|(at, _)| *at == of.at) else {
                continue;
            };
            let Ok(Metadata::Ours(pointer)) = Metadata::read(Some(metadata.as_bytes())) else {
                return Ok(Event::Foreign);
            };
            if in_flight.pointers.contains(&pointer) {
                resolved = Event::ResolvedNew;
                break;
            }
            resolved = Event::ResolvedOld;
        }
        if resolved == Event::ResolvedNew {
            self.forget_lost(ports);
            if let Some(in_flight) = &self.in_flight {
                ports.committed_by_transaction(in_flight);
            }
        }
        Ok(resolved)
    }

    /// Goes on at what is committed.
    pub(super) fn rewind(&mut self, ports: &mut impl CommitPorts) -> Result<Event> {
        let limit = self.time_left(ports, self.limits().resolve);
        let Some(committed) = ports.committed(limit)? else {
            return Ok(Event::RewindFailed);
        };
        let mut positions = Vec::new();
        let mut of_tasks: BTreeMap<String, Vec<TaskPartition>> = BTreeMap::new();
        for of in ports.partitions() {
            let is_of = |held: &&GroupOffset| held.0 == of.at;
            let (next, metadata) = match committed.iter().find(is_of) {
                Some((_, Some((next, metadata)))) if is_ours(metadata) => (*next, Some(metadata.clone())),
                Some((_, Some(_))) => return Ok(Event::Foreign),
                _ => (of.start, None),
            };
            positions.push((of.input, of.at.clone(), next));
            of_tasks.entry(of.task).or_default().push((of.at, next, metadata));
        }
        if self.keeps(BrokenCondition::GoBack) {
            for (task, partitions) in &of_tasks {
                if !ports.go_back(task, partitions)? {
                    return Ok(Event::RewindFailed);
                }
            }
        }
        ports.rewind(&positions)?;
        Ok(Event::Rewound)
    }
}
