//! How old the objects of a store are, whatever clocks do.
//!
//! The store's own clock says when an object was written. If it is a folder, that is this machine's clock, and a
//! clock that jumps forward makes everything old at once, a bundle too whose commit is under way. So it is believed
//! only as far as every look at it during the last while agrees, by the monotonic clock; and what this process itself
//! wrote is as old as the monotonic clock says.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::clock;

/// What this process wrote is remembered for so long at most: more than the age below which nothing is collected.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// What is known of times.
#[derive(Debug, Default)]
pub(super) struct Ages(Mutex<Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// Looks at the store's clock: when, and the milliseconds since 1970 that it said.
    looks: VecDeque<(Instant, i64)>,
    /// The names of bundles and bases that this process began to write, and when.
    own: VecDeque<(Instant, String)>,
}

impl Ages {
    /// The store's clock says `store_ms` now.
    pub(super) fn look(&self, store_ms: i64) {
        self.seen().look(clock::now(), store_ms);
    }

    /// This process begins to write an object of that name.
    pub(super) fn begin(&self, name: &str) {
        self.seen().begin(clock::now(), name);
    }

    /// What was written before this moment, by the store's clock, is at least `age` old.
    pub(super) fn old_before(&self, age: Duration) -> i64 {
        self.seen().old_before(clock::now(), age)
    }

    /// Names that this process began to write less than `age` ago.
    pub(super) fn young(&self, age: Duration) -> BTreeSet<String> {
        let (seen, now) = (self.seen(), clock::now());
        let young = seen.own.iter().filter(|(begun, _)| now.duration_since(*begun) < age);
        young.map(|(_, name)| name.clone()).collect()
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    fn look(&mut self, now: Instant, store_ms: i64) {
        self.looks.push_back((now, store_ms));
    }

    fn begin(&mut self, now: Instant, name: &str) {
        while self
            .own
            .pop_front_if(|(begun, _)| now.duration_since(*begun) > REMEMBERED)
            .is_some()
        {}
        self.own.push_back((now, name.to_owned()));
    }

    fn old_before(&mut self, now: Instant, age: Duration) -> i64 {
        // What was written before an older look is old, however the clock went on from there.
        while self.looks.len() > 1
            && self
                .looks
                .pop_front_if(|(at, _)| now.duration_since(*at) > age)
                .is_some()
        {}
        let now_by = |(at, store_ms): &(Instant, i64)| store_ms.saturating_add(milliseconds(now.duration_since(*at)));
        let believed = self.looks.iter().map(now_by).min();
        // Nothing is old if nobody ever looked.
        believed.map_or(i64::MIN, |believed| believed.saturating_sub(milliseconds(age)))
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
impl Ages {
    /// As if `span` had gone by since everything that happened.
    pub(super) fn pass(&self, span: Duration) {
        let mut seen = self.seen();
        seen.own.iter_mut().for_each(|(at, _)| *at -= span);
        seen.looks.iter_mut().for_each(|(at, _)| *at -= span);
        tests::jump(&mut seen, span);
    }

    /// As if the store's clock had jumped forward by `span` since it was last looked at.
    pub(super) fn jump(&self, span: Duration) {
        tests::jump(&mut self.seen(), span);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const AGE: Duration = Duration::from_secs(30 * 60);

    pub(super) fn jump(seen: &mut Seen, span: Duration) {
        let of_look = |(_, store_ms): &mut (Instant, i64)| *store_ms -= milliseconds(span);
        seen.looks.iter_mut().for_each(of_look);
    }

    /// Minutes after the beginning, by the store's clock.
    fn at(minutes: i64) -> i64 {
        1_700_000_000_000 + minutes * 60_000
    }

    #[test]
    fn a_clock_that_jumps_forward_is_believed_when_what_was_written_before_is_old_anyway() {
        let (mut seen, begun) = (Seen::default(), clock::now());
        assert_eq!(seen.old_before(begun, AGE), i64::MIN);
        seen.look(begun, at(0));
        seen.look(begun + 10 * MINUTE, at(10));
        assert_eq!(seen.old_before(begun + 10 * MINUTE, AGE), at(-20));
        // Half an hour forward in the eleventh minute.
        seen.look(begun + 20 * MINUTE, at(50));
        assert_eq!(seen.old_before(begun + 20 * MINUTE, AGE), at(-10));
        seen.look(begun + 40 * MINUTE, at(70));
        assert_eq!(
            seen.old_before(begun + 40 * MINUTE, AGE),
            at(10),
            "written at minute 10, before the jump"
        );
        // Minute 11 by the clock before the jump is 31 minutes ago; minute 50 by the clock after it is 22 minutes ago.
        seen.look(begun + 42 * MINUTE, at(72));
        assert_eq!(seen.old_before(begun + 42 * MINUTE, AGE), at(42));
    }

    #[test]
    fn a_clock_that_jumps_back_makes_nothing_old() {
        let (mut seen, begun) = (Seen::default(), clock::now());
        seen.look(begun, at(0));
        seen.look(begun + 10 * MINUTE, at(-50));
        assert_eq!(seen.old_before(begun + 10 * MINUTE, AGE), at(-80));
    }

    #[test]
    fn what_was_written_long_ago_is_forgotten() {
        let (mut seen, begun) = (Seen::default(), clock::now());
        for minute in 0..100 {
            seen.begin(begun + minute * MINUTE, &minute.to_string());
        }
        assert_eq!((seen.own.len(), seen.own[0].1.as_str()), (61, "39"));
    }
}
