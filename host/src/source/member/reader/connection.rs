//! Whether any broker answers.

use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::poll::Reader;
use super::polled::Polled;

impl Reader {
    /// No broker answers: told once.
    pub(super) fn is_disconnected(&mut self, reason: String) {
        if self.connection.disconnected.is_some() {
            return;
        }
        let why = self.client.context().reason().map_or(reason, |(why, _)| why);
        self.connection.disconnected = Some(self.record_buffer.arrivals);
        self.told.push_back(Polled::Disconnected(why));
    }

    /// A broker answers again when records or ends come, or a question is answered.
    pub(super) fn notice_connection(&mut self) {
        let Some(arrivals) = self.connection.disconnected else {
            return;
        };
        let is_back = self.record_buffer.arrivals > arrivals
            || (self.connection.probe.due()
                && self
                    .client
                    .fetch_metadata(Some(self.a_topic()), Duration::from_millis(200))
                    .is_ok());
        if is_back {
            self.connection.disconnected = None;
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
