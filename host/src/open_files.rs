//! How many files the process may have open, sockets among them.
#![expect(
    unsafe_code,
    reason = "the limits of the process are read and set by the C library alone"
)]

/// What is taken if the limit cannot be read: what nearly every system gives at least.
const USUAL: u64 = 1024;

/// Raises the limit as far as it may go without anybody's leave: a pipeline has a database a task and sockets a broker,
/// and systems begin with 1,024 for the sake of old programs. If that fails, the limit stays as it is.
pub fn raise() {
    let Some(mut limits) = read() else { return };
    limits.rlim_cur = limits.rlim_max;
    // SAFETY: it reads the two numbers and keeps no pointer to them.
    let _stays_as_it_is = unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limits) };
}

/// The limit as it stands.
pub fn limit() -> u64 {
    read().map_or(USUAL, |limits| limits.rlim_cur)
}

fn read() -> Option<libc::rlimit> {
    let mut limits = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: it writes the two numbers and keeps no pointer to them.
    let done = unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limits) };
    (done == 0).then_some(limits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        raise();
        let limits = read().unwrap();
        assert_eq!(limit(), limits.rlim_max);
    }
}
