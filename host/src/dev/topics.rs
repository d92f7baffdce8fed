//! The topics of a session: made, filled with what files hold, shown, and written to by whoever types.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use super::event::Way;
use super::local::LocalTopic;
use super::signal::Signal;
use super::tail;
use crate::config::{Source, Subscription};
use crate::error::{Error, Kind, Result};
use crate::kafka::admin;
use crate::record::Records;
use crate::sink::OneTopic;
use crate::source::FileReader;

/// What the brokers' logs call the session.
const CLIENT: &str = "sandbar-dev";
/// Topics that are shown, at most: each is a client of its own.
const SHOWN: usize = 64;

/// See the file's header.
pub(super) struct DevTopics {
    to: SyncSender<Signal>,
    ended: Arc<AtomicBool>,
    known: Vec<LocalTopic>,
    /// They show what goes through the topics.
    tails: Vec<JoinHandle<()>>,
    /// By the topic's name.
    written: BTreeMap<String, OneTopic>,
}

impl DevTopics {
    pub(super) fn new(to: SyncSender<Signal>) -> Self {
        Self {
            to,
            ended: Arc::default(),
            known: Vec::new(),
            tails: Vec::new(),
            written: BTreeMap::new(),
        }
    }

    /// Makes topics that are new, fills them, and shows what goes through them.
    ///
    /// # Errors
    /// `Invalid`: a file cannot be read; nothing is made of it then. `Kafka`: the cluster does not answer.
    pub(super) fn open(&mut self, topics: Vec<LocalTopic>) -> Result<()> {
        for topic in topics {
            if self.known.iter().any(|known| known.is_same(&topic)) {
                continue;
            }
            let lines = topic.feed.as_ref().map(FileReader::open).transpose()?;
            if topic.partitions > 0 {
                admin::create(&topic.cluster, &topic.topic, topic.partitions, Some(1), &[])?;
            }
            self.known.push(topic.clone());
            if let Some(lines) = lines {
                feed(lines, &topic)?;
            }
            if self.tails.len() < SHOWN {
                self.tails
                    .push(tail::follow(topic, self.to.clone(), self.ended.clone())?);
            }
        }
        Ok(())
    }

    /// Writes a record that was typed for a source.
    ///
    /// # Errors
    /// `Usage`: the source's topic is a cluster's own. `Kafka`: the record cannot be delivered.
    pub(super) fn write(&mut self, source: &Source, record: &mut Records) -> Result<()> {
        let refused = |why: &str| {
            let what = format!("nothing is written to source `{}`", source.name());
            Err(Error::new(Kind::Usage, what, why))
        };
        let Source::Kafka(read) = source else {
            return refused("it reads no topic");
        };
        let Subscription::Topics(names) = &read.subscription else {
            return refused("which topics it reads is the cluster's to say");
        };
        let of_source = |topic: &&LocalTopic| topic.way == Way::In && topic.cluster == read.cluster;
        let mut own = self.known.iter().filter(of_source);
        let topic = own.find(|topic| names.contains(&topic.topic) && topic.partitions > 0);
        let Some(topic) = topic.cloned() else {
            return refused("its topic is one of the cluster that --connect reads");
        };
        let sent = self.send(&topic, record);
        if sent.is_err() {
            self.written.remove(&topic.topic);
        }
        sent
    }

    fn send(&mut self, topic: &LocalTopic, record: &mut Records) -> Result<()> {
        if !self.written.contains_key(&topic.topic) {
            let opened = OneTopic::open(topic.cluster.clone(), &topic.topic, CLIENT)?;
            self.written.insert(topic.topic.clone(), opened);
        }
        let Some(written) = self.written.get_mut(&topic.topic) else {
            return Ok(());
        };
        written.hand_over(record)?;
        written.drain().map(drop)
    }

    /// Waits until nobody reads or writes any more. The receiver of what they tell has to be gone.
    pub(super) fn close(self) {
        self.ended.store(true, Ordering::Relaxed);
        drop(self.written);
        for tail in self.tails {
            if tail.join().is_err() {
                tracing::error!("a topic's thread ended by a panic");
            }
        }
    }
}

/// Puts the records of a file into its topic.
fn feed(mut lines: FileReader, topic: &LocalTopic) -> Result<()> {
    let mut written = OneTopic::open(topic.cluster.clone(), &topic.topic, CLIENT)?;
    let mut batch = Records::default();
    while lines.poll(&mut batch)? {
        written.hand_over(&mut batch)?;
    }
    written.drain().map(drop)
}
