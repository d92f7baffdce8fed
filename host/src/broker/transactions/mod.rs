//! Transactions: who may write under which transactional id, what a transaction touches, and how it ends.
//!
//! Owns the coordinator's part. Never looks into records. Always: the decision is in the journal before the first
//! marker is in a log, and the positions of a transaction count from its commit on; what a sudden end of the process
//! left undone is done at the next start.

pub(in crate::broker) mod requests;
pub(in crate::broker) mod offsets;
pub(in crate::broker) mod transaction;
pub(in crate::broker) mod ending;
