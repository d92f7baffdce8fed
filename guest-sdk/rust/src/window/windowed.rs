//! Windows as a plugin has them: a field, declared as a store.

use super::aggregate::Aggregate;
use super::held::{Held, OfKey};
use super::spec::Windows;
use super::turn::{Before, Step, Turn, WindowResult};
use crate::bindings::sandbar::plugin::types::StoreKind;
use crate::state::{Changes, Kept, Postcard, Timed};
use crate::{Codec, Column, Event, Failure, Fired, Keyed, Refusal, Store, Timer, fail};

/// The windows of each key, and an aggregate of each of them. A field of the plugin, declared by
/// [`Stores::windowed`](crate::Stores::windowed), and opened in [`Plugin::open`](crate::Plugin::open).
pub struct Windowed<A: Aggregate> {
    aggregate: A,
    windows: Option<Windows>,
    held: Held<A::State>,
    timer: Timer,
    undo: Undo<A>,
}

/// What the last turn did, and to which key.
struct Undo<A: Aggregate> {
    turn: Option<u32>,
    key: u32,
    before: Before,
    steps: Vec<Step<A>>,
}

impl<A: Aggregate> Windowed<A> {
    /// Says which windows there are.
    ///
    /// # Errors
    /// There can be no such windows.
    pub fn open(&mut self, windows: Windows) -> Result<(), Refusal> {
        self.windows = Some(windows.checked()?);
        Ok(())
    }

    /// As [`Windowed::open`], with an aggregate that takes more than its type to be known.
    ///
    /// # Errors
    /// There can be no such windows.
    pub fn open_with(&mut self, windows: Windows, aggregate: A) -> Result<(), Refusal> {
        self.aggregate = aggregate;
        self.open(windows)
    }

    /// Adds a record to its windows; `put` takes what is to be put out at once. False: it is too late for all of them.
    ///
    /// # Errors
    /// A record without a key, or one whose time is beyond all windows, is a dead letter; and whatever the aggregate or
    /// `put` refuses.
    #[inline]
    pub fn add(
        &mut self,
        event: &Event,
        item: &A::Item,
        mut put: impl FnMut(&WindowResult<A>) -> Result<(), Refusal>,
    ) -> Result<bool, Refusal> {
        self.turn(event, event.watermark(), |turn| {
            turn.add(item, event.timestamp(), &mut put)
        })
    }

    /// What the time of a timer makes of the windows; `put` takes what is to be put out. Nothing happens if it is
    /// another one's timer. If the firing is refused by `skip`, what it put out is gone, but the windows stay as it
    /// left them: they do not close a second time.
    ///
    /// # Errors
    /// What `put` refuses. State that cannot be read stops the pipeline.
    pub fn fire(
        &mut self,
        fired: &Fired,
        mut put: impl FnMut(&WindowResult<A>) -> Result<(), Refusal>,
    ) -> Result<(), Refusal> {
        if !fired.is(&self.timer) {
            return Ok(());
        }
        let mut answer = Ok(());
        let mut put = |result: &WindowResult<A>| {
            if answer.is_ok() {
                answer = put(result);
            }
            Ok(())
        };
        self.turn(fired, fired.at(), |turn| {
            if turn.of.timer == Some(fired.at()) {
                turn.of.timer = None;
            }
            turn.reach(&mut put)
        })?;
        self.undo.turn = None;
        self.timer.hold_asked();
        answer
    }

    /// Works on the windows of a key; then the timer is set to the next moment that matters.
    #[inline]
    fn turn<T>(
        &mut self,
        of: &impl Keyed,
        now: i64,
        work: impl FnOnce(&mut Turn<A>) -> Result<T, Refusal>,
    ) -> Result<T, Refusal> {
        let windows = self.windows.as_ref();
        let windows = windows.ok_or_else(|| fail(format!("the windows `{}` were not opened", self.held.name())))?;
        let key = of.key_index()?;
        let held = self.held.of(key, &self.aggregate)?;
        let before = Before::of(held);
        if self.undo.turn != Some(of.turn()) {
            self.undo.steps.clear();
            (self.undo.turn, self.undo.key, self.undo.before) = (Some(of.turn()), key, before);
        }
        let kept = self.undo.steps.len();
        let mut turn = Turn {
            aggregate: &self.aggregate,
            windows,
            of: held,
            steps: &mut self.undo.steps,
            now,
        };
        let answer = match work(&mut turn) {
            Ok(answer) => answer,
            Err(refusal) => {
                // Also if the plugin goes on as if nothing had happened.
                turn.take_back(kept);
                before.give_back(turn.of);
                return Err(refusal);
            }
        };
        if turn.steps.len() > kept || turn.of.timer.is_none() {
            turn.forget_if_empty();
            if let Some(next) = turn.next()
                && turn.of.timer.is_none_or(|timer| timer > next)
            {
                if let Some(later) = turn.of.timer.replace(next) {
                    self.timer.clear(of, later)?;
                }
                self.timer.set(of, next)?;
            }
            self.held.change(key);
        }
        Ok(answer)
    }
}

impl<A: Aggregate> Timed for Windowed<A> {
    fn timer(&mut self) -> &mut Timer {
        &mut self.timer
    }
}

impl<A: Aggregate> Store for Windowed<A> {
    const KIND: StoreKind = StoreKind::Value;
    const CODEC: &'static str = <Postcard as Codec<OfKey<A::State>>>::NAME;

    fn schema() -> serde_json::Value {
        <Postcard as Codec<OfKey<A::State>>>::schema().unwrap_or_else(|| serde_json::json!({}))
    }
}

impl<A: Aggregate> Kept for Windowed<A> {
    fn begin(&mut self, store: u8, name: &'static str, keys: usize, values: Column) {
        self.held.begin(store, name, keys, values);
        self.undo.turn = None;
        self.undo.steps.clear();
    }

    fn undo(&mut self, turn: u32) {
        if self.undo.turn == Some(turn)
            && let Some(of) = self.held.known(self.undo.key)
        {
            let steps = self.undo.steps.drain(..).rev();
            steps.for_each(|step| step.take_back(&self.aggregate, of));
            self.undo.before.give_back(of);
        }
    }

    fn finish(&mut self, into: &mut Changes) -> Result<(), Failure> {
        self.held.finish(&self.aggregate, into)
    }
}

impl<A: Aggregate + Default> Default for Windowed<A> {
    fn default() -> Self {
        Self {
            aggregate: A::default(),
            windows: None,
            held: Held::default(),
            timer: Timer::default(),
            undo: Undo {
                turn: None,
                key: 0,
                before: Before::default(),
                steps: Vec::new(),
            },
        }
    }
}

impl<A: Aggregate> std::fmt::Debug for Windowed<A> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Windowed")
            .field("name", &self.held.name())
            .field("windows", &self.windows)
            .finish_non_exhaustive()
    }
}
