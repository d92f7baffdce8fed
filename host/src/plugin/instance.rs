//! One instance of a plugin: made, opened, called, and after a fault never called again.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use wasmtime::{Store, Trap, UpdateDeadline, WasmCoreDump};

use super::call::{Declared, Declined, Lent, Returned, StateReader};
use super::fault::{Fault, write_core_dump};
use super::guest_log::Log;
use super::host_calls::Guest;
use super::limits::{Ceiling, OPEN_TIME};
use super::load::{Description, GuestWatch, LOOK, Said, Shared, TICK, ticks};
use super::turns::Driven;
use super::wasi::Surroundings;
use super::world::{Linked, Running};
use crate::clock;
use crate::config::{Limits, Recycling};
use crate::error::Error;
use crate::state::TaskState;

/// What a plugin may export beside its world; world `described-state` of the interface says what it is.
pub(super) const DESCRIBE_STATE: &str = "describe-state";

/// How often a guest is looked at in a tick of its deadline, while a profile is taken.
const LOOKS_PER_TICK: u64 = (TICK.as_nanos() / LOOK.as_nanos()) as u64;

/// What an instance stands in: its limits, and the time to be made.
fn caged(
    linked: &Linked,
    description: Option<&Description>,
    limits: Limits,
    stores: Arc<[Declared]>,
    engine: &Shared,
    log: Log,
) -> Store<Guest> {
    let bytes = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
    let (memory, batch) = (bytes(limits.memory_bytes), bytes(limits.batch_bytes));
    let driven = description.map(|description| Driven::new(description, stores.clone(), limits.call_time, batch));
    let mut store = Store::new(
        linked.instance_pre().engine(),
        Guest {
            ceiling: Ceiling::new(limits.memory_bytes),
            log,
            reader: StateReader::new(stores, memory),
            driven: driven.unwrap_or_default(),
            surroundings: Surroundings::default(),
            spoilt: None,
            looks_left: None,
            ticker: engine.ticker.clone(),
        },
    );
    watched(&mut store, &engine.watch);
    store.limiter(|guest| &mut guest.ceiling);
    // What a guest hands over in one call cannot be more than its memory holds, save by pointing at the same bytes
    // again and again; nor can it be more than the whole batch may take.
    store.set_hostcall_fuel(memory.min(batch));
    set_deadline(&mut store, OPEN_TIME);
    store
}

fn watched(store: &mut Store<Guest>, watch: &GuestWatch) {
    match watch {
        GuestWatch::Nothing | GuestWatch::Traps(_) => {}
        GuestWatch::Instructions => refuel(store),
        GuestWatch::Samples(samples) => {
            let samples = samples.clone();
            store.data_mut().looks_left = Some(0);
            store.epoch_deadline_callback(move |mut guest| {
                samples.take_one(&guest);
                let left = guest.data_mut().looks_left.get_or_insert(0);
                *left = left.saturating_sub(1);
                match *left {
                    0 => Err(Trap::Interrupt.into()),
                    _ => Ok(UpdateDeadline::Continue(1)),
                }
            });
        }
    }
}

/// Fuel is there to count what is spent of it, and never runs out.
fn refuel(store: &mut Store<Guest>) {
    let _only_an_engine_that_does_not_count_refuses_it = store.set_fuel(u64::MAX);
}

/// So much time from now. A guest of which a profile is taken is looked at each tick, which are shorter then.
fn set_deadline(store: &mut Store<Guest>, time: Duration) {
    let ticks = ticks(time);
    match &mut store.data_mut().looks_left {
        None => {
            store.set_epoch_deadline(ticks);
            store.data().ticker.expect(ticks);
        }
        Some(left) => {
            let looks = ticks.saturating_mul(LOOKS_PER_TICK);
            *left = looks;
            store.set_epoch_deadline(1);
            store.data().ticker.expect(looks);
        }
    }
}

/// A guest with memory of its own.
pub(super) struct Instance {
    store: Store<Guest>,
    guest: Running,
    call_time: Duration,
    calls: u64,
    records: u64,
    made: Instant,
    /// Bytes of linear memory that it had after its first call.
    first_memory: u64,
    /// Instructions of its calls, if its engine counts them.
    instructions: Option<u64>,
    /// What it held when it trapped, if its engine takes core dumps.
    trapped: Option<WasmCoreDump>,
}

/// Why an instance could not be made.
#[derive(Debug)]
pub(super) enum NotOpened {
    /// The plugin refused its configuration, in its words.
    Refused(String),
    /// It trapped, looped or needs more than its limits.
    Fault(Fault),
}

impl Instance {
    /// Makes an instance that may read these stores. Its log comes back from `close`. Without a description it is not
    /// called with a batch.
    pub(super) fn new(
        linked: &Linked,
        description: Option<&Description>,
        limits: Limits,
        stores: Arc<[Declared]>,
        engine: &Shared,
        log: Log,
    ) -> Result<Self, Box<(Fault, Log)>> {
        let mut store = caged(linked, description, limits, stores, engine, log);
        match linked.instantiate(&mut store) {
            Ok(guest) => Ok(Self {
                store,
                guest,
                call_time: limits.call_time,
                calls: 0,
                records: 0,
                made: clock::now(),
                first_memory: 0,
                instructions: matches!(engine.watch, GuestWatch::Instructions).then_some(0),
                trapped: None,
            }),
            Err(error) => {
                let fault = Fault::not_made(&error, store.data(), OPEN_TIME);
                Err(Box::new((fault, store.into_data().log)))
            }
        }
    }

