//! Closing a consumer within a limit, and never with a question of the group unanswered: such a consumer never closes.
//!
//! Always: a member that leaves is heard, if the group answers in time. Who asked to join is kept by the group, which
//! waits for it until its session is over; and librdkafka closes such a member without a word if it has no partitions
//! (`rd_kafka_cgrp_revoke_all_rejoin` of 2.12.1: "consumer is terminating, skipping rejoin"). So it leaves first, once
//! the group has answered, and is closed then. A static member stays: it comes back under its instance id.

use std::ops::Deref;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use crate::clock;
use crate::kafka::consumer::{Client, serve};
use crate::kafka::native::membership;

/// How long a member that has just asked to join waits for its id, without which it cannot leave: the group tells it
/// at once.
const NAMED: Duration = Duration::from_secs(1);
/// What closing takes at most of its limit, once the member has left.
const CLOSED: Duration = Duration::from_secs(1);

/// A consumer that answers the group by itself from the moment when it is let go.
pub(in crate::source) struct Closing(Client);

impl Closing {
    pub(in crate::source) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Leaves the group and closes. What does not close within `limit` is left to the end of the process.
    pub(in crate::source) fn close(self, limit: Duration) {
        let deadline = clock::now() + limit;
        self.leave(deadline - CLOSED.min(limit / 4));
        self.0.context().end();
        if self.0.close_queue().is_ok() {
            self.serve_until(|| self.0.closed(), deadline);
        }
        if !self.0.closed() {
            tracing::debug!("a consumer did not close in time");
            std::mem::forget(self);
        }
    }

    /// Whoever has left has no member id any more.
    fn leave(&self, deadline: Instant) {
        let has_id = || membership::has_member_id(&self.0);
        let is_unsubscribed = || self.0.subscription().is_ok_and(|topics| topics.count() == 0);
        if self.is_static() || is_unsubscribed() && !has_id() {
            return self.let_go();
        }
        self.0.context().close();
        self.serve_until(has_id, deadline.min(clock::now() + NAMED));
        self.let_go();
        self.serve_until(|| !has_id(), deadline);
        serve(&self.0);
    }

    fn serve_until(&self, is_done: impl Fn() -> bool, deadline: Instant) {
        while !is_done() && clock::now() < deadline {
            self.0.poll(Duration::from_millis(10));
        }
    }

    /// It reads no more, and is not to join again. Whichever rebalance event is open is answered: by its callback, or
    /// here if it was taken from there, and its callback is not to come when the member is ended. An answer that nobody
    /// waits for does nothing.
    fn let_go(&self) {
        self.0.context().close();
        if !self.is_static() {
            self.0.unsubscribe();
        }
        serve(&self.0);
        let _ = self.0.incremental_unassign(&self.0.assignment().unwrap_or_default());
        let _ = self.0.incremental_assign(&TopicPartitionList::new());
        serve(&self.0);
    }

    fn is_static(&self) -> bool {
        membership::is_static(&self.0)
    }
}

impl Deref for Closing {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.0
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if !self.0.closed() {
            self.leave(clock::now() + CLOSED);
        }
    }
}
