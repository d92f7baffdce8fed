//! What a run may use a second, if its tenant's quotas say so: bytes that it reads and writes, time of processors.
//!
//! Never drops a record. Always: who went beyond it reads nothing until time has made up for it, and serves its groups
//! meanwhile, so that it stays their member and commits what it has.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::clock;
use crate::config::RateQuotas;
use crate::metrics::Progress;

/// What is not used up in a second may be used later, up to so much: a second's worth.
const SAVED: u64 = NANOS;
const NANOS: u64 = 1_000_000_000;

/// The quotas of a run, and what is used of them. All its workers use the same.
pub(in crate::runtime) struct Allowance {
    began: Instant,
    meters: Vec<Meter>,
}

/// One quota.
struct Meter {
    of: Quota,
    per_second: u64,
    /// What was used in all when somebody looked last.
    seen: AtomicU64,
    /// Nanoseconds behind the beginning at which all that was used is made up for.
    even_at: AtomicU64,
}

/// What is limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::runtime) enum Quota {
    /// Bytes read a second.
    BytesIn,
    /// Bytes written a second.
    BytesOut,
    /// Nanoseconds of processors a second.
    Cpu,
}

impl Quota {
    /// What people call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::BytesIn => "bytes-in",
            Self::BytesOut => "bytes-out",
            Self::Cpu => "pipeline-cpu",
        }
    }

    /// What the run has used of it so far.
    fn used(self, progress: &Progress) -> u64 {
        match self {
            Self::BytesIn => progress.bytes_in.load(Ordering::Relaxed),
            Self::BytesOut => progress.bytes_out.load(Ordering::Relaxed),
            Self::Cpu => nanos(clock::process_cpu()),
        }
    }
}

impl Allowance {
    /// Of a run that begins: its process may have had time of processors before.
    pub(in crate::runtime) fn of(quotas: &RateQuotas, progress: &Progress) -> Self {
        let cpu = quotas
            .cpu_thousandths
            .map(|thousandths| thousandths.saturating_mul(NANOS / 1000));
        let all = [
            (Quota::BytesIn, quotas.bytes_in),
            (Quota::BytesOut, quotas.bytes_out),
            (Quota::Cpu, cpu),
        ];
        let meters = all.into_iter().filter_map(|(of, per_second)| {
            Some(Meter {
                of,
                per_second: per_second?.max(1),
                seen: AtomicU64::new(of.used(progress)),
                even_at: AtomicU64::new(0),
            })
        });
        Self {
            began: clock::now(),
            meters: meters.collect(),
        }
    }

    /// Whether nothing is limited.
    pub(in crate::runtime) fn is_endless(&self) -> bool {
        self.meters.is_empty()
    }

    /// For how long nothing more is to be used, and because of which quota; `None`: there is some left.
    pub(in crate::runtime) fn held(&self, progress: &Progress) -> Option<(Quota, Duration)> {
        let now = self.now();
        for meter in &self.meters {
            let used = meter.of.used(progress);
            let before = meter.seen.fetch_max(used, Ordering::Relaxed);
            meter.spend(used.saturating_sub(before), now);
        }
        let held = self
            .meters
            .iter()
            .map(|meter| (meter.of, meter.even_at.load(Ordering::Relaxed)));
        let (of, even_at) = held.max_by_key(|(_, even_at)| *even_at)?;
        (even_at > now).then(|| (of, Duration::from_nanos(even_at - now)))
    }

    fn now(&self) -> u64 {
        // Not from the beginning on: what is saved then is what a run may begin with.
        nanos(self.began.elapsed()).saturating_add(SAVED)
    }
}

impl Meter {
    fn spend(&self, amount: u64, now: u64) {
        let cost = u128::from(amount) * u128::from(NANOS) / u128::from(self.per_second);
        let cost = u64::try_from(cost).unwrap_or(u64::MAX);
        let later = |even_at: u64| Some(even_at.max(now - SAVED.min(now)).saturating_add(cost));
        // It always has an answer.
        let _before = self.even_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, later);
    }
}

fn nanos(of: Duration) -> u64 {
    u64::try_from(of.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowance(bytes_in: u64) -> Allowance {
        let quotas = RateQuotas {
            bytes_in: Some(bytes_in),
            ..RateQuotas::default()
        };
        Allowance::of(&quotas, &Progress::default())
    }

    #[test]
    fn who_uses_more_than_a_second_gives_waits_as_long_as_it_takes_to_make_up_for_it() {
        let (of, progress) = (allowance(1000), Progress::default());
        assert_eq!(of.held(&progress), None);
        progress.bytes_in.store(1000, Ordering::Relaxed);
        progress.bytes_out.store(1 << 40, Ordering::Relaxed);
        assert_eq!(of.held(&progress), None, "a second's worth was saved");
        progress.bytes_in.store(3000, Ordering::Relaxed);
        let (quota, held) = of.held(&progress).unwrap();
        assert_eq!(quota, Quota::BytesIn);
        assert!(held <= Duration::from_secs(2), "{held:?}");
        let again = of.held(&progress).map(|(_, again)| again);
        assert!(again <= Some(held), "what was counted is not counted again");
    }

    #[test]
    fn no_more_is_saved_than_a_second_gives() {
        let meter = &allowance(10).meters[0];
        let later = 1000 * NANOS;
        meter.spend(10, later);
        assert_eq!(meter.even_at.load(Ordering::Relaxed), later);
        meter.spend(20, later);
        assert_eq!(meter.even_at.load(Ordering::Relaxed), later + 2 * NANOS);
    }

    #[test]
    fn time_of_processors_counts_by_itself() {
        let quotas = RateQuotas {
            cpu_thousandths: Some(1),
            ..RateQuotas::default()
        };
        let progress = Progress::default();
        let of = Allowance::of(&quotas, &progress);
        let until = clock::now() + Duration::from_secs(60);
        while of.held(&progress).is_none() {
            assert!(clock::now() < until, "a thousandth of a core was never used up");
        }
        assert_eq!(of.held(&progress).map(|(quota, _)| quota), Some(Quota::Cpu));
    }

    #[test]
    fn without_quotas_nothing_is_held_and_no_figure_overflows() {
        let progress = Progress::default();
        let none = Allowance::of(&RateQuotas::default(), &progress);
        let least = allowance(0);
        progress.bytes_in.store(u64::MAX, Ordering::Relaxed);
        assert!(none.is_endless() && none.held(&progress).is_none());
        assert!(!least.is_endless() && least.held(&progress).is_some());
        least.meters[0].spend(u64::MAX, u64::MAX);
        assert!(least.held(&progress).is_some());
    }
}
