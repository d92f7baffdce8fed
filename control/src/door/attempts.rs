//! Requests that nobody signed in for: how many of them the audit notes one by one.
//!
//! Never lets strangers fill the audit. Always: those that are left out are counted, and one note says how many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Notes of one address in a row, and the time after which it has one more.
const OF_ONE: Allowance = Allowance {
    most: 60,
    every: Duration::from_secs(60),
};
/// Notes of all of them in a row, and the time after which there is one more.
const OF_ALL: Allowance = Allowance {
    most: 600,
    every: Duration::from_secs(10),
};
/// Addresses that are told apart, at most; what comes from others counts to all alone.
const MOST_ADDRESSES: usize = 1024;
/// After this long it is noted how many were left out.
const REPORT: Duration = Duration::from_secs(60);

#[derive(Debug, Clone, Copy)]
struct Allowance {
    most: u32,
    every: Duration,
}

/// A bucket of tokens, as the trade calls it.
#[derive(Debug)]
struct LeftNotes {
    allowance: Allowance,
    left: f64,
    at: Instant,
}

/// What becomes of the note of a request that nobody signed in for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Attempt {
    /// It is written.
    Noted,
    /// It is counted, as others before it.
    LeftOut,
    /// It is counted, as the first: whoever hears of it says later how many there were.
    FirstLeftOut,
}

/// Those that nobody signed in for.
#[derive(Debug, Clone)]
pub(crate) struct Attempts {
    counted: Arc<Mutex<CountedAttempts>>,
    report: Duration,
}

#[derive(Debug)]
struct CountedAttempts {
    of_all: LeftNotes,
    of_one: HashMap<String, LeftNotes>,
    left_out: u64,
}

impl Default for Attempts {
    fn default() -> Self {
        Self::reporting_after(REPORT)
    }
}

impl LeftNotes {
    fn new(allowance: Allowance) -> Self {
        Self {
            allowance,
            left: f64::from(allowance.most),
            at: Instant::now(),
        }
    }

    fn refill(&mut self) {
        let more = self.at.elapsed().div_duration_f64(self.allowance.every);
        self.left = (self.left + more).min(f64::from(self.allowance.most));
        self.at = Instant::now();
    }

    fn is_full(&mut self) -> bool {
        self.refill();
        self.left >= f64::from(self.allowance.most)
    }

    fn take(&mut self) -> bool {
        self.refill();
        let is_one_left = self.left >= 1.0;
        self.left -= if is_one_left { 1.0 } else { 0.0 };
        is_one_left
    }
}

impl Attempts {
    /// With another time until it is noted how many were left out.
    pub(crate) fn reporting_after(report: Duration) -> Self {
        let counted = CountedAttempts {
            of_all: LeftNotes::new(OF_ALL),
            of_one: HashMap::new(),
            left_out: 0,
        };
        Self {
            counted: Arc::new(Mutex::new(counted)),
            report,
        }
    }

    /// One more from this address: what becomes of its note.
    pub(crate) fn one_more(&self, from: &str) -> Attempt {
        self.with(|counted| {
            if counted.allows(from) {
                return Attempt::Noted;
            }
            counted.left_out += 1;
            match counted.left_out {
                1 => Attempt::FirstLeftOut,
                _ => Attempt::LeftOut,
            }
        })
    }

    /// Waits a while; how many were left out since the first one, which is never told again.
    pub(crate) async fn left_out(&self) -> u64 {
        tokio::time::sleep(self.report).await;
        self.with(|counted| std::mem::take(&mut counted.left_out))
    }

    fn with<T>(&self, change: impl FnOnce(&mut CountedAttempts) -> T) -> T {
        change(&mut self.counted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl CountedAttempts {
    fn allows(&mut self, from: &str) -> bool {
        if self.of_one.len() >= MOST_ADDRESSES {
            self.of_one.retain(|_, left| !left.is_full());
        }
        let is_known = self.of_one.contains_key(from);
        if is_known || self.of_one.len() < MOST_ADDRESSES {
            let left = self.of_one.entry(from.to_owned());
            if !left.or_insert_with(|| LeftNotes::new(OF_ONE)).take() {
                return false;
            }
        }
        self.of_all.take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_addresses_have_a_limit_together_and_take_no_memory() {
        let attempts = Attempts::default();
        let allowed = (0..MOST_ADDRESSES * 3)
            .filter(|at| attempts.one_more(&at.to_string()) == Attempt::Noted)
            .count();
        let most = usize::try_from(OF_ALL.most).unwrap();
        assert!((most..most + 5).contains(&allowed), "{allowed}");
        attempts.with(|counted| assert!(counted.of_one.len() <= MOST_ADDRESSES));
    }

    #[tokio::test]
    async fn the_first_that_is_left_out_hears_how_many_there_were() {
        let attempts = Attempts::reporting_after(Duration::ZERO);
        let mut became = Vec::new();
        for _ in 0..OF_ONE.most + 3 {
            became.push(attempts.one_more("a"));
        }
        let most = usize::try_from(OF_ONE.most).unwrap();
        assert_eq!(
            became[most - 1..][..4],
            [
                Attempt::Noted,
                Attempt::FirstLeftOut,
                Attempt::LeftOut,
                Attempt::LeftOut
            ]
        );
        assert_eq!(attempts.one_more("b"), Attempt::Noted);
        assert_eq!(attempts.left_out().await, 3);
        assert_eq!(attempts.one_more("a"), Attempt::FirstLeftOut);
    }
}
