//! The one thing that a worker writes through, whatever its sinks are.

use std::time::Duration;

use super::delivery::{Print, RefusedOutput, is_too_large};
use super::failures::advice;
use super::file::{FileSink, Files};
use super::origin::{Origins, time_of};
use super::producer::{Producer, librdkafka_time};
use super::transaction::{CommitOutcome, OffsetsSent};
use super::transactional::Transactional;
use crate::clock;
use crate::config::{Cluster, Sink, Target};
use crate::error::{Error, Kind, Result};
use crate::record::{Committable, Records, TopicPartition};

/// How often a wait looks whether something was acknowledged.
const LOOK: Duration = Duration::from_micros(200);

/// What a writer is told beside its sinks.
#[derive(Debug, Clone)]
pub struct Options {
    /// Bytes of records that may wait for their acknowledgement, over all sinks.
    pub queue_bytes: u64,
    /// The name that brokers log for this writer's connections.
    pub client_id: String,
    /// The files of this process: every writer gets a clone of one, so that workers share a file and it is emptied
    /// once.
    pub files: Files,
    /// Set: outputs and positions become visible together, in transactions. All sinks are topics of one cluster then,
    /// the positions' own.
    pub transactional: Option<Transactional>,
}

const NO_TRANSACTIONS: &str = "this writer has no transactions";

/// Writes to the sinks of a pipeline. One a worker.
#[derive(Debug)]
pub struct Writer {
    sinks: Vec<Destination>,
    producers: Vec<Producer>,
    origins: Origins,
}

#[derive(Debug)]
enum Destination {
    Kafka { producer: usize, topic: usize },
    File(FileSink),
}

