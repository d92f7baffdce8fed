//! What a worker does about outputs that Kafka refused.

use super::run::Worker;
use crate::error::Result;
use crate::record::TopicPartition;
use crate::runtime::input::WorkerInput;
use std::collections::HashMap;

impl Worker {
    /// Whether a failure of the writer is one of an output alone, which is learned when what was done since the last
    /// commit is taken back.
    ///
    /// Without checkpoints that is done at once: nothing is kept if an output may be left out, so no state counts
    /// twice.
    pub(in crate::runtime) fn was_refused(&mut self) -> Result<bool> {
        if !self.writer.has_refusals() {
            return Ok(false);
        }
        if self.checkpointing.is_none() {
            self.learn_refusals()?;
            self.read_again()?;
        }
        Ok(true)
    }

    /// Learns what is to be left out; what else is on its way is thrown away, for it is done again.
    pub(in crate::runtime) fn learn_refusals(&mut self) -> Result<()> {
        let refused = self.writer.take_refusals();
        if refused.is_empty() {
            return Ok(());
        }
        tracing::info!(
            outputs = refused.len(),
            "Kafka refused outputs; what was done since the last commit is done again"
        );
        self.tasks.left_out.learn(refused, &self.tasks.sinks)?;
        self.writer.take_back()
    }

    /// Goes on at what is committed, when nothing but positions is committed.
    fn read_again(&mut self) -> Result<()> {
        for input in &mut self.inputs {
            let WorkerInput::Kafka(member) = input else { continue };
            let Some(reader) = &mut member.reader else { continue };
            let owned = reader.owned().into_iter();
            let committed: Vec<_> = owned
                .map(|of| (of.partition, of.committed.unwrap_or(of.start)))
                .collect();
            reader.rewind(&committed)?;
        }
        Ok(())
    }

    /// Forgets what was left out before the committed positions of an input.
    pub(in crate::runtime) fn forget_left_out(&mut self, input: usize) {
        if self.tasks.left_out.is_empty() {
            return;
        }
        let WorkerInput::Kafka(member) = &self.inputs[input] else {
            return;
        };
        let owned = member.reader.iter().flat_map(|reader| reader.owned());
        let committed: HashMap<_, _> = owned
            .map(|of| (of.partition, of.committed.unwrap_or(of.start)))
            .collect();
        let of_others = self.inputs.len() > 1;
        let next = |at: &TopicPartition| committed.get(at).copied().or(of_others.then_some(0));
        self.tasks.left_out.forget(next);
    }
}
