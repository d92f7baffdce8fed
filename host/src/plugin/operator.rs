//! A plugin placed in a pipeline, for one worker: calls it with batches, replaces what a fault spoilt, and finds the
//! record at fault.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::call::{
    Asked, Changes, Declared, Declined, Measured, Origin, Outcome, Refusal, Refused, Returned, Sent, apply, check,
    check_lists, memory,
};
use super::fault::{Fault, FaultKind};
use super::host_calls::Log;
use super::instance::{Instance, NotOpened};
use super::limits::{TEXT_BYTES, size, tame};
use super::load::{MetricKind, Plugin};
use crate::clock;
use crate::config::Limits;
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::record::Records;
use crate::state::TaskState;

/// A plugin placed in a pipeline. Owned by one worker thread.
pub struct Operator {
    plugin: Plugin,
    name: String,
    config: String,
    limits: Limits,
    stop_at_fault: bool,
    enough: Option<Box<dyn Fn() -> bool + Send>>,
    instance: Option<Instance>,
    /// The log, while no instance has it.
    log: Option<Log>,
    stores: Arc<[Declared]>,
    keeps_key: bool,
    sent: Sent,
    left_changes: bool,
    measured: Vec<f64>,
    stats: Stats,
}

/// A batch for an operator.
#[derive(Debug)]
pub struct Call<'a> {
    /// The records. Their columns are lent to the plugin for the call; after it they are what they were.
    pub records: &'a mut Records,
    /// Index into the plugin's inputs.
    pub input: u8,
    /// The partition that the records stem from.
    pub partition: i32,
    /// Bytes that the batch may still take on its way.
    pub room: usize,
}

/// Why a call as a whole came to nothing; the texts are for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CallError {
    /// The plugin wants the same call again, after a pause.
    Retry(String),
    /// The pipeline cannot go on: the plugin said so, or it can no longer be opened.
    Fail(String),
    /// The search for records at fault was given up, because it took long or somebody had enough of it; the call is as
    /// if it had not been made. A call with a single record never is.
    GivenUp,
    /// What became of the records takes more than there is room for. A sentence about the plugin, begun by "it".
    NoRoom(String),
    /// The task's state could not be read, or is not there.
    State(Error),
}

/// Of a guest's memory, the values that travel with a batch may take one part in so many; a batch with more is halved.
const VALUES_SHARE: u64 = 4;
/// Those of a record alone, which cannot be halved: the guest needs as much again to make something of them.
const VALUES_SHARE_ALONE: u64 = 2;

/// How long records at fault are looked for in one call: somebody waits for the worker meanwhile.
const SEARCH: Duration = Duration::from_secs(5);

/// What an operator did since it was opened.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Stats {
    /// Calls of the plugin with a batch, those included that were made to find a record at fault.
    pub calls: u64,
    /// Time in these calls, in nanoseconds.
    pub call_nanos: u64,
    /// Calls that trapped.
    pub traps: u64,
    /// Calls that took longer than they may.
    pub deadlines: u64,
    /// Calls that wanted more memory than they may have, and could not go on.
    pub memory_limits: u64,
    /// Calls that returned what they may not.
    pub bad_outcomes: u64,
    /// Instances that were replaced.
    pub recycled: u64,
    /// Linear memory of the instance, in bytes.
    pub memory_bytes: u64,
    /// Log messages that were too many.
    pub log_dropped: u64,
}

impl Plugin {
    /// Places the plugin in a pipeline, for one worker: checks the configuration and opens the first instance.
    ///
    /// A configuration that the declared schema or the plugin itself refuses is the pipeline file's mistake
    /// (`Kind::Invalid`); a plugin that traps, loops or breaks its limits while it opens is refused (`Kind::Plugin`).
    pub fn operator(&self, name: &str, config: &str, limits: Limits) -> Result<Operator> {
        let config = self.check_config(name, config)?;
        Operator::open(self.clone(), name, config, limits)
    }
}

impl Operator {
    fn open(plugin: Plugin, name: &str, config: String, limits: Limits) -> Result<Self> {
        let description = plugin.description();
        let stores: Arc<[Declared]> = Declared::all(name, description).into();
        let mut operator = Self {
            sent: Sent::new(description, &stores),
            stores,
            keeps_key: false,
            left_changes: false,
            measured: vec![0.0; description.metrics.len()],
            plugin: plugin.clone(),
            name: name.to_owned(),
            config,
            limits,
            stop_at_fault: false,
            enough: None,
            instance: None,
            log: None,
            stats: Stats::default(),
        };
        operator
            .renew()
            .map_err(|not_opened| not_opened_at_start(name, not_opened))?;
        Ok(operator)
    }