impl Writer {
    /// Connects and checks that every topic is there; takes 10 s at most. With transactions also waits until this
    /// writer is the only one of its transactional id, and what the one before left open is resolved; takes 40 s at
    /// most.
    ///
    /// # Errors
    /// `Kafka`: no broker answers, the log-in is refused, a topic or the transactional id is missing or not allowed.
    /// `Invalid`: librdkafka refuses a property, two sinks write one topic with different partitioners, or the sinks
    /// cannot be written in one transaction. `Failed`: a file cannot be written. `Fenced`: another process uses the
    /// transactional id right now.
    pub fn open(sinks: &[Sink], options: &Options) -> Result<Self> {
        let mut clusters = distinct_clusters(sinks);
        let transactional = options.transactional.as_ref();
        if let Some(transactional) = transactional {
            refuse_what_has_no_transaction(sinks, &clusters)?;
            if clusters.is_empty() {
                clusters.push(&transactional.cluster);
            }
        }
        let queue_bytes = options.queue_bytes / clusters.len().max(1) as u64;
        let mut producers = clusters
            .iter()
            .map(|cluster| Producer::new(cluster, queue_bytes, &options.client_id, transactional))
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
            producer.open_transactions()?;
        }
        Ok(Self {
            sinks: destinations,
            producers,
            origins: Origins::default(),
        })
    }

    /// Hands over the records of a batch from index `staged` on, in order, without waiting. Gives how many of the batch
    /// are handed over in all; fewer than there are means that the queue is full: [`poll`](Self::poll), then call again
    /// with that number. `from` is the partition that the records they are outputs of stem from.
    ///
    /// With transactions, the first record after a commit begins the next one.
    ///
    /// # Errors
    /// `Kafka` if a record can never be delivered, `Failed` if a file cannot be written. What was handed over
    /// before stays so. With transactions also as [`poll`](Self::poll).
    pub fn stage(&mut self, sink: usize, from: &TopicPartition, records: &Records, staged: usize) -> Result<usize> {
        match &mut self.sinks[sink] {
            Destination::File(file) => file.stage(from, records, staged),
            Destination::Kafka { producer, topic } => {
                let place = self.origins.place(sink, from);
                self.producers[*producer].stage(*topic, place, records, staged)
            }
        }
    }

    /// Whether a topic refused something for good since [`take_refusals`](Self::take_refusals).
    pub fn has_refusals(&self) -> bool {
        self.producers.iter().any(Producer::has_refusals)
    }

    /// What topics refused for good since the last look. With transactions it is complete once the transaction was
    /// aborted.
    pub fn take_refusals(&mut self) -> Vec<RefusedOutput> {
        let refused = self.producers.iter_mut().flat_map(Producer::take_refusals);
        let told = refused.map(|(refusal, is_exact)| RefusedOutput {
            origin: self.origins.find(refusal.tag),
            topic: refusal.topic,
            print: refusal.print,
            bytes: refusal.bytes,
            is_too_large: is_too_large(refusal.failure.code),
            advice: advice(refusal.failure.code),
            reason: refusal.failure.text,
            is_exact,
        });
        told.collect()
    }

    /// Throws away what is on its way and not acknowledged: what was done since the last commit is to be done again.
    /// With transactions the abort does it.
    pub fn take_back(&mut self) -> Result<()> {
        self.producers.iter_mut().try_for_each(Producer::take_back)
    }

    /// By what the output would be known again if it were refused.
    pub fn print(records: &Records, index: usize) -> Print {
        Print::of(
            records.keys.get(index),
            records.values.get(index),
            records.headers.of(index as u32),
            time_of(librdkafka_time(records.timestamps[index])),
        )
    }

    /// How many bytes the topic of a sink takes at once; `None`: its cluster does not say, or it is a file.
    pub fn largest_batch(&self, sink: usize) -> Option<usize> {
        match &self.sinks[sink] {
            Destination::File(_) => None,
            Destination::Kafka { producer, topic } => self.producers[*producer].largest_batch(*topic),
        }
    }

    /// Serves reports, and waits until some record is acknowledged, `wait` at most. Does not wait if none is in
    /// flight.
    ///
    /// # Errors
    /// `Kafka`: a staged record can never be delivered. With transactions also `TimedOut`: the transaction is lost, and
    /// can be done again after [`abort`](Self::abort) and [`reinitialise`](Self::reinitialise); `Fenced`: a newer
    /// process uses the transactional id.
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

    /// Sends what waits and waits for the acknowledgements, `limit` at most. `true`: every staged record is
    /// acknowledged.
    ///
    /// # Errors
    /// As [`poll`](Self::poll).
    pub fn drain(&mut self, limit: Duration) -> Result<bool> {
        let deadline = clock::now() + limit;
        loop {
            for producer in &mut self.producers {
                producer.flush()?;
            }
            match self.in_flight() {
                0 => {
                    self.producers.iter_mut().try_for_each(Producer::relax)?;
                    return Ok(true);
                }
                _ if clock::now() >= deadline => return Ok(false),
                _ => (),
            }
        }
    }

    /// Whether a transaction is open: something was staged or sent since the last commit.
    pub fn has_transaction(&self) -> bool {
        self.producers.iter().any(Producer::has_transaction)
    }

    /// Makes positions part of the transaction, and begins it if nothing was staged: partition, next offset to read
    /// and what rides with it. `group` is the membership that the reader gave, fresh. No positions: nothing is done.
    pub fn send_offsets(&mut self, offsets: &[Committable], group: &[u8], limit: Duration) -> OffsetsSent {
        match self.producers.first_mut() {
            Some(producer) => producer.send_offsets(offsets, group, limit),
            None => OffsetsSent::Refused(NO_TRANSACTIONS.to_owned()),
        }
    }

    /// Commits the transaction; everything staged must be drained. Asks again until `limit`.
    pub fn commit(&mut self, limit: Duration) -> CommitOutcome {
        match self.producers.first_mut() {
            Some(producer) => producer.commit(limit),
            None => CommitOutcome::Refused(NO_TRANSACTIONS.to_owned()),
        }
    }

    /// Aborts the transaction, if one is open, and throws away what is in flight. How it went does not matter:
    /// [`reinitialise`](Self::reinitialise) must follow, and makes sure of it.
    pub fn abort(&mut self, limit: Duration) {
        for producer in &mut self.producers {
            producer.abort(limit);
        }
    }

    /// Throws the producer away and makes a new one, which waits for or aborts what the old one left; after that no
    /// late request of the old one has an effect. Must follow anything but [`CommitOutcome::Clean`]. Called again after
    /// `limit` it goes on.
    ///
    /// # Errors
    /// `TimedOut`: not yet, call it again. `Fenced`: another process uses the transactional id. `Kafka`: it is not
    /// allowed any more.
    pub fn reinitialise(&mut self, limit: Duration) -> Result<()> {
        self.producers
            .iter_mut()
            .try_for_each(|producer| producer.reinitialise(limit))
    }

    /// Why a cluster cannot be reached, while it cannot; for readiness. Asks the cluster if it has to, at most once
    /// a second and for 20 ms.
    pub fn disconnected(&mut self) -> Option<String> {
        // All are asked: that is when they look for their brokers.
        self.producers.iter_mut().fold(None, |first, producer| {
            let lost = producer.disconnected();
            first.or(lost)
        })
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

fn refuse_what_has_no_transaction(sinks: &[Sink], clusters: &[&Cluster]) -> Result<()> {
    let refuse = |what: String, why: &str| {
        Err(Error::new(Kind::Invalid, what, why).hint("set delivery = \"at-least-once\" under [checkpoint]"))
    };
    let file = sinks.iter().find(|sink| matches!(sink.target, Target::File(_)));
    if let Some(file) = file {
        let what = format!("failed to open sink `{}`: exactly-once needs topics", file.name);
        return refuse(what, "what is written to a file cannot be taken back");
    }
    match clusters {
        [first, second, ..] => refuse(
            format!(
                "failed to open the sinks: they are on two clusters, `{}` and `{}`",
                first.brokers, second.brokers
            ),
            "exactly-once needs one transaction, and no transaction spans two clusters",
        ),
        _ => Ok(()),
    }
}
