//! Whether any broker answers.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::poll::Reader;
use super::polled::Polled;
use crate::kafka::bootstrap::Bootstrap;

/// How long a broker may take to answer whether it is back: somebody waits meanwhile.
const PROBE: Duration = Duration::from_millis(200);

impl Reader {
    /// No broker answers: told once.
    pub(super) fn is_disconnected(&mut self, reason: String) {
        if self.connection.is_lost {
            return;
        }
        let why = self.client.context().reason().map_or(reason, |(why, _)| why);
        self.connection.is_lost = true;
        self.told.push_back(Polled::Disconnected(why));
    }

    /// A broker answers again when it answers a question. Records are no sign of it: librdkafka had some of them.
    pub(super) fn notice_connection(&mut self) {
        if !self.connection.is_lost || !self.connection.probe.due() {
            return;
        }
        if self.client.fetch_metadata(Some(self.a_topic()), PROBE).is_ok() {
            (self.connection.is_lost, self.connection.bootstrap) = (false, Bootstrap::begun());
            self.told.push_back(Polled::Connected);
        } else {
            let brokers = &self.plan.sources[0].cluster.brokers;
            self.connection.bootstrap.again(self.client.client(), brokers);
        }
    }

    fn a_topic(&self) -> &str {
        self.discovery.counts.keys().next().map_or("", String::as_str)
    }
}
