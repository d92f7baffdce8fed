//! A plugin placed in a pipeline, for one worker: calls it with batches, replaces what a fault spoilt, and finds the
//! record at fault.

use std::ops::Range;
use std::sync::Arc;

use super::call::{
    Asked, CallTime, Declared, DeclaredTimers, Declined, DueTimers, Measured, Origin, Outcome, Returned, Sent, apply,
    change_timers, check, check_lists,
};
use super::fault::{Fault, FaultKind, SourceLines};
use super::guest_log::Log;
use super::instance::{Instance, NotOpened};
use super::limits::{TEXT_BYTES, tame};
use super::load::{MetricKind, Plugin, TimerClock};
use super::parts::{CallError, CallPart, Gathered, Reached};
use crate::clock;
use crate::config::{Limits, OperatorConfig};
use crate::error::{Error, Kind, Result};
use crate::kill;
use crate::record::{Column, Records};
use crate::state::{Most, TaskState};

/// A plugin placed in a pipeline. Owned by one worker thread.
pub struct Operator {
    pub(super) plugin: Plugin,
    pub(super) name: String,
    config: String,
    pub(super) limits: Limits,
    pub(super) stop_at_fault: bool,
    pub(super) enough: Option<Box<dyn Fn() -> bool + Send>>,
    takes_new_instances: bool,
    pub(super) instance: Option<Instance>,
    /// The log, while no instance has it.
    log: Option<Log>,
    pub(super) stores: Arc<[Declared]>,
    pub(super) timers: DeclaredTimers,
    /// The timers that the call at hand fires.
    pub(super) due: DueTimers,
    pub(super) keeps_key: bool,
    pub(super) sent: Sent,
    left_changes: bool,
    measured: Vec<f64>,
    pub(super) stats: Stats,
}

/// A batch for an operator.
#[derive(Debug)]
pub struct Call<'a> {
    /// The records. Their columns are lent to the plugin for the call; after it they are what they were.
    pub records: &'a mut Records,
    /// Index into the plugin's inputs, of each record; it does not matter for a plugin that has one.
    pub inputs: &'a [u8],
    /// The partition that the records stem from.
    pub partition: i32,
    /// How time moves, if the plugin has timers.
    pub time: &'a CallTime,
    /// Timers that fire in one call of the plugin, at most.
    pub most_timers: usize,
    /// Offsets of source records behind which the batch can be cut: if more timers are due behind one of them than fire
    /// in one call, and rows stand behind these, the error is [`CallError::TimersBetween`]. Behind any other record the
    /// rows are called in parts.
    pub cut_behind: Range<i64>,
    /// Bytes that the batch may still take on its way.
    pub room: usize,
}

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
    /// Time in which those were made that took their places, in nanoseconds.
    pub recycle_nanos: u64,
    /// Linear memory of the instance, in bytes.
    pub memory_bytes: u64,
    /// Timers that fired.
    pub timers: u64,
    /// Log messages that were too many.
    pub log_dropped: u64,
    /// Records that were put out.
    pub outputs: u64,
    /// Records that the plugin refused, or that were at fault.
    pub refused: u64,
    /// Instructions of WebAssembly in the calls; none unless the plugin's engine is
    /// [`counting`](super::Engine::counting).
    pub instructions: u64,
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

    /// The same, as a pipeline file places it; an error of its configuration tells the place there.
    pub fn operator_of(&self, config: &OperatorConfig) -> Result<Operator> {
        let operator = self.operator(&config.name, &config.config, config.limits);
        operator.map_err(|error| config.placed(error))
    }
}

