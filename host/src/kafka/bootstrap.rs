//! A client that lost all of its brokers is given those of its configuration again.
//!
//! A cluster that takes all of its brokers for dead, after a pause of the machine or while its controllers are cut off,
//! answers, but names none. librdkafka then forgets every broker that it knew, and does not always begin anew by itself
//! (its issue 5301): it would be cut off for good.

use super::native::credentials::NativeClient;
use super::native::requests;
use crate::clock;
use std::time::{Duration, Instant};

/// From one time to the next, at first; later twice as long each time. librdkafka remembers all of them.
const FIRST: Duration = Duration::from_secs(10);
const MOST: Duration = Duration::from_secs(300);

/// See the file's header.
pub(crate) struct Bootstrap {
    due: Instant,
    pause: Duration,
}

impl Bootstrap {
    /// Of a client that has brokers.
    pub(crate) fn begun() -> Self {
        Self {
            due: clock::now() + FIRST,
            pause: FIRST,
        }
    }

    /// No broker of the client answers: from time to time it gets these, as a list of `host:port`. A broker that it
    /// has is not added twice.
    pub(crate) fn again(&mut self, client: &impl NativeClient, brokers: &str) {
        if clock::now() >= self.due {
            self.due = clock::now() + self.pause;
            self.pause = MOST.min(2 * self.pause);
            requests::add_brokers(client, brokers);
        }
    }
}
