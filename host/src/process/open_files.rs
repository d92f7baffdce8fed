//! How many files the process may have open, sockets among them.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is taken if there is no limit: what a system has at most.
const UNLIMITED: u64 = 1 << 20;

/// Raises the limit as far as it may go without anybody's leave: a pipeline has a database a task and sockets a broker,
/// and systems begin with 1,024 for the sake of old programs. If that fails, the limit stays as it is.
pub fn raise() {
    let limits = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limits.maximum,
        ..limits
    };
    let _stays_as_it_is = setrlimit(Resource::Nofile, raised);
}

/// The limit as it stands.
pub fn limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(UNLIMITED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_raised_to_the_hard_one() {
        raise();
        let limits = getrlimit(Resource::Nofile);
        assert_eq!(limit(), limits.maximum.unwrap_or(UNLIMITED));
    }
}
