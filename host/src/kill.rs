//! Named points at which a test ends the process as a crash would: no destructor runs, nothing is flushed.
//!
//! They are empty but in a build with the feature `kill-points`, where the environment variable `FAILPOINTS` arms them:
//! `FAILPOINTS="after-bundle=3*off->return"` ends the process at the fourth bundle. The syntax is the crate `fail`'s.

use std::time::Duration;

/// Every point, in the order of a checkpoint; `tests/guarantees` kills at each of them.
pub const POINTS: [&str; 18] = [
    "after-begin",
    "mid-produce",
    "before-flush",
    "mid-bundle",
    "after-bundle",
    "before-send-offsets",
    "after-send-offsets",
    "end-txn-sent",
    "after-commit",
    "mid-apply",
    "after-apply",
    "mid-base",
    "mid-collection",
    "mid-restore",
    "in-revocation",
    "in-guest-call",
    "in-reinitialise",
    "mid-import",
];

/// Arms what the environment says; for the program's first line.
pub fn arm() {
    #[cfg(feature = "kill-points")]
    std::mem::forget(fail::FailScenario::setup());
}

/// Ends the process here if `name` is armed.
#[cfg(feature = "kill-points")]
pub fn point(name: &str) {
    fail::eval(name, |_| std::process::abort());
}

/// Ends the process here if `name` is armed; nothing is, in this build.
#[cfg(not(feature = "kill-points"))]
#[inline(always)]
pub fn point(_name: &str) {}

/// How often something happens: `usual`, or the milliseconds that the environment variable `name` says. What comes each
/// ten minutes has to come while a test looks on.
#[cfg(feature = "kill-points")]
pub fn every(name: &str, usual: Duration) -> Duration {
    let given = std::env::var(name).ok().and_then(|text| text.parse().ok());
    given.map_or(usual, Duration::from_millis)
}

/// How often something happens: `usual`, in this build.
#[cfg(not(feature = "kill-points"))]
#[inline(always)]
pub fn every(_name: &str, usual: Duration) -> Duration {
    usual
}

/// Ends the process a moment from now if `name` is armed: while its caller waits for an answer.
#[cfg(feature = "kill-points")]
pub fn soon(name: &'static str) {
    // Half of the answers take longer than this on a single node.
    const MOMENT: Duration = Duration::from_micros(500);
    let _ = std::thread::Builder::new().spawn(move || {
        std::thread::sleep(MOMENT);
        point(name);
    });
}

/// Ends the process a moment from now if `name` is armed; nothing is, in this build.
#[cfg(not(feature = "kill-points"))]
#[inline(always)]
pub fn soon(_name: &'static str) {}
