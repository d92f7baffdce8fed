//! Closing a consumer within a limit, and never with a question of the group unanswered: such a consumer never closes.
//!
//! Always: a member that leaves is heard, if the group answers in time. Who asked to join is kept by the group, which
//! waits for it until its session is over; and librdkafka closes such a member without a word if it has no partitions
//! (`rd_kafka_cgrp_revoke_all_rejoin` of 2.12.1: "consumer is terminating, skipping rejoin"). So it leaves first, once
//! the group has answered, and is closed then. A static member stays.

use std::ops::Deref;
use std::time::{Duration, Instant};

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use crate::clock;
use crate::kafka::consumer::Client;
use crate::kafka::native::membership;

/// How long a member that has just asked to join waits for its id, without which it cannot leave: the group tells it
/// at once.
const NAMED: Duration = Duration::from_secs(1);
/// What closing takes behind it.
const CLOSED: Duration = Duration::from_secs(1);

/// A consumer that answers the group by itself from the moment when it is let go.
pub(in crate::source) struct Closing {
    client: Client,
    is_static: bool,
}

impl Closing {
    /// A static member comes back under its instance id, and does not leave.
    pub(in crate::source) fn new(client: Client, is_static: bool) -> Self {
        Self { client, is_static }
    }

    /// Leaves the group and closes. What does not close within `limit` is left to the end of the process.
    pub(in crate::source) fn close(self, limit: Duration) {
        let deadline = clock::now() + limit;
        self.let_go();
        if !self.is_static {
            self.leave(deadline - CLOSED.min(limit));
        }
        if self.client.close_queue().is_ok() {
            self.serve_while(|| !self.client.closed(), deadline);
        }
        if !self.client.closed() {
            tracing::debug!("a consumer did not close in time");
            std::mem::forget(self);
        }
    }

    /// Whoever has left has no member id any more.
    fn leave(&self, deadline: Instant) {
        let has_id = || membership::has_member_id(&self.client);
        let subscribes = || self.client.subscription().is_ok_and(|topics| topics.count() > 0);
        self.serve_while(|| !has_id() && subscribes(), deadline.min(clock::now() + NAMED));
        self.client.unsubscribe();
        self.serve_while(has_id, deadline);
    }

    fn serve_while(&self, is_open: impl Fn() -> bool, deadline: Instant) {
        while is_open() && clock::now() < deadline {
            self.client.poll(Duration::from_millis(10));
        }
    }

    /// Answers whichever rebalance event is open: an answer that nobody waits for does nothing.
    fn let_go(&self) {
        self.client.context().close();
        let nothing = TopicPartitionList::new();
        let _ = self.client.incremental_unassign(&nothing);
        let _ = self.client.incremental_assign(&nothing);
    }
}

impl Deref for Closing {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl Drop for Closing {
    fn drop(&mut self) {
        if !self.client.closed() {
            self.let_go();
        }
    }
}
