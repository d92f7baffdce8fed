//! Whether the workers of a process turn: each counts its turns, and whoever watches sees which of them stands still.
//!
//! Always: a beat costs the worker two plain memory accesses a turn, and nobody who watches can hold it up.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What a pulse says once its worker is gone.
const ENDED: u64 = u64::MAX;

/// A worker's turns.
#[derive(Debug, Default)]
pub struct Pulse {
    turns: AtomicU64,
}

impl Pulse {
    /// The worker has turned, or what it waits for has come nearer. Its own thread calls it, and nobody else.
    pub fn beat(&self) {
        self.turns.store(
            self.turns.load(Ordering::Relaxed).wrapping_add(1) % ENDED,
            Ordering::Relaxed,
        );
    }

    /// The worker is gone, and will not turn any more.
    pub fn end(&self) {
        self.turns.store(ENDED, Ordering::Relaxed);
    }
}

/// A worker that stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// The worker, from 0.
    pub worker: usize,
    /// For how long.
    pub still: Duration,
}

/// The pulses of a process's workers, and which of them stands still.
#[derive(Debug, Default)]
pub struct Pulses {
    all: Mutex<Vec<Arc<Pulse>>>,
    standstill: Mutex<Option<Standstill>>,
}

impl Pulses {
    /// The pulse of one more worker.
    pub fn add(&self) -> Arc<Pulse> {
        let pulse = Arc::<Pulse>::default();
        lock(&self.all).push(pulse.clone());
        pulse
    }

    /// The worker that stands still, if one does.
    pub fn standstill(&self) -> Option<Standstill> {
        *lock(&self.standstill)
    }

    /// Says which worker stands still.
    pub fn tell(&self, standstill: Option<Standstill>) {
        *lock(&self.standstill) = standstill;
    }
}

/// What somebody saw who looks once in a while.
#[derive(Debug, Default)]
pub struct Watch {
    seen: Vec<(u64, Duration)>,
}

impl Watch {
    /// Looks again, `passed` after the last time; gives the worker that stands still the longest.
    ///
    /// The caller says how long it was, and counts no time in which the process itself stood still: then nobody could
    /// have turned.
    pub fn look(&mut self, pulses: &Pulses, passed: Duration) -> Option<Standstill> {
        let all = lock(&pulses.all);
        self.seen.resize(all.len(), (0, Duration::ZERO));
        for (pulse, (turns, still)) in all.iter().zip(&mut self.seen) {
            let now = pulse.turns.load(Ordering::Relaxed);
            *still = if now == *turns && now != ENDED {
                *still + passed
            } else {
                Duration::ZERO
            };
            *turns = now;
        }
        let longest = self.seen.iter().enumerate().max_by_key(|(_, (_, still))| *still);
        longest.map(|(worker, (_, still))| Standstill { worker, still: *still })
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn still(watch: &mut Watch, pulses: &Pulses) -> (usize, u64) {
        let seen = watch.look(pulses, SECOND).unwrap();
        (seen.worker, seen.still.as_secs())
    }

    #[test]
    fn the_worker_that_stands_still_the_longest_is_named() {
        let pulses = Pulses::default();
        let (first, second, mut watch) = (pulses.add(), pulses.add(), Watch::default());
        [&first, &second].iter().for_each(|pulse| pulse.beat());
        assert_eq!(still(&mut watch, &pulses).1, 0);
        first.beat();
        assert_eq!(still(&mut watch, &pulses), (1, 1));
        first.beat();
        assert_eq!(still(&mut watch, &pulses), (1, 2));
        second.beat();
        assert_eq!(still(&mut watch, &pulses), (0, 1));
    }

    #[test]
    fn a_worker_that_is_gone_does_not_stand_still() {
        let pulses = Pulses::default();
        let (pulse, mut watch) = (pulses.add(), Watch::default());
        assert_eq!(still(&mut watch, &pulses).1, 1, "it has not begun, and that counts");
        pulse.end();
        (0..5).for_each(|_| assert_eq!(still(&mut watch, &pulses).1, 0));
    }
}