    /// Asks a plugin that exports it how people are to be shown what its stores hold, in an instance that is thrown
    /// away.
    pub(super) fn describe_state(linked: &Linked, engine: &Shared, log: Log) -> wasmtime::Result<Vec<String>> {
        let mut store = caged(linked, None, Limits::default(), Arc::new([]), engine, log);
        let instance = linked.instance_pre().instantiate(&mut store)?;
        let ask = instance.get_typed_func::<(), (Vec<String>,)>(&mut store, DESCRIBE_STATE)?;
        Ok(ask.call(&mut store, ())?.0)
    }

    /// Asks the plugin what it is. Nothing of the answer is checked, here and below.
    pub(super) fn describe(&mut self) -> Result<Said, Fault> {
        self.within(OPEN_TIME, |guest, store| guest.describe(store))
    }

    /// Hands the plugin its configuration.
    pub(super) fn open(&mut self, config: &str) -> Result<(), NotOpened> {
        self.within(OPEN_TIME, |guest, store| guest.open(store, config))
            .map_err(NotOpened::Fault)?
            .map_err(NotOpened::Refused)
    }

    /// Calls the plugin with a batch. The inner error is the plugin's own, for the whole call; after the outer one the
    /// instance is spoilt.
    pub(super) fn process(&mut self, lent: &mut Lent) -> Result<Result<Returned, Declined>, Fault> {
        self.calls += 1;
        let time = self.call_time;
        self.records += lent.events.timestamp.len() as u64;
        self.begin_count();
        let answer = self.within(time, |guest, store| {
            guest.process(store, lent, |store| begin(store, time))
        });
        self.end_count();
        if self.calls == 1 {
            self.first_memory = self.memory_bytes();
        }
        answer
    }

    fn begin_count(&mut self) {
        if self.instructions.is_some() {
            refuel(&mut self.store);
        }
    }

    fn end_count(&mut self) {
        if let Some(instructions) = &mut self.instructions {
            *instructions += u64::MAX - self.store.get_fuel().unwrap_or(u64::MAX);
        }
    }

    /// Instructions of its calls since the last time that somebody asked; none unless its engine counts them.
    pub(super) fn take_instructions(&mut self) -> u64 {
        self.instructions.as_mut().map_or(0, std::mem::take)
    }

    /// Whether a new one should take its place. One that needs much memory from the first call on does not get better
    /// by that.
    pub(super) fn is_worn(&self, recycling: &Recycling) -> bool {
        let memory = self.memory_bytes();
        memory >= recycling.memory_bytes && memory > self.first_memory
            || recycling.records.is_some_and(|most| self.records >= most)
            || recycling.age.is_some_and(|most| self.made.elapsed() >= most)
    }

    /// The trap that ended the last call behind some of its events, which stand.
    pub(super) fn take_spoilt(&mut self) -> Option<Fault> {
        let trap = self.store.data_mut().spoilt.take()?;
        Some(Fault::judge(&trap, self.store.data(), self.call_time))
    }

    /// Whether its last call trapped, and its engine takes core dumps.
    pub(super) fn has_core_dump(&self) -> bool {
        self.trapped.is_some()
    }

    /// Writes what it held when its last call trapped.
    pub(super) fn write_core_dump(&mut self, name: &str, into: &mut dyn Write) -> io::Result<()> {
        match self.trapped.take() {
            Some(trapped) => write_core_dump(&trapped, &mut self.store, name, into),
            None => Ok(()),
        }
    }

    /// Whether the last call was cut short because of its time, and not all of its records were processed.
    pub(super) fn took_long(&self) -> bool {
        self.store.data().driven.took_long()
    }

    /// The event that the last call was at when it came to nothing, if that is known.
    pub(super) fn row_at_fault(&self) -> Option<usize> {
        self.store.data().driven.row()
    }

    /// The same, with a state to read from, which is there again after the call whatever became of it.
    pub(super) fn process_with(
        &mut self,
        lent: &mut Lent,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Returned, Declined>, Fault> {
        self.store.data_mut().reader.state = state.take();
        let answer = self.process(lent);
        *state = self.store.data_mut().reader.state.take();
        answer
    }

    /// Why the state could not be read in the last call: not the plugin's fault.
    pub(super) fn take_state_failure(&mut self) -> Option<Error> {
        self.store.data_mut().reader.take_failure()
    }

    /// Calls with a batch.
    pub(super) fn calls(&self) -> u64 {
        self.calls
    }

    /// Whether it has not been called with a batch yet: what fails now does not fail because of what was before.
    pub(super) fn is_fresh(&self) -> bool {
        self.calls == 0
    }

    /// Bytes of linear memory in use.
    pub(super) fn memory_bytes(&self) -> u64 {
        self.store.data().ceiling.used()
    }

    /// The operator's log.
    pub(super) fn log(&self) -> &Log {
        &self.store.data().log
    }

    /// Ends the instance and keeps its log.
    pub(super) fn close(self) -> Log {
        self.store.into_data().log
    }

    fn within<T>(
        &mut self,
        time: Duration,
        call: impl FnOnce(&Running, &mut Store<Guest>) -> wasmtime::Result<T>,
    ) -> Result<T, Fault> {
        begin(&mut self.store, time);
        let answer = call(&self.guest, &mut self.store);
        let data = self.store.data_mut();
        data.surroundings.flush(&mut data.log);
        answer.map_err(|error| {
            let fault = Fault::judge(&error, self.store.data(), time);
            self.trapped = error.downcast().ok();
            fault
        })
    }
}

/// A call of the guest begins, which may take so long.
fn begin(store: &mut Store<Guest>, time: Duration) {
    set_deadline(store, time);
    let data = store.data_mut();
    data.ceiling.forget();
    data.log.forget_error();
}
