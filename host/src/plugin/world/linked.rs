//! Which world a component was built for, and what can be asked of its instances, whichever it is.

use wasmtime::Store;
use wasmtime::component::{Component, HasSelf, InstancePre, Linker};

use super::bindings::v0_1::{Processor, ProcessorPre};
use super::v0_1;
use crate::plugin::call::{Declined, Lent, Returned};
use crate::plugin::host_calls::Guest;
use crate::plugin::load::Said;

/// Grants every component what the worlds import.
pub(in crate::plugin) fn grant(linker: &mut Linker<Guest>) -> wasmtime::Result<()> {
    Processor::add_to_linker::<_, HasSelf<_>>(linker, |guest: &mut Guest| guest)
}

/// A component whose imports are granted and whose exports are there, by the world that it was built for.
pub(in crate::plugin) enum Linked {
    /// `processor` of version 0.1.
    V0_1(ProcessorPre<Guest>),
}

impl Linked {
    /// Fails if the component does not fit the interface.
    pub(in crate::plugin) fn new(linker: &Linker<Guest>, component: &Component) -> wasmtime::Result<Self> {
        ProcessorPre::new(linker.instantiate_pre(component)?).map(Linked::V0_1)
    }

    /// The component, for what it exports beside its world.
    pub(in crate::plugin) fn instance_pre(&self) -> &InstancePre<Guest> {
        match self {
            Linked::V0_1(pre) => pre.instance_pre(),
        }
    }

    /// Makes an instance.
    pub(in crate::plugin) fn instantiate(&self, store: &mut Store<Guest>) -> wasmtime::Result<Running> {
        match self {
            Linked::V0_1(pre) => pre.instantiate(store).map(Running::V0_1),
        }
    }
}

/// The exports of an instance. Of every call the error is a trap, or an answer that cannot be read.
pub(in crate::plugin) enum Running {
    /// `processor` of version 0.1.
    V0_1(Processor),
}

impl Running {
    /// Asks the plugin what it is; nothing of the answer is checked.
    pub(in crate::plugin) fn describe(&self, store: &mut Store<Guest>) -> wasmtime::Result<Said> {
        match self {
            Running::V0_1(guest) => v0_1::describe(guest, store),
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
        }
    }

    /// Calls the plugin with a batch, which is what it was when the call is over, whatever became of it. Nothing of the
    /// answer is checked.
    pub(in crate::plugin) fn process(
        &self,
        store: &mut Store<Guest>,
        lent: &mut Lent,
    ) -> wasmtime::Result<Result<Returned, Declined>> {
        match self {
            Running::V0_1(guest) => v0_1::process(guest, store, lent),
        }
    }
}
