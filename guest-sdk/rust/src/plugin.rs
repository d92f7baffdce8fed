//! What an author writes.

use serde::de::DeserializeOwned;

use crate::{Batch, Description, Event, Failure, Outputs, Refusal, Stores};

/// A plugin that looks at one record after the other.
///
/// The struct is its own configuration: the pipeline's `config` is read into it through serde. Fields that are not
/// configuration are marked `#[serde(skip)]`. What it remembers between calls is a cache at most, since the host
/// replaces an instance whenever it must; what has to last is kept in [stores](Plugin::stores).
pub trait Plugin: DeserializeOwned + 'static {
    /// Declares more than the name and version of the crate, one input `in`, one output `out`.
    fn describe(description: Description) -> Description {
        description
    }

    /// Declares the state that it keeps by key: `stores.add("total", |plugin| &mut plugin.total)` for a field `total:
    /// Value<u64>`, which is no configuration and so is marked `#[serde(skip)]`.
    fn stores(stores: &mut Stores<Self>) {
        let _ = stores;
    }

    /// Checks the configuration, and prepares what the records need. Called once, before the first record.
    ///
    /// # Errors
    /// Whatever is wrong with the configuration: the pipeline does not start.
    fn open(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Processes a record: what it becomes goes to `out`. A record for which nothing is emitted is dropped.
    ///
    /// # Errors
    /// A [`Refusal`] of this record, or of the whole call. Any error that `?` meets becomes a dead letter with the
    /// error's text.
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal>;
}

/// A plugin that looks at a batch as a whole, in columns: for whoever wants the last bit of speed. It keeps no
/// state.
pub trait BatchPlugin: DeserializeOwned + 'static {
    /// As [`Plugin::describe`].
    fn describe(description: Description) -> Description {
        description
    }

    /// How the host is to show what the stores hold: for each of them a text in JSON.
    #[doc(hidden)]
    fn describe_state() -> Vec<String> {
        Vec::new()
    }

    /// As [`Plugin::open`].
    ///
    /// # Errors
    /// Whatever is wrong with the configuration.
    fn open(&mut self) -> Result<(), Refusal> {
        Ok(())
    }

    /// Processes a batch. `out` starts without outputs, and what is emitted counts as caused by the first event, and
    /// has its timestamp, unless [`Outputs::at`] or [`Outputs::pass`] said by which.
    ///
    /// # Errors
    /// A [`Failure`] of the whole call: nothing of it is applied.
    fn process_batch(&mut self, batch: Batch, out: &mut Outputs) -> Result<(), Failure>;
}

impl<P: Plugin> BatchPlugin for P {
    fn describe(description: Description) -> Description {
        let stores = Stores::declared_by(P::stores);
        P::describe(description).with_stores(stores.describe())
    }

    fn describe_state() -> Vec<String> {
        Stores::declared_by(P::stores).schemas()
    }

    fn open(&mut self) -> Result<(), Refusal> {
        Plugin::open(self)
    }

    fn process_batch(&mut self, mut batch: Batch, out: &mut Outputs) -> Result<(), Failure> {
        let stores = Stores::declared_by(P::stores);
        stores.begin(self, &mut batch);
        out.reserve(&batch);
        for event in batch.events() {
            out.at(&event);
            if let Err(refusal) = self.process(&event, out) {
                out.refuse(&event, refusal)?;
                stores.undo(self, event.index());
            }
        }
        stores.finish(self, out.changes());
        Ok(())
    }
}
