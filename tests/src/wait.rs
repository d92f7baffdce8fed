//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// Asks again and again until there is an answer; fails with the sentence when there is none within the limit.
pub fn until<T>(what: &str, limit: Duration, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what}: not within {limit:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until the condition holds; fails with the sentence when it does not within the limit.
pub fn until_true(what: &str, limit: Duration, mut holds: impl FnMut() -> bool) {
    until(what, limit, || holds().then_some(()));
}

/// Whole seconds.
pub const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The limit of what a usual machine does within whole seconds: a machine three times slower keeps it.
pub const fn promised(count: u64) -> Duration {
    seconds(3 * count)
}

/// A number from the environment, for longer runs than the usual ones.
pub fn setting(name: &str, usual: u64) -> u64 {
    match std::env::var(name) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{name}={text} is not a number")),
        Err(_) => usual,
    }
}