impl Operator {
    fn open(plugin: Plugin, name: &str, config: String, limits: Limits) -> Result<Self> {
        let description = plugin.description();
        let stores: Arc<[Declared]> = Declared::all(name, description).into();
        let timers = DeclaredTimers::of(name, description);
        let mut operator = Self {
            sent: Sent::new(description, plugin.world(), &stores, timers.clone()),
            stores,
            timers,
            due: DueTimers::default(),
            keeps_key: false,
            left_changes: false,
            measured: vec![0.0; description.metrics.len()],
            plugin: plugin.clone(),
            name: name.to_owned(),
            config,
            limits,
            stop_at_fault: false,
            enough: None,
            takes_new_instances: false,
            instance: None,
            log: None,
            stats: Stats::default(),
        };
        operator
            .renew()
            .map_err(|not_opened| not_opened_at_start(name, not_opened, plugin.source_lines()))?;
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

    /// The same, but each call is made in a new instance, as if the one before had been killed.
    #[must_use]
    pub fn take_new_instances(mut self) -> Self {
        self.takes_new_instances = true;
        self
    }

    /// The same, but an output that has another key than the record that caused it counts as nonsense: for what stands
    /// before kept state.
    #[must_use]
    pub fn watch_keys(mut self) -> Self {
        self.keeps_key = true;
        self
    }

    /// Calls the plugin with a batch, and fires its timers that are due as time moves. `state` is that of the batch's
    /// task, which a plugin that declares stores reads as it stood before the call, and changes by what it returns;
    /// another plugin does not see it. It is there again after the call, whatever became of that.
    ///
    /// A trap, a deadline, a memory limit or an outcome that cannot be: the instance is dropped, a new one made, and
    /// the batch halved until the record or the timer at fault stands alone; it is refused as a fault, and the others
    /// keep their outputs in their order. Nothing is blamed for what an instance had become: it was tried alone in a
    /// fresh one. An error means that nothing came of the call; `into` is empty then, and if
    /// [`Operator::left_changes`] says so, the state has to be undone.
    pub fn process(
        &mut self,
        call: Call<'_>,
        state: &mut Option<TaskState>,
        into: &mut Outcome,
    ) -> Result<Reached, CallError> {
        self.left_changes = false;
        let outputs = self.output_count();
        into.clear(outputs);
        if call.records.is_empty() && !self.may_have_due(call.time, state) {
            return Ok(Reached {
                watermark: call.time.last(),
                is_complete: true,
            });
        }
        let mut gathered = Gathered {
            into,
            state,
            measured: Vec::new(),
            changed: false,
            until: None,
            room: call.room,
        };
        let part = CallPart {
            records: call.records,
            inputs: call.inputs,
            partition: call.partition,
            first: 0,
            time: call.time.clone(),
            most_timers: call.most_timers.max(1),
            cut_behind: call.cut_behind,
        };
        let settled = self.settle(part, &mut gathered);
        let Gathered { measured, changed, .. } = gathered;
        match settled.and_then(|watermark| self.reached(watermark, call.time.clock, state)) {
            Ok(reached) => {
                into.refused.sort_by_key(|refused| refused.record);
                self.stats.outputs += into.outputs.iter().map(|output| output.len() as u64).sum::<u64>();
                self.stats.refused += into.refused.len() as u64;
                self.measure(&measured);
                Ok(reached)
            }
            Err(error) => {
                into.clear(outputs);
                self.left_changes = changed;
                Err(error)
            }
        }
    }

    /// Whether a timer may be due by the end of that time.
    pub(super) fn may_have_due(&self, time: &CallTime, state: &Option<TaskState>) -> bool {
        let (clock, until) = match time.clock {
            Some(now) => (TimerClock::ProcessingTime, now),
            None => (TimerClock::EventTime, time.last()),
        };
        let may_have = |state: &TaskState| state.may_have_due(self.timers.store(clock), until);
        self.timers.uses(clock) && state.as_ref().is_some_and(may_have)
    }

    fn reached(
        &mut self,
        watermark: i64,
        clock: Option<i64>,
        state: &mut Option<TaskState>,
    ) -> Result<Reached, CallError> {
        let time = CallTime {
            watermark,
            clock,
            ..CallTime::default()
        };
        self.find_due(&time, 1, state)?;
        Ok(Reached {
            watermark,
            is_complete: self.due.len() == 0,
        })
    }

    /// Whether the last call came to nothing after a part of it had changed the state.
    pub fn left_changes(&self) -> bool {
        self.left_changes
    }

    /// Whether its plugin sets timers, and so goes by time.
    pub fn has_timers(&self) -> bool {
        !self.timers.is_empty()
    }

    /// Whether a timer on event time is set.
    pub fn has_timer(&self, state: &mut TaskState) -> Result<bool> {
        let (store, mut found) = (self.timers.store(TimerClock::EventTime), Column::default());
        if self.timers.uses(TimerClock::EventTime) {
            let one = Most { entries: 1, bytes: 0 };
            state.due_timers(store, i64::MAX, one, &mut found)?;
        }
        Ok(!found.is_empty())
    }

    /// Whether a timer of the host's clock may be due at `now`; reads nothing.
    pub fn may_fire_by_clock(&self, now: i64, state: &TaskState) -> bool {
        let store = self.timers.store(TimerClock::ProcessingTime);
        self.timers.uses(TimerClock::ProcessingTime) && state.may_have_due(store, now)
    }

    /// How many outputs its plugin declares.
    pub fn output_count(&self) -> usize {
        self.plugin.description().outputs.len()
    }

    /// What the operator did since it was opened.
    pub fn stats(&self) -> Stats {
        let log = self.instance.as_ref().map(Instance::log).or(self.log.as_ref());
        Stats {
            memory_bytes: (self.instance.as_ref()).map_or(self.stats.memory_bytes, Instance::memory_bytes),
            log_dropped: log.map_or(0, Log::dropped),
            ..self.stats
        }
    }

    /// The plugin's own metrics, one for each that it declares: a counter's sum, a gauge's last value.
    pub fn measured(&self) -> &[f64] {
        &self.measured
    }

    pub(super) fn keeps_state(&self) -> bool {
        !self.stores.is_empty() || !self.timers.is_empty()
    }

    /// One call. The outer error is the plugin's own or ends the pipeline; the inner one spoilt the instance, which is
    /// gone.
    pub(super) fn attempt(
        &mut self,
        part: &mut CallPart<'_>,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Returned, Fault>, CallError> {
        if self.takes_new_instances
            && let Some(before) = self.instance.take()
        {
            self.log = Some(before.close());
        }
        let mut instance = match self.instance.take() {
            Some(instance) => instance,
            None => {
                let began = clock::now();
                let made = self.make();
                self.stats.recycled += 1;
                self.stats.recycle_nanos += began.elapsed().as_nanos() as u64;
                made.map_err(|not_opened| no_longer_opened(&self.name, not_opened, self.plugin.source_lines()))?
            }
        };
        let answer = self.call(&mut instance, part, state)?;
        let judged = match answer {
            Ok(answer) => self.checked(answer, part, state)?,
            Err(fault) => Err(Fault {
                row: instance.row_at_fault(),
                ..fault
            }),
        };
        match judged {
            // It is healthy, and slow: who waits for the worker is not to wait for a whole batch.
            Ok(Ok(_)) if instance.took_long() => {
                self.instance = Some(instance);
                Err(CallError::GivenUp)
            }
            Ok(answer) => {
                match instance.take_spoilt() {
                    Some(fault) => self.drop_spoilt(instance, &fault, part),
                    None if instance.is_worn(&self.limits.recycling) => {
                        self.stats.memory_bytes = instance.memory_bytes();
                        self.log = Some(instance.close());
                    }
                    None => self.instance = Some(instance),
                }
                answer.map(Ok).map_err(failure)
            }
            Err(mut fault) => {
                fault.core_dump = self.keep_core_dump(&mut instance, part);
                self.drop_spoilt(instance, &fault, part);
                Ok(Err(fault))
            }
        }
    }

    /// Writes what an instance holds that trapped at one record or timer, if that is wanted. The name of the file.
    fn keep_core_dump(&self, instance: &mut Instance, part: &CallPart<'_>) -> Option<String> {
        let dumps = self.plugin.engine().watch.core_dumps()?;
        // The search for what is at fault traps too, and after an instance that is not fresh another is asked.
        if part.records.len() + self.due.len() > 1 || instance.calls() > 1 || !instance.has_core_dump() {
            return None;
        }
        let at = match (part.records.offsets.first(), self.due.first()) {
            (None, Some(timer)) => format!("timer-{}", timer.name),
            (offset, _) => offset.copied().unwrap_or(part.time.offset).to_string(),
        };
        let name = format!("{}-{}-{at}", self.name, part.partition);
        dumps.write(&name, |into| instance.write_core_dump(&name, into))
    }

    fn drop_spoilt(&mut self, instance: Instance, fault: &Fault, part: &CallPart<'_>) {
        self.count(fault.kind);
        tracing::debug!(
            operator = self.name,
            records = part.records.len(),
            timers = self.due.len(),
            "the plugin {}",
            fault.reason
        );
        self.log = Some(instance.close());
    }

    /// The call itself. An error is the state's; the inner one is the plugin's own, the one between spoilt the
    /// instance.
    fn call(
        &mut self,
        instance: &mut Instance,
        part: &mut CallPart<'_>,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Result<Returned, Declined>, Fault>, CallError> {
        let keeps_state = self.keeps_state();
        let began = clock::now();
        let origin = Origin {
            inputs: part.inputs,
            partition: part.partition,
        };
        let time = (!self.timers.is_empty()).then_some(&part.time);
        let batch = self.sent.take(part.records, origin, time);
        kill::point("in-guest-call");
        let answer = if keeps_state {
            instance.process_with(batch, state)
        } else {
            instance.process(batch)
        };
        self.sent.give_back(part.records);
        self.stats.calls += 1;
        self.stats.call_nanos += began.elapsed().as_nanos() as u64;
        self.stats.instructions += instance.take_instructions();
        match instance.take_state_failure() {
            Some(error) => Err(CallError::State(error)),
            None => Ok(answer),
        }
    }

    /// An answer that may be one; else the guest is at fault as if it had trapped. An error is the state's.
    fn checked(
        &self,
        answer: Result<Returned, Declined>,
        part: &CallPart<'_>,
        state: &mut Option<TaskState>,
    ) -> Result<Result<Result<Returned, Declined>, Fault>, CallError> {
        if let Ok(outcome) = &answer {
            let asked = Asked {
                description: self.plugin.description(),
                stores: &self.stores,
                timers: &self.timers,
                records: part.records,
                time: (!self.timers.is_empty()).then_some(&part.time),
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

    /// Applies what a call changes, so that the calls behind it see it; the timers that fired are gone.
    pub(super) fn change(&mut self, outcome: &Returned, gathered: &mut Gathered<'_>) {
        let Some(state) = gathered.state else { return };
        if !outcome.changes.store.is_empty() {
            gathered.changed = true;
            apply(&outcome.changes, self.sent.keys(), &self.stores, state);
        }
        if self.due.len() > 0 || !outcome.timers.is_empty() {
            gathered.changed = true;
            self.stats.timers += self.due.len() as u64;
            change_timers(&self.due, &outcome.timers, self.sent.keys(), &self.timers, state);
        }
    }

    fn renew(&mut self) -> Result<(), NotOpened> {
        self.instance = Some(self.make()?);
        Ok(())
    }

    fn make(&mut self) -> Result<Instance, NotOpened> {
        let log = self.log.take().unwrap_or_else(|| Log::new(&self.name));
        let plugin = &self.plugin;
        let mut instance = Instance::new(
            plugin.linked(),
            Some(plugin.description()),
            self.limits,
            self.stores.clone(),
            plugin.engine(),
            log,
        )
        .map_err(|failed| {
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

    pub(super) fn count(&mut self, kind: FaultKind) {
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

fn failure(said: Declined) -> CallError {
    match said {
        Declined::Retry(why) => CallError::Retry(tame(&why, TEXT_BYTES)),
        Declined::Fail(why) => CallError::Fail(tame(&why, TEXT_BYTES)),
    }
}

fn not_opened_at_start(name: &str, not_opened: NotOpened, lines: &SourceLines) -> Error {
    match not_opened {
        NotOpened::Refused(why) => Error::new(
            Kind::Invalid,
            format!("the config of operator `{name}` is not valid"),
            format!("the plugin refused it: {}", tame(&why, TEXT_BYTES)),
        ),
        NotOpened::Fault(fault) => Error::new(
            Kind::Plugin,
            format!("failed to open operator `{name}`"),
            format!("the plugin {}", fault.told(lines)),
        ),
    }
}

fn no_longer_opened(name: &str, not_opened: NotOpened, lines: &SourceLines) -> CallError {
    let why = match not_opened {
        NotOpened::Refused(why) => format!("refused its configuration: {}", tame(&why, TEXT_BYTES)),
        NotOpened::Fault(fault) => fault.told(lines),
    };
    CallError::Fail(format!("operator `{name}` could not be opened again: the plugin {why}"))
}