    /// The same, but a call ends with the first record at fault and tries nothing behind it: for `on-error = "fail"`,
    /// when the pipeline stops there anyway and should not wait for the other records to loop as well.
    #[must_use]
    pub fn stop_at_fault(mut self) -> Self {
        self.stop_at_fault = true;
        self
    }

    /// The same, but no more records at fault are looked for once `enough` says so: each may take a whole call's time,
    /// and a run that is to stop cannot wait for all of them.
    #[must_use]
    pub fn give_up_when(mut self, enough: impl Fn() -> bool + Send + 'static) -> Self {
        self.enough = Some(Box::new(enough));
        self
    }

    /// The same, but an output that has another key than the record that caused it counts as nonsense: for what stands
    /// before kept state.
    #[must_use]
    pub fn watch_keys(mut self) -> Self {
        self.keeps_key = true;
        self
    }

    /// Calls the plugin with a batch. `state` is that of the batch's task, which a plugin that declares stores reads as
    /// it stood before the call, and changes by what it returns; another plugin does not see it. It is there again
    /// after the call, whatever became of that.
    ///
    /// A trap, a deadline, a memory limit or an outcome that cannot be: the instance is dropped, a new one made, and
    /// the batch halved until the record at fault stands alone; it is refused as a fault, and the other records keep
    /// their outputs in their order. No record is blamed for what an instance had become: it was tried alone in a fresh
    /// one. An error means that nothing came of the call; `into` is empty then, and if [`Operator::left_changes`]
    /// says so, the state has to be undone.
    pub fn process(
        &mut self,
        call: Call<'_>,
        state: &mut Option<TaskState>,
        into: &mut Outcome,
    ) -> Result<(), CallError> {
        self.left_changes = false;
        let outputs = self.output_count();
        into.clear(outputs);
        if call.records.is_empty() {
            return Ok(());
        }
        let origin = Origin {
            input: call.input,
            partition: call.partition,
        };
        let mut gathered = Gathered {
            into,
            state,
            measured: Vec::new(),
            changed: false,
            until: None,
            room: call.room,
        };
        let settled = self.settle(call.records, 0, origin, &mut gathered);
        let Gathered { measured, changed, .. } = gathered;
        match settled {
            Ok(()) => {
                into.refused.sort_by_key(|refused| refused.record);
                self.measure(&measured);
            }
            Err(_) => {
                into.clear(outputs);
                self.left_changes = changed;
            }
        }
        settled
    }

    /// Whether the last call came to nothing after a part of it had changed the state.
    pub fn left_changes(&self) -> bool {
        self.left_changes
    }

    /// How many outputs its plugin declares.
    pub fn output_count(&self) -> usize {
        self.plugin.description().outputs.len()
    }

    /// What the operator did since it was opened.
    pub fn stats(&self) -> Stats {
        let log = self.instance.as_ref().map(Instance::log).or(self.log.as_ref());
        Stats {
            memory_bytes: self.instance.as_ref().map_or(0, Instance::memory_bytes),
            log_dropped: log.map_or(0, Log::dropped),
            ..self.stats
        }
    }

    /// The plugin's own metrics, one for each that it declares: a counter's sum, a gauge's last value.
    pub fn measured(&self) -> &[f64] {
        &self.measured
    }

    /// Brings records to an outcome, which stand in the call's records from `first`.
    fn settle(
        &mut self,
        records: &mut Records,
        first: usize,
        origin: Origin,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), CallError> {
        if !self.look_up(records, gathered.state)? {
            if records.len() > 1 {
                return self.halve(records, first, origin, gathered);
            }
            self.refuse_for_its_state(first, gathered);
            return Ok(());
        }
        let fresh = self.instance.as_ref().is_none_or(Instance::is_fresh);
        match self.attempt(records, origin, gathered.state)? {
            Ok(outcome) => {
                self.take_room(&outcome, gathered)?;
                self.change(&outcome.changes, gathered);
                gathered.take(outcome, records, first);
                Ok(())
            }
            Err(fault) if records.len() == 1 && fresh => {
                gathered.into.refused.push(Refused {
                    record: first as u32,
                    how: Refusal::Fault,
                    reason: fault.reason,
                });
                Ok(())
            }
            // It may be that the records before had filled the instance.
            Err(_) if records.len() == 1 => self.settle(records, first, origin, gathered),
            Err(_) => self.halve(records, first, origin, gathered),
        }
    }

