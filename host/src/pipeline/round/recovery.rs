//! The ways back from a round that did not go through, and out of the groups.
//!
//! Always: after anything but a clean commit the producer is a new one before anything else is done, and what is
//! committed says where to go on.

use crate::checkpoint::{Event, Halt};
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::offset_metadata::Metadata;
use crate::pipeline::lane::Lane;
use crate::pipeline::tasks::owned;
use crate::pipeline::worker::{STOP_CLOSE_LIMIT, Worker};
use crate::source::Held;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a new producer may take to wait for or abort what the old one left, before the groups are attended again.
const RECYCLE_LIMIT: Duration = Duration::from_secs(5);
/// How long one question to Kafka about what is committed may take.
const SETTLE_LIMIT: Duration = Duration::from_secs(5);

impl Worker {
    pub(super) fn recycle(&mut self) -> Result<Event> {
        // A process that stood still may learn here that another one took its place.
        self.attend()?;
        match self.writer.recycle(self.stop_limit(RECYCLE_LIMIT)) {
            Ok(()) => Ok(Event::Recycled),
            Err(error) if error.kind == Kind::TimedOut => {
                self.failed(Kind::Kafka, error.to_string());
                self.attend()?;
                // A run that is to stop leaves now: the next start aborts what is open.
                Ok(Event::RecycleFailed)
            }
            Err(error) => Err(error),
        }
    }

    /// Which of the two a commit in doubt was: the pointers say.
    pub(super) fn settle(&mut self) -> Result<Event> {
        let committed = match self.committed_now()? {
            Some(committed) => committed,
            None => return Ok(Event::Unsettled),
        };
        let Some(sealed) = self.sealed() else {
            return Ok(Event::SettledOther);
        };
        let mut is_old = false;
        for partition in &sealed.partitions {
            let Some((_, Some((_, metadata)))) = committed.iter().find(|(at, _)| *at == partition.at) else {
                continue;
            };
            let Ok(Metadata::Ours(pointer)) = Metadata::read(Some(metadata.as_bytes())) else {
                return Ok(Event::Foreign);
            };
            if sealed.pointers.contains(&pointer) {
                self.forget_lost();
                self.tell_readers();
                return Ok(Event::SettledNew);
            }
            is_old = true;
        }
        Ok(if is_old { Event::SettledOld } else { Event::SettledOther })
    }

    /// Goes on at what is committed.
    pub(super) fn rewind(&mut self) -> Result<Event> {
        let Some(committed) = self.committed_now()? else {
            return Ok(Event::RewindFailed);
        };
        for lane in 0..self.lanes.len() {
            let Lane::Kafka(member) = &mut self.lanes[lane] else {
                continue;
            };
            let Some(reader) = &mut member.reader else { continue };
            let owned = reader.owned();
            let mut positions = Vec::new();
            let mut of_tasks: BTreeMap<String, Vec<owned::Held>> = BTreeMap::new();
            for owned in owned {
                let held = committed.iter().find(|(at, _)| *at == owned.partition);
                let (next, metadata) = match held {
                    Some((_, Some((next, metadata)))) if metadata.starts_with("sb1:") => {
                        (*next, Some(metadata.clone()))
                    }
                    Some((_, Some(_))) => return Ok(Event::Foreign),
                    _ => (owned.start, None),
                };
                positions.push((owned.partition.clone(), next));
                let task = member.task_ids.task(&owned.partition);
                of_tasks
                    .entry(task)
                    .or_default()
                    .push((owned.partition, Some(next), metadata));
            }
            for (task, partitions) in of_tasks {
                if let Err(error) = self.owned.go_back(&task, &partitions) {
                    return if error.kind == Kind::TimedOut {
                        Ok(Event::RewindFailed)
                    } else {
                        Err(error)
                    };
                }
            }
            reader.rewind(&positions)?;
        }
        Ok(Event::Rewound)
    }

    /// What the groups hold of all owned partitions, once no transaction is about to change it. `None`: not now.
    fn committed_now(&mut self) -> Result<Option<Vec<Held>>> {
        let limit = self.stop_limit(SETTLE_LIMIT);
        let readers = self.members().filter_map(|(_, member)| member.reader.as_ref());
        let asked: Result<Vec<_>> = readers.map(|reader| reader.committed_now(limit)).collect();
        match asked {
            Ok(committed) => Ok(Some(committed.concat())),
            Err(error) if error.kind == Kind::TimedOut => self.attend().map(|()| None),
            Err(error) => Err(error),
        }
    }

    /// Gives the revoked partitions of all groups up.
    pub(super) fn release(&mut self) -> Result<()> {
        kill::point("in-revocation");
        for lane in &mut self.lanes {
            let Lane::Kafka(member) = lane else { continue };
            let revoked = std::mem::take(&mut member.revoking);
            if revoked.is_empty() {
                continue;
            }
            self.owned.give_up(&member.task_ids, &revoked);
            if let Some(reader) = &mut member.reader {
                reader.release(None)?;
            }
        }
        Ok(())
    }

    pub(super) fn leave_groups(&mut self) -> Result<()> {
        let mut left = Ok(());
        for lane in &mut self.lanes {
            if let Lane::Kafka(member) = lane {
                let close = self.shared.stop.left(STOP_CLOSE_LIMIT);
                left = left.and(member.leave(None, close).map(|_not_committed| ()));
            }
        }
        left
    }
}

/// What this user may not do now it may not do later.
pub(super) fn denied(reason: &str) -> Error {
    Error::new(
        Kind::Kafka,
        "failed to commit positions: Kafka does not allow it",
        reason,
    )
    .hint("grant READ on the group and on its topics, and WRITE on the transactional id, to this user")
}

/// Only the end of the process frees what hangs.
pub(super) fn hung(reason: &str) -> Error {
    Error::new(
        Kind::Kafka,
        "failed to commit positions: the Kafka client does not answer any more",
        reason,
    )
    .hint("nothing is lost: the next start goes on at the last commit")
}

fn too_many((kind, reason): (Kind, String)) -> Error {
    Error::new(
        kind,
        "failed to take a checkpoint",
        format!(
            "more of them failed one after the other than checkpoint.tolerable-failures allows; the last one: {reason}"
        ),
    )
    .hint("nothing is lost: a restart goes on at the last checkpoint that was taken")
}

/// Why a round ended the run; `last`: the failure before.
pub(super) fn halted(why: Halt, last: Option<(Kind, String)>) -> Error {
    match why {
        Halt::Fenced => Error::new(
            Kind::Fenced,
            "failed to commit: another process with the same instance id took over",
            "two members of a pipeline must differ by their instance",
        )
        .hint("set `instance`, --instance, or a state.dir of its own"),
        Halt::TooManyFailures => too_many(last.unwrap_or((Kind::Failed, String::new()))),
        Halt::Foreign => Error::new(
            Kind::Corrupt,
            "failed to go on: the group's offsets were written by somebody else",
            "their metadata does not name a checkpoint of this pipeline",
        )
        .hint("start from a savepoint with --from, or from the beginning with `sandbar offsets set`"),
    }
}
