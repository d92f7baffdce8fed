//! Time and chance enter here and nowhere else, so that a simulation can take their place.

use std::cell::Cell;
use std::marker::PhantomData;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment of the monotonic clock, to measure spans and hold deadlines.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn now() -> Instant {
    Instant::now()
}

/// Milliseconds since 1970 of the wall clock.
#[expect(clippy::disallowed_methods, reason = "this is the clock")]
pub fn wall_ms() -> i64 {
    if let Some(stands) = STANDS.get() {
        return stands;
    }
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

thread_local! {
    /// Where the wall clock of a thread stands, if it is stopped.
    static STANDS: Cell<Option<i64>> = const { Cell::new(None) };
}

/// The wall clock of its thread stands where it is set, until this is dropped.
#[derive(Debug)]
pub struct StoppedClock {
    /// It belongs to its thread.
    _of_thread: PhantomData<*const ()>,
}

impl StoppedClock {
    /// Stops the wall clock of this thread at `ms` since 1970.
    pub fn at(ms: i64) -> Self {
        STANDS.set(Some(ms));
        Self {
            _of_thread: PhantomData,
        }
    }

    /// Sets it.
    pub fn set(&mut self, ms: i64) {
        STANDS.set(Some(ms));
    }
}

impl Drop for StoppedClock {
    fn drop(&mut self) {
        STANDS.set(None);
    }
}

/// The time that this thread had a processor so far, in the program and in the kernel.
pub fn thread_cpu() -> Duration {
    cpu(libc::CLOCK_THREAD_CPUTIME_ID)
}

/// The same of all threads of this process together.
pub fn process_cpu() -> Duration {
    cpu(libc::CLOCK_PROCESS_CPUTIME_ID)
}

#[expect(unsafe_code, reason = "the standard library cannot ask for it")]
fn cpu(clock: libc::clockid_t) -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: it writes the two numbers and keeps no pointer to them.
    let _there_is_such_a_clock = unsafe { libc::clock_gettime(clock, &raw mut time) };
    Duration::new(time.tv_sec.cast_unsigned(), time.tv_nsec as u32)
}

/// A number that no other call is likely to give, for names and seeds.
pub fn random() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    std::collections::hash_map::RandomState::new().build_hasher().finish()
}

/// Sleeps for `span`, or until `enough` says so (it is asked every 20 ms); whether the whole span was slept.
pub fn sleep_unless(span: Duration, enough: impl Fn() -> bool) -> bool {
    let until = now() + span;
    loop {
        let left = until.saturating_duration_since(now());
        if enough() || left.is_zero() {
            return left.is_zero();
        }
        std::thread::sleep(left.min(Duration::from_millis(20)));
    }
}

/// The end of year 9999, in milliseconds since 1970: no event time and no watermark is behind it.
pub const LATEST_EVENT_TIME: i64 = 253_402_300_799_999;

/// A span that comes round again and again.
#[derive(Debug)]
pub struct Interval {
    every: Duration,
    next: Instant,
}

impl Interval {
    /// First due one span from now.
    pub fn new(every: Duration) -> Self {
        Self {
            every,
            next: now() + every,
        }
    }

    /// Whether it came round; then it starts again from now.
    pub fn due(&mut self) -> bool {
        let now = now();
        let due = now >= self.next;
        if due {
            self.next = now + self.every;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_thread_is_its_own() {
        let began = thread_cpu();
        let busy = || {
            let (began, mut turns) = (thread_cpu(), 0u64);
            while thread_cpu() - began < Duration::from_millis(20) {
                turns = std::hint::black_box(turns + 1);
            }
            thread_cpu()
        };
        let other = std::thread::scope(|scope| scope.spawn(busy).join()).unwrap();
        assert!(other >= Duration::from_millis(20), "{other:?}");
        // Waiting for the other one costs next to nothing.
        assert!(thread_cpu() - began < Duration::from_millis(20));
    }

    #[test]
    fn a_stopped_clock_stands_for_its_thread_alone_until_it_is_dropped() {
        let mut clock = StoppedClock::at(7);
        assert_eq!(wall_ms(), 7);
        clock.set(-3);
        assert_eq!(wall_ms(), -3);
        std::thread::scope(|scope| scope.spawn(|| assert!(wall_ms() > 1_600_000_000_000)).join()).unwrap();
        drop(clock);
        assert!(wall_ms() > 1_600_000_000_000);
    }
}