    /// What a call came to counts against what the batch may take.
    fn take_room(&self, outcome: &Returned, gathered: &mut Gathered<'_>) -> Result<(), CallError> {
        let bytes = memory(outcome);
        match gathered.room.checked_sub(bytes) {
            Some(left) => {
                gathered.room = left;
                Ok(())
            }
            None => Err(CallError::NoRoom(format!(
                "handed over {bytes} bytes at once where {} were left of the {} that a batch may take on its way \
                 (batch-memory)",
                gathered.room,
                size(self.limits.batch_bytes)
            ))),
        }
    }

    /// A record whose key has more state than the guest could hold: what it has is never sent in part.
    fn refuse_for_its_state(&mut self, first: usize, gathered: &mut Gathered<'_>) {
        self.count(FaultKind::MemoryLimit);
        gathered.into.refused.push(Refused {
            record: first as u32,
            how: Refusal::Fault,
            reason: format!(
                "was not called: the values that its stores have for the record's key take more than half of its \
                 memory limit of {}",
                size(self.limits.memory_bytes)
            ),
        });
    }

    /// Looks up the values that travel with the records. `false`: they would take too much of the guest's memory.
    fn look_up(&mut self, records: &Records, state: &mut Option<TaskState>) -> Result<bool, CallError> {
        if self.stores.is_empty() {
            return Ok(true);
        }
        let state = state.as_mut().ok_or_else(|| CallError::State(no_state(&self.name)))?;
        let share = if records.len() > 1 {
            VALUES_SHARE
        } else {
            VALUES_SHARE_ALONE
        };
        let most = usize::try_from(self.limits.memory_bytes / share).unwrap_or(usize::MAX);
        self.sent.look_up(records, state, most).map_err(CallError::State)
    }

    fn halve(
        &mut self,
        records: &Records,
        first: usize,
        origin: Origin,
        gathered: &mut Gathered<'_>,
    ) -> Result<(), CallError> {
        let half = records.len() / 2;
        for part in [0..half, half..records.len()] {
            if self.stop_at_fault && gathered.has_fault() {
                break;
            }
            let until = *gathered.until.get_or_insert_with(|| clock::now() + SEARCH);
            if clock::now() >= until || self.enough.as_ref().is_some_and(|enough| enough()) {
                return Err(CallError::GivenUp);
            }
            let start = part.start;
            let mut some = Records::default();
            part.for_each(|index| some.push_from(records, index));
            self.settle(&mut some, first + start, origin, gathered)?;
        }
        Ok(())
    }

