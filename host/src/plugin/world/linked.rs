//! Which world a component was built for, and what can be asked of its instances, whichever it is.

use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings::v0_1::{Processor, ProcessorPre};
use super::bindings::v0_1_records::sandbar::plugin as records;
use super::bindings::v0_1_records::{RecordProcessor, RecordProcessorPre};
use super::{v0_1, v0_1_records};
use crate::plugin::call::{Declined, Lent, Returned};
use crate::plugin::host_calls::Guest;
use crate::plugin::load::{Said, World};

/// Grants every component what the worlds import.
pub(in crate::plugin) fn grant(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    type Own = HasSelf<Guest>;
    fn own(guest: &mut Guest) -> &mut Guest {
        guest
    }
    Processor::add_to_linker::<_, Own>(linker, own)?;
    records::state::add_to_linker::<_, Own>(linker, own)?;
    records::timers::add_to_linker::<_, Own>(linker, own)?;
    records::chance::add_to_linker::<_, Own>(linker, own)?;
    records::output::add_to_linker::<_, Own>(linker, own)
}

/// A component whose imports are granted and whose exports are there, by the world that it was built for.
pub(in crate::plugin) enum Linked {
    /// `processor` of version 0.1.
    V0_1(ProcessorPre<Guest>),
    /// `record-processor` of version 0.1.
    V0_1Records(RecordProcessorPre<Guest>),
}

impl Linked {
    /// Fails if the component does not fit the interface.
    pub(in crate::plugin) fn new(
        linker: &Linker<Guest>,
        component: &Component,
        world: World,
    ) -> wasmtime::Result<Self> {
        let pre = linker.instantiate_pre(component)?;
        match world {
            World::Processor => ProcessorPre::new(pre).map(Linked::V0_1),
            World::RecordProcessor => RecordProcessorPre::new(pre).map(Linked::V0_1Records),
        }
    }

    /// The component, for what it exports beside its world.
    pub(in crate::plugin) fn instance_pre(&self) -> &InstancePre<Guest> {
        match self {
            Linked::V0_1(pre) => pre.instance_pre(),
            Linked::V0_1Records(pre) => pre.instance_pre(),
        }
    }

    /// Makes an instance.
    pub(in crate::plugin) fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Running> {
        match self {
            Linked::V0_1(pre) => pre.instantiate(store).map(Running::V0_1),
            Linked::V0_1Records(pre) => pre.instantiate(store).map(Running::V0_1Records),
        }
    }
}

/// The exports of an instance. Of every call the error is a trap, or an answer that cannot be read.
pub(in crate::plugin) enum Running {
    /// `processor` of version 0.1.
    V0_1(Processor),
    /// `record-processor` of version 0.1.
    V0_1Records(RecordProcessor),
}

impl Running {
    /// Asks the plugin what it is; nothing of the answer is checked.
    pub(in crate::plugin) fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Said> {
        match self {
            Running::V0_1(guest) => v0_1::describe(guest, store),
            Running::V0_1Records(guest) => v0_1_records::describe(guest, store),
        }
    }

    /// Hands the plugin its configuration, which it may refuse in its own words.
    pub(in crate::plugin) fn open(
        &self,
        store: &mut Store<Guest>,
        config: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Running::V0_1(guest) => guest.call_open(store, config),
            Running::V0_1Records(guest) => guest.call_open(store, config),
        }
    }

    /// Calls the plugin with a batch, which is what it was when the call is over, whatever became of it. Nothing of the
    /// answer is checked. `before_turn` comes before each call of a guest that is called more than once for a batch.
    pub(in crate::plugin) fn process(
        &self,
        store: &mut Store<Guest>,
        lent: &mut Lent,
        before_turn: impl Fn(&mut Store<Guest>),
    ) -> wasmtime::Result<Result<Returned, Declined>> {
        match self {
            Running::V0_1(guest) => v0_1::process(guest, store, lent),
            Running::V0_1Records(guest) => v0_1_records::process(guest, store, lent, before_turn),
        }
    }
}
