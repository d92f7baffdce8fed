//! How long a worker waits for what others answer: a group, a cluster, a store.

use std::time::Duration;

/// How long the acknowledgements may take when positions are committed.
pub(in crate::runtime) const DRAIN_LIMIT: Duration = Duration::from_secs(60);
/// How long the acknowledgements may take when partitions are taken away: the group waits meanwhile.
pub(in crate::runtime) const REVOCATION_LIMIT: Duration = Duration::from_secs(20);
/// How long the commit of a revocation may take. A signal that comes meanwhile waits for it, so it is short.
pub(in crate::runtime) const REVOCATION_COMMIT_LIMIT: Duration = Duration::from_secs(5);
/// After a signal, each counted from it, so that a stop takes less than 10 s whatever hangs and however many groups
/// there are: a batch that waits for a sink or a plugin is given up, then the outputs, the last commits, and the
/// groups' good-byes.
pub(in crate::runtime) const STOP_BATCH_LIMIT: Duration = Duration::from_secs(3);
pub(in crate::runtime) const STOP_DRAIN_LIMIT: Duration = Duration::from_secs(5);
pub(in crate::runtime) const STOP_COMMIT_LIMIT: Duration = Duration::from_secs(6);
pub(in crate::runtime) const STOP_CLOSE_LIMIT: Duration = Duration::from_secs(7);