    /// One call. The outer error is the plugin's own or ends the pipeline; the inner one spoilt the instance, which is
    /// gone.
    fn attempt(
        &mut self,
        records: &mut Records,
        origin: Origin,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Returned, Fault>, CallError> {
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                self.stats.recycled += 1;
                self.make()
                    .map_err(|not_opened| no_longer_opened(&self.name, not_opened))?
            }
        };
        let answer = self.call(&mut instance, records, origin, state)?;
        let judged = match answer {
            Ok(answer) => self.checked(answer, records, state)?,
            Err(fault) => Err(fault),
        };
        match judged {
            Ok(answer) => {
                self.instance = Some(instance);
                answer.map(Ok).map_err(failure)
            }
            Err(fault) => {
                self.count(fault.kind);
                tracing::debug!(
                    operator = self.name,
                    records = records.len(),
                    "the plugin {}",
                    fault.reason
                );
                self.log = Some(instance.close());
                Ok(Err(fault))
            }
        }
    }

    /// The call itself. An error is the state's; the inner one is the plugin's own, the one between spoilt the
    /// instance.
    fn call(
        &mut self,
        instance: &mut Instance,
        records: &mut Records,
        origin: Origin,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Result<Returned, Declined>, Fault>, CallError> {
        let keeps_state = !self.stores.is_empty();
        let began = clock::now();
        let batch = self.sent.take(records, origin);
        kill::point("in-guest-call");
        let answer = if keeps_state {
            instance.process_with(batch, state)
        } else {
            instance.process(batch)
        };
        self.sent.give_back(records);
        self.stats.calls += 1;
        self.stats.call_nanos += began.elapsed().as_nanos() as u64;
        match instance.take_state_failure() {
            Some(error) => Err(CallError::State(error)),
            None => Ok(answer),
        }
    }

    /// An answer that may be one; else the guest is at fault as if it had trapped. An error is the state's.
    fn checked(
        &self,
        answer: Result<Returned, Declined>,
        records: &Records,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Result<Returned, Declined>, Fault>, CallError> {
        if let Ok(outcome) = &answer {
            let asked = Asked {
                description: self.plugin.description(),
                stores: &self.stores,
                records,
                keys: self.sent.keys(),
                keeps_key: self.keeps_key,
            };
            let mut judged = check(outcome, &asked);
            if let (Ok(()), Some(state)) = (&judged, state) {
                judged =
                    check_lists(&outcome.changes, self.sent.keys(), &self.stores, state).map_err(CallError::State)?;
            }
            if let Err(why) = judged {
                return Ok(Err(Fault::bad_outcome(&why)));
            }
        }
        Ok(Ok(answer))
    }

    /// Applies the changes of a call, so that the calls behind it see them.
    fn change(&self, changes: &Changes, gathered: &mut Gathered<'_>) {
        if let Some(state) = gathered.state
            && !changes.store.is_empty()
        {
            gathered.changed = true;
            apply(changes, self.sent.keys(), &self.stores, state);
        }
    }

    fn renew(&mut self) -> Result<(), NotOpened> {
        self.instance = Some(self.make()?);
        Ok(())
    }

    fn make(&mut self) -> Result<Instance, NotOpened> {
        let log = self.log.take().unwrap_or_else(|| Log::new(&self.name));
        let mut instance =
            Instance::new(self.plugin.linked(), self.limits, self.stores.clone(), log).map_err(|failed| {
                let (fault, log) = *failed;
                self.log = Some(log);
                NotOpened::Fault(fault)
            })?;
        match instance.open(&self.config) {
            Ok(()) => Ok(instance),
            Err(not_opened) => {
                self.log = Some(instance.close());
                Err(not_opened)
            }
        }
    }

    fn count(&mut self, kind: FaultKind) {
        let counter = match kind {
            FaultKind::Trap => &mut self.stats.traps,
            FaultKind::Deadline => &mut self.stats.deadlines,
            FaultKind::MemoryLimit => &mut self.stats.memory_limits,
            FaultKind::BadOutcome => &mut self.stats.bad_outcomes,
        };
        *counter += 1;
    }

    fn measure(&mut self, measured: &[Measured]) {
        let metrics = &self.plugin.description().metrics;
        for one in measured {
            let metric = usize::from(one.metric);
            match metrics[metric].kind {
                MetricKind::Counter => self.measured[metric] += one.value,
                MetricKind::Gauge => self.measured[metric] = one.value,
            }
        }
    }
}

impl std::fmt::Debug for Operator {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Operator")
            .field("name", &self.name)
            .field("plugin", &self.plugin)
            .finish_non_exhaustive()
    }
}

/// What the parts of a call came to so far. Kept only if the call as a whole succeeds.
struct Gathered<'a> {
    into: &'a mut Outcome,
    state: &'a mut Option<TaskState>,
    measured: Vec<Measured>,
    /// Something of the state was changed.
    changed: bool,
    /// When the search for records at fault is given up, once it began.
    until: Option<Instant>,
    /// Bytes that may still be taken in.
    room: usize,
}

impl Gathered<'_> {
    fn take(&mut self, mut outcome: Returned, records: &Records, first: usize) {
        self.measured.append(&mut outcome.measured);
        self.into.absorb(outcome, records, first);
    }

    fn has_fault(&self) -> bool {
        self.into.refused.iter().any(|refused| refused.how == Refusal::Fault)
    }
}

fn failure(said: Declined) -> CallError {
    match said {
        Declined::Retry(why) => CallError::Retry(tame(&why, TEXT_BYTES)),
        Declined::Fail(why) => CallError::Fail(tame(&why, TEXT_BYTES)),
    }
}

fn no_state(name: &str) -> Error {
    Error::new(
        Kind::Bug,
        format!("failed to call operator `{name}`"),
        "its plugin keeps state, and the batch came without its task's",
    )
}

fn not_opened_at_start(name: &str, not_opened: NotOpened) -> Error {
    match not_opened {
        NotOpened::Refused(why) => Error::new(
            Kind::Invalid,
            format!("the config of operator `{name}` is not valid"),
            format!("the plugin refused it: {}", tame(&why, TEXT_BYTES)),
        ),
        NotOpened::Fault(fault) => Error::new(
            Kind::Plugin,
            format!("failed to open operator `{name}`"),
            format!("the plugin {}", fault.reason),
        ),
    }
}

fn no_longer_opened(name: &str, not_opened: NotOpened) -> CallError {
    let why = match not_opened {
        NotOpened::Refused(why) => format!("refused its configuration: {}", tame(&why, TEXT_BYTES)),
        NotOpened::Fault(fault) => fault.reason,
    };
    CallError::Fail(format!(
        "operator `{name}` could not be opened again after a fault: the plugin {why}"
    ))
}
