//! What an author writes.

use serde::de::DeserializeOwned;

use crate::time;
use crate::{Batch, Description, Event, Failure, Fired, Outputs, Refusal, Stores, Timers};

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

    /// Declares the timers that it sets by key: `timers.event_time("close", |plugin| &mut plugin.close)` for a field
    /// `close: Timer`, which is marked `#[serde(skip)]`.
    fn timers(timers: &mut Timers<Self>) {
        let _ = timers;
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

    /// A timer's time has come: after the record that moved time there, and before the next one. What it emits has the
    /// timer's time unless it says otherwise.
    ///
    /// # Errors
    /// `skip` takes back what this firing emitted and wrote; there is no record that could be a dead letter, so any
    /// other [`Refusal`] is the whole call's.
    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        let _ = (fired, out);
        Ok(())
    }
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
        let mut stores = Stores::declared_by(P::stores);
        let timers = Timers::declared_by(P::timers, &mut stores);
        P::describe(description)
            .with_stores(stores.describe())
            .with_timers(timers.describe())
    }

    fn describe_state() -> Vec<String> {
        Stores::declared_by(P::stores).schemas()
    }

    fn open(&mut self) -> Result<(), Refusal> {
        Plugin::open(self)
    }

    fn process_batch(&mut self, batch: Batch, out: &mut Outputs) -> Result<(), Failure> {
        time::run(self, batch, out)
    }
}
