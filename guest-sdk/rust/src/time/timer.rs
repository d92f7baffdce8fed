//! Timers as a plugin has them: fields, declared by name.

use crate::bindings::sandbar::plugin::types;
use crate::{Keyed, Refusal, Stores, fail};

/// A timer of each key, which may be set to many times at once. A field of the plugin, declared in
/// [`Plugin::timers`](crate::Plugin::timers); when its time comes, [`Plugin::fire`](crate::Plugin::fire) is called.
#[derive(Debug, Default)]
pub struct Timer {
    number: u8,
    /// Empty until it is declared.
    name: &'static str,
    /// What the turn that is underway asked for; the first `held` stay even if it is refused.
    asked: Vec<Asked>,
    held: usize,
}

/// A timer is to be set, or cleared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) key: u32,
    pub(super) at: i64,
    pub(super) is_set: bool,
}

impl Timer {
    /// Sets it for the key, to a time in milliseconds since 1970. Setting what is set is nothing new. One of event time
    /// that is due already fires right behind this turn.
    ///
    /// # Errors
    /// A record without a key is a dead letter. A timer that was not declared stops the pipeline.
    #[inline]
    pub fn set(&mut self, of: &impl Keyed, at: i64) -> Result<(), Refusal> {
        self.ask(of, at, true)
    }

    /// Clears it for the key and this time, whether or not it is set.
    ///
    /// # Errors
    /// As [`Timer::set`].
    #[inline]
    pub fn clear(&mut self, of: &impl Keyed, at: i64) -> Result<(), Refusal> {
        self.ask(of, at, false)
    }

    fn ask(&mut self, of: &impl Keyed, at: i64, is_set: bool) -> Result<(), Refusal> {
        if self.name.is_empty() {
            return Err(fail("a timer is set that the plugin does not declare"));
        }
        let key = of.key_index()?;
        self.asked.push(Asked { key, at, is_set });
        Ok(())
    }

    /// What was asked for until here stays, whatever becomes of the turn.
    pub(crate) fn hold_asked(&mut self) {
        self.held = self.asked.len();
    }

    pub(super) fn number(&self) -> u8 {
        self.number
    }
}

/// The timers of a plugin, declared by [`Plugin::timers`](crate::Plugin::timers).
#[derive(Debug)]
pub struct Timers<P> {
    all: Vec<DeclaredTimer<P>>,
}

struct DeclaredTimer<P> {
    name: &'static str,
    clock: types::TimerClock,
    field: Box<dyn TimerField<P>>,
}

/// Finds a timer in its plugin.
pub(crate) trait TimerField<P> {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut Timer;
}

impl<P> TimerField<P> for fn(&mut P) -> &mut Timer {
    fn of<'a>(&self, plugin: &'a mut P) -> &'a mut Timer {
        self(plugin)
    }
}

impl<P: 'static> Timers<P> {
    /// Those that the plugin declares, and behind them those that its stores have.
    pub(crate) fn declared_by(declare: fn(&mut Self), stores: &mut Stores<P>) -> Self {
        let mut timers = Self { all: Vec::new() };
        declare(&mut timers);
        for (name, field) in stores.take_timers() {
            timers.declare(name, types::TimerClock::EventTime, field);
        }
        timers
    }

    /// Declares a timer that fires when event time reaches its time: when no older record is expected. The name is what
    /// it is found by in later versions of the plugin.
    pub fn event_time(&mut self, name: &'static str, field: fn(&mut P) -> &mut Timer) {
        self.declare(name, types::TimerClock::EventTime, Box::new(field));
    }

    /// Declares a timer that fires when the host's clock reaches its time.
    pub fn processing_time(&mut self, name: &'static str, field: fn(&mut P) -> &mut Timer) {
        self.declare(name, types::TimerClock::ProcessingTime, Box::new(field));
    }

    fn declare(&mut self, name: &'static str, clock: types::TimerClock, field: Box<dyn TimerField<P>>) {
        self.all.push(DeclaredTimer { name, clock, field });
    }

    pub(crate) fn describe(&self) -> Vec<types::Timer> {
        let timers = self.all.iter();
        timers
            .map(|timer| types::Timer {
                name: timer.name.to_owned(),
                clock: timer.clock,
            })
            .collect()
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Of each timer its name, and whether it goes by event time.
    pub(super) fn kinds(&self) -> impl Iterator<Item = (&'static str, bool)> {
        let timers = self.all.iter();
        timers.map(|timer| (timer.name, timer.clock == types::TimerClock::EventTime))
    }

    /// A call begins.
    pub(super) fn begin(&self, plugin: &mut P) {
        for (number, timer) in self.all.iter().enumerate() {
            let field = timer.field.of(plugin);
            (field.number, field.name) = (number as u8, timer.name);
            field.asked.clear();
            field.held = 0;
        }
    }

    /// Hands over what the turn that is underway asked for, by the numbers of the timers.
    #[inline]
    pub(super) fn take_asked(&self, plugin: &mut P, mut into: impl FnMut(u8, Asked)) {
        for (number, timer) in self.all.iter().enumerate() {
            let field = timer.field.of(plugin);
            field.held = 0;
            field.asked.drain(..).for_each(|asked| into(number as u8, asked));
        }
    }

    /// What the turn that is underway asked for was never asked, unless it is held.
    pub(super) fn undo(&self, plugin: &mut P) {
        for timer in &self.all {
            let field = timer.field.of(plugin);
            field.asked.truncate(field.held);
        }
    }
}

impl<P> std::fmt::Debug for DeclaredTimer<P> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DeclaredTimer")
            .field("name", &self.name)
            .field("clock", &self.clock)
            .finish_non_exhaustive()
    }
}
