//! A client that lost all of its brokers is given those of its configuration again.
//!
//! A cluster that takes all of its brokers for dead, after a pause of the machine or while its controllers are cut off,
//! answers, but names none. librdkafka then forgets every broker that it knew, and does not always begin anew by itself
//! (its issue 5301): it would be cut off for good.

use super::native::credentials::NativeClient;
use super::native::requests;
use crate::clock::Interval;
use std::time::Duration;

/// librdkafka remembers each time, with some fifty bytes.
const EVERY: Duration = Duration::from_secs(10);

/// See the file's header.
pub(crate) struct Bootstrap(Interval);

impl Bootstrap {
    /// Of a client that begins now, and so has its brokers.
    pub(crate) fn begun() -> Self {
        Self(Interval::new(EVERY))
    }

    /// No broker of the client answers: from time to time it gets these, as a list of `host:port`. A broker that it
    /// has is not added twice.
    pub(crate) fn again(&mut self, client: &impl NativeClient, brokers: &str) {
        if self.0.due() {
            requests::add_brokers(client, brokers);
        }
    }
}
