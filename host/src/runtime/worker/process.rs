//! One batch on its way: through the operators and sinks of its route, as a whole or not at all.

use super::limits::STOP_BATCH_LIMIT;
use super::run::{Waiting, Worker};
use super::shared::RecordsRead;
use crate::checkpoint::Event;
use crate::clock;
use crate::error::{Kind, Result};
use crate::runtime::batch::{BatchTask, Done, MovedBy};
use crate::runtime::input::WorkerInput;

impl Worker {
    pub(in crate::runtime) fn process(&mut self, input: usize) -> Result<()> {
        let WorkerInput::Kafka(member) = &mut self.inputs[input] else {
            return Ok(());
        };
        let source = member.sources[self.batch.source];
        self.busy = true;
        self.read = RecordsRead::of(&self.batch.records);
        let moved_by = self.moved_by_batch(input, source);
        let done = self.take_through(input, source, &moved_by);
        self.count_in(input);
        let done = done?;
        self.tell_event_time_lag(input);
        if let (Done::Processed, WorkerInput::Kafka(member)) = (done, &mut self.inputs[input])
            && let Some(reader) = &mut member.reader
        {
            reader.processed();
            if let Some(watermark) = self.tasks.partition_watermark() {
                member.idleness.note(&self.batch.partition, watermark);
            }
        }
        Ok(())
    }

    fn count_in(&self, input: usize) {
        let RecordsRead { records, bytes } = self.read;
        self.shared.count_in(self.read);
        if let WorkerInput::Kafka(member) = &self.inputs[input]
            && let Some(metrics) = member.partitions.get(&self.batch.partition)
        {
            metrics.records.increment(records);
            metrics.bytes.increment(bytes);
        }
    }

    /// The batch's records move time, as far as the other partitions of their task let them.
    fn moved_by_batch(&mut self, input: usize, source: usize) -> MovedBy {
        match &mut self.inputs[input] {
            WorkerInput::Kafka(member) if self.tasks.goes_by_time(source) => {
                member.idleness.brought(&self.batch.partition, clock::now());
                let mut others = member.idleness.others(&self.batch.partition);
                // The end of an input is the end of time for it, before the next record of another.
                if let Some(reader) = &member.reader {
                    others.retain(|other| !reader.is_done(other));
                }
                MovedBy::Records(others)
            }
            _ => MovedBy::Records(Vec::new()),
        }
    }

    /// How far the batch's newest record is behind the clock, by its event time: the operators' timestamps.
    fn tell_event_time_lag(&self, input: usize) {
        let WorkerInput::Kafka(member) = &self.inputs[input] else {
            return;
        };
        let metrics = member.partitions.get(&self.batch.partition);
        if let (Some(metrics), Some(newest)) = (metrics, self.batch.records.timestamps.iter().max()) {
            metrics.event_time_lag.set((clock::wall_ms() - newest) as f64 / 1000.0);
        }
    }

    /// Takes the batch through its route. While a sink or a plugin keeps it waiting, the groups are seen to: nobody
    /// else may have to wait for them. `Waiting`: it was given up, for a signal or because the group took its
    /// partition.
    pub(in crate::runtime) fn take_through(&mut self, input: usize, source: usize, moved_by: &MovedBy) -> Result<Done> {
        let task = self.inputs[input].task(&self.batch.partition);
        let done = self.take_through_as(input, source, &task, moved_by);
        self.may_owe_time |= self.tasks.owed_time().is_some();
        let done = match done {
            Err(error) if self.checkpointing.is_some() || self.writer.has_refusals() => {
                // A plugin is called before anything is put out; any other failure may leave a part of the batch there.
                let was_put_out = error.kind != Kind::Guest || self.tasks.has_put_out();
                self.lost(error)
                    .map(|_expired| Done::Waiting)
                    .inspect_err(|_| self.is_torn = was_put_out)
            }
            done => done,
        };
        if matches!(done, Ok(Done::Waiting)) {
            let batch = &self.batch;
            let mut of = BatchTask {
                partition: &batch.partition,
                state: self.owned.state(&task),
            };
            self.tasks.give_up(&mut of);
            if self.checkpointing.is_some() {
                self.take_back()?;
            }
        }
        done
    }

    /// A batch that was given up may have put out a part of its outputs: no checkpoint may commit them. What was done
    /// since the last commit is done again; if the run is to stop, by the next start.
    fn take_back(&mut self) -> Result<()> {
        self.is_torn = self.shared.stop.is_requested();
        if self.is_torn {
            Ok(())
        } else {
            self.on_checkpoint(Event::Expired)
        }
    }

    fn take_through_as(&mut self, input: usize, source: usize, task: &str, moved_by: &MovedBy) -> Result<Done> {
        let mut done = self.begin_batch(source, task, moved_by)?;
        while done == Done::Waiting {
            let may_end_behind = self.tasks.may_end_behind();
            let begins_anew = may_end_behind.is_some_and(|offset| self.end_batch_behind(input, offset));
            self.waiting = Waiting::ForBatch;
            self.pulse.beat();
            let seen_to = self.poll_and_commit();
            let gives_up = std::mem::take(&mut self.waiting) == Waiting::ForGroup;
            seen_to?;
            if gives_up || self.shared.stop.is_overdue(STOP_BATCH_LIMIT) || !self.inputs[input].has_batch(&self.batch) {
                break;
            }
            done = match begins_anew {
                true => self.begin_batch(source, task, moved_by)?,
                false => self.go_on_with_batch(source, task)?,
            };
        }
        Ok(done)
    }

    fn begin_batch(&mut self, source: usize, task: &str, moved_by: &MovedBy) -> Result<Done> {
        let batch = &mut self.batch;
        let mut of = BatchTask {
            partition: &batch.partition,
            state: self.owned.state(task),
        };
        let (records, writer) = (&mut batch.records, &mut self.writer);
        self.tasks.process(source, &mut of, moved_by, records, writer)
    }

    fn go_on_with_batch(&mut self, source: usize, task: &str) -> Result<Done> {
        let batch = &mut self.batch;
        let mut of = BatchTask {
            partition: &batch.partition,
            state: self.owned.state(task),
        };
        self.tasks.go_on(source, &mut of, &mut batch.records, &mut self.writer)
    }

    /// Lets the batch end behind the record of that offset: the reader gets those behind it back. `false`: there is
    /// none that takes them.
    fn end_batch_behind(&mut self, input: usize, offset: i64) -> bool {
        let reader = match &mut self.inputs[input] {
            WorkerInput::Kafka(member) => member.reader.as_mut(),
            WorkerInput::Files { .. } => None,
        };
        let has_ended = reader.is_some_and(|reader| reader.put_back(offset, &mut self.batch.records));
        if has_ended {
            self.read = RecordsRead::of(&self.batch.records);
        }
        has_ended
    }
}
