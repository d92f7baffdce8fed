//! A call: its events and the timers that are due take turns.

use super::Fired;
use super::queue::{Due, Now, Queue};
use crate::{Batch, Failure, Outputs, Plugin, Refusal, Stores, Timers};

/// A timer's cause, to which the index of an advance is added.
const BY_ADVANCE: u32 = 1 << 31;
/// The cause of what fires before any advance.
const BEFORE_ALL: u32 = u32::MAX;
/// As much of a key as a sentence shows.
const KEY_SHOWN: usize = 80;

/// Runs a batch through a plugin.
pub(crate) fn run<P: Plugin>(plugin: &mut P, mut batch: Batch, out: &mut Outputs) -> Result<(), Failure> {
    let mut stores = Stores::declared_by(P::stores);
    let timers = Timers::declared_by(P::timers, &mut stores);
    stores.begin(plugin, &mut batch);
    timers.begin(plugin);
    out.reserve(&batch);
    let reach = batch.advances.last().map_or(batch.watermark, |last| last.watermark);
    let queue = Queue::new(&timers, &batch.keys, &batch.due, reach);
    let mut call = Call {
        plugin,
        batch: &batch,
        stores: &stores,
        timers: &timers,
        queue,
        watermark: batch.watermark,
        moved: 0,
        fired: 0,
    };
    if timers.is_empty() {
        (0..batch.len()).try_for_each(|index| call.event(index, out))?;
    } else {
        call.events_and_firings(out)?;
    }
    out.set_timers(call.queue.into_changes());
    stores.finish(plugin, out.changes())
}

/// A call that is underway.
struct Call<'a, P> {
    plugin: &'a mut P,
    batch: &'a Batch,
    stores: &'a Stores<P>,
    timers: &'a Timers<P>,
    queue: Queue<'a>,
    watermark: i64,
    /// So many advances were made.
    moved: usize,
    /// So many timers fired.
    fired: u32,
}

impl<P: Plugin> Call<'_, P> {
    fn events_and_firings(&mut self, out: &mut Outputs) -> Result<(), Failure> {
        while let Some(due) = self.queue.next_by_clock() {
            self.fire(due, out)?;
        }
        // What was due before the call does not wait for an advance.
        self.fire_due(0, out)?;
        self.move_time(0, out)?;
        for index in 0..self.batch.len() {
            self.event(index, out)?;
            self.move_time(index + 1, out)?;
        }
        Ok(())
    }

    #[inline]
    fn event(&mut self, index: usize, out: &mut Outputs) -> Result<(), Failure> {
        let event = self.batch.event_at(index, self.watermark);
        out.at(&event);
        match self.plugin.process(&event, out) {
            Ok(()) => self.keep_timers(),
            Err(refusal) => {
                out.refuse(&event, refusal)?;
                self.undo(index as u32);
            }
        }
        Ok(())
    }

    /// Event time moves to before event `index`. Timers fire after each advance: a timer that the event before set too
    /// late waits for the first of them, as it would if the call ended with that event.
    #[inline]
    fn move_time(&mut self, index: usize, out: &mut Outputs) -> Result<(), Failure> {
        let from = self.moved;
        while let Some(advance) = self.batch.advances.get(self.moved).filter(|next| next.before <= index) {
            self.watermark = advance.watermark;
            self.moved += 1;
            self.fire_due(index, out)?;
        }
        match self.moved == from {
            true => self.fire_due(index, out),
            false => Ok(()),
        }
    }

    #[inline]
    fn fire_due(&mut self, index: usize, out: &mut Outputs) -> Result<(), Failure> {
        let now = Now {
            watermark: self.watermark,
            is_end: index == self.batch.len(),
        };
        while let Some(due) = self.queue.next(now) {
            self.fire(due, out)?;
        }
        Ok(())
    }

    fn fire(&mut self, due: Due, out: &mut Outputs) -> Result<(), Failure> {
        let fired = Fired::new(self.batch, due, self.queue.kind(due), self.watermark, self.fired);
        self.fired += 1;
        let cause = match self.moved.checked_sub(1) {
            Some(advance) => BY_ADVANCE + advance as u32,
            None => BEFORE_ALL,
        };
        out.at_firing(&fired, cause);
        let answer = match self.stores.fire(self.plugin, &fired) {
            Ok(true) => Ok(()),
            Ok(false) => self.plugin.fire(&fired, out),
            Err(refusal) => Err(refusal),
        };
        match answer {
            Ok(()) => self.keep_timers(),
            Err(Refusal::Skip(_)) => {
                out.take_back();
                self.undo(crate::Keyed::turn(&fired));
            }
            Err(Refusal::Retry(reason)) => return Err(Failure::Retry(reason)),
            Err(Refusal::DeadLetter(reason) | Refusal::Fail(reason)) => {
                return Err(Failure::Fail(sentence(&fired, &reason)));
            }
        }
        Ok(())
    }

    #[inline]
    fn keep_timers(&mut self) {
        let queue = &mut self.queue;
        self.timers
            .take_asked(self.plugin, |timer, asked| queue.ask(timer, asked));
    }

    fn undo(&mut self, turn: u32) {
        self.stores.undo(self.plugin, turn);
        self.timers.undo(self.plugin);
        self.keep_timers();
    }
}

fn sentence(fired: &Fired, reason: &str) -> String {
    let key = String::from_utf8_lossy(fired.key());
    let shown: String = key.chars().take(KEY_SHOWN).collect();
    let more = if shown.len() < key.len() { "…" } else { "" };
    format!(
        "timer `{}` of key `{shown}{more}` at {} could not fire: {reason}",
        fired.name(),
        fired.at()
    )
}
