//! The one thing that a worker writes through, whatever its sinks are.

use std::time::Duration;

use super::file::{FileSink, Files};
use super::producer::Producer;
use crate::clock;
use crate::config::{Cluster, Sink, Target};
use crate::error::Result;
use crate::record::Records;

/// How often a wait looks whether something was acknowledged.
const LOOK: Duration = Duration::from_micros(200);

/// What a writer is told beside its sinks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of records that may wait for their acknowledgement, over all sinks.
    pub queue_bytes: u64,
    /// The name that brokers log for this writer's connections.
    pub client_id: String,
    /// The files of this process: every writer gets a clone of one, so that workers share a file and it is emptied once.
    pub files: Files,
}

/// Writes to the sinks of a pipeline. One a worker.
#[derive(Debug)]
pub struct Writer {
    sinks: Vec<Destination>,
    producers: Vec<Producer>,
}

#[derive(Debug)]
enum Destination {
    Kafka { producer: usize, topic: usize },
    File(FileSink),
}

impl Writer {
    /// Connects and checks that every topic is there; takes 10 s at most.
    ///
    /// # Errors
    /// `Kafka`: no broker answers, the log-in is refused, a topic is missing or not allowed. `Invalid`: librdkafka refuses a property, or two sinks write
    /// one topic with different partitioners. `Failed`: a file cannot be written.
    pub fn open(sinks: &[Sink], options: &Options) -> Result<Self> {
        let clusters = distinct_clusters(sinks);
        let queue_bytes = options.queue_bytes / clusters.len().max(1) as u64;
        let mut producers = clusters
            .iter()
            .map(|cluster| Producer::new(cluster, queue_bytes, &options.client_id))
            .collect::<Result<Vec<_>>>()?;
        let mut destinations = Vec::with_capacity(sinks.len());
        for sink in sinks {
            destinations.push(match &sink.target {
                Target::File(path) => Destination::File(options.files.open(path.as_deref())?),
                Target::Kafka {
                    cluster,
                    topic,
                    partitioner,
                } => {
                    let producer = clusters.iter().position(|known| *known == cluster).unwrap_or_default();
                    let topic = producers[producer].add_topic(&sink.name, topic, *partitioner)?;
                    Destination::Kafka { producer, topic }
                }
            });
        }
        for producer in &mut producers {
            producer.check_topics()?;
        }
        Ok(Self {
            sinks: destinations,
            producers,
        })
    }

    /// Hands over the records of a batch from index `from` on, in order, without waiting. Gives how many of the batch are handed over in all; fewer than
    /// there are means that the queue is full: [`poll`](Self::poll), then call again with that number.
    ///
    /// # Errors
    /// `Kafka` where a record can never be delivered, `Failed` where a file cannot be written. What was handed over before stays so.
    pub fn stage(&mut self, sink: usize, records: &Records, from: usize) -> Result<usize> {
        match &mut self.sinks[sink] {
            Destination::File(file) => file.stage(records, from),
            Destination::Kafka { producer, topic } => self.producers[*producer].stage(*topic, records, from),
        }
    }

    /// Serves reports, and waits until some record is acknowledged, `wait` at most. Does not wait where none is in flight.
    ///
    /// # Errors
    /// `Kafka`: a staged record can never be delivered.
    pub fn poll(&mut self, wait: Duration) -> Result<()> {
        let deadline = clock::now() + wait;
        let before = self.in_flight();
        loop {
            for producer in &mut self.producers {
                producer.serve()?;
            }
            let waiting = self.in_flight() == before && before > 0;
            if !waiting || clock::now() >= deadline {
                return Ok(());
            }
            std::thread::sleep(LOOK);
        }
    }

    /// Records handed over and not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.producers.iter().map(Producer::in_flight).sum()
    }

    /// Sends what waits and waits for the acknowledgements, `limit` at most. `true`: every staged record is acknowledged.
    ///
    /// # Errors
    /// `Kafka`: a staged record can never be delivered.
    pub fn drain(&mut self, limit: Duration) -> Result<bool> {
        let deadline = clock::now() + limit;
        loop {
            for producer in &mut self.producers {
                producer.flush()?;
            }
            match self.in_flight() {
                0 => return Ok(true),
                _ if clock::now() >= deadline => return Ok(false),
                _ => (),
            }
        }
    }

    /// Why a cluster cannot be reached, while it cannot; for readiness. Asks the cluster where it has to, at most once a second and for 20 ms.
    pub fn disconnected(&mut self) -> Option<String> {
        self.producers.iter_mut().find_map(Producer::disconnected)
    }
}

fn distinct_clusters(sinks: &[Sink]) -> Vec<&Cluster> {
    let mut clusters = Vec::new();
    for sink in sinks {
        if let Target::Kafka { cluster, .. } = &sink.target
            && !clusters.contains(&cluster)
        {
            clusters.push(cluster);
        }
    }
    clusters
}
