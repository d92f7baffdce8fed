//! Closing a consumer within a limit, and never with a question of the group unanswered: such a consumer never closes.

use std::ops::Deref;
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::consumer::Consumer;

use crate::clock;
use crate::kafka::consumer::Client;

/// A consumer that answers the group by itself from the moment when it is let go.
pub(in crate::source) struct Closing(Client);

impl Closing {
    pub(in crate::source) fn new(client: Client) -> Self {
        Self(client)
    }

    /// Leaves the group and closes. What does not close within `limit` is left to the end of the process.
    pub(in crate::source) fn close(self, limit: Duration) {
        let deadline = clock::now() + limit;
        self.let_go();
        self.0.unsubscribe();
        if self.0.close_queue().is_ok() {
            while !self.0.closed() && clock::now() < deadline {
                self.0.poll(Duration::from_millis(10));
            }
        }
        if !self.0.closed() {
            tracing::debug!("a consumer did not close in time");
            std::mem::forget(self);
        }
    }

    /// Answers whichever rebalance event is open: an answer that nobody waits for does nothing.
    fn let_go(&self) {
        self.0.context().close();
        let nothing = TopicPartitionList::new();
        let _ = self.0.incremental_unassign(&nothing);
        let _ = self.0.incremental_assign(&nothing);
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
            self.let_go();
        }
    }
}
