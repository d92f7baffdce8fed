//! Sends the records of dead letters again, to the partitions that they came from.
//!
//! The record is taken from its source's topic, where it is as it was. If it is gone from there, the letter's own copy
//! does, but only if it is whole and the record died in an operator that reads the source itself: else it is what
//! another operator made of it. Behind a letter whose record was acknowledged a mark is left, so that it is not
//! replayed twice; a crash between the two leaves the letter as one that was not.

use super::letters::{FoundLetter, LetterBox};
use crate::clock;
use crate::config::{Cluster, EventTime, KafkaSource, Pipeline, Source, Subscription};
use crate::error::{Error, Kind, Result};
use crate::kafka::record_at::RecordFinder;
use crate::kafka::resend::Resender;
use crate::record::{Records, TopicPartition};
use crate::sink::dead_letter::{DiedIn, REPLAYED, REPLAYED_KIND, own_headers};

/// What became of a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replayed {
    /// Its record was sent, and lies there now: a partition and an offset. Without an offset it would be, were this
    /// not a dry run.
    Sent {
        /// Where to.
        to: TopicPartition,
        /// The offset that it got.
        offset: Option<i64>,
        /// The source's topic has the record no more: this was the letter's copy.
        is_copy: bool,
    },
    /// It was not, and why.
    Refused(String),
}

/// A replay on its way.
pub struct Replay<'a> {
    pipeline: &'a Pipeline,
    /// The topic of the letters.
    cluster: &'a Cluster,
    topic: &'a str,
    /// What was replayed is replayed again.
    again: bool,
    is_dry: bool,
    finders: Vec<(Cluster, RecordFinder)>,
    resenders: Vec<(Cluster, Resender)>,
}

impl<'a> Replay<'a> {
    /// A replay of letters of a pipeline; `again`: of those too that were replayed before; `is_dry`: nothing is sent.
    ///
    /// # Errors
    /// `Invalid`: the letters lie in a file.
    pub fn new(pipeline: &'a Pipeline, letters: &'a LetterBox, again: bool, is_dry: bool) -> Result<Self> {
        let Some((cluster, topic)) = letters.topic() else {
            let what = format!("failed to replay the dead letters in {}", letters.name());
            let why = "a file cannot keep which of them were replayed, and the next run begins it anew";
            return Err(Error::new(Kind::Invalid, what, why)
                .hint("--local runs them through the plugin; [dead-letters] with a topic keeps them"));
        };
        Ok(Self {
            pipeline,
            cluster,
            topic,
            again,
            is_dry,
            finders: Vec::new(),
            resenders: Vec::new(),
        })
    }

    /// Sends the record of a letter again.
    ///
    /// # Errors
    /// `Kafka`, `TimedOut`: a cluster cannot be asked, or does not take it. Then it is not known whether the record was
    /// sent.
    pub fn send(&mut self, letter: &FoundLetter) -> Result<Replayed> {
        if let Some(why) = self.refusal(letter) {
            return Ok(Replayed::Refused(why));
        }
        let source = match source_of(self.pipeline, letter) {
            Ok(source) => source,
            Err(why) => return Ok(Replayed::Refused(why)),
        };
        let to = letter.source();
        let (mut record, is_copy) = match self.original(source, letter)? {
            Ok(found) => found,
            Err(why) => return Ok(Replayed::Refused(why)),
        };
        record = marked(&record, &self.name(letter));
        let offset = match self.is_dry {
            true => None,
            false => {
                let resender = of_cluster(&mut self.resenders, &source.cluster, Resender::open)?;
                let offset = resender.send(&to, &record, 0)?;
                self.mark(letter)?;
                Some(offset)
            }
        };
        Ok(Replayed::Sent { to, offset, is_copy })
    }

    /// Why it is not to be replayed.
    fn refusal(&self, letter: &FoundLetter) -> Option<String> {
        let text = &letter.text;
        if let Some(timer) = &text.timer {
            return Some(format!("it is of the timer `{timer}`: there is no record to send"));
        }
        if !self.again && letter.is_replayed {
            return Some("it was replayed before: --again does it again".to_owned());
        }
        let before = text.replayed.as_ref().filter(|_| !self.again)?;
        Some(format!(
            "its record was replayed, from {before}, and died again: --again sends it once more"
        ))
    }

    /// The record, and whether it is the letter's copy; or why there is none.
    fn original(&mut self, source: &KafkaSource, letter: &FoundLetter) -> Result<Result<(Records, bool), String>> {
        let (place, text) = (letter.source(), &letter.text);
        let (copy, is_whole) = (
            letter.content(),
            !text.is_cut && died_at_the_source(self.pipeline, &text.died_in),
        );
        let finder = of_cluster(&mut self.finders, &source.cluster, RecordFinder::open)?;
        let found = finder.find(&place, text.offset)?;
        // A topic that was deleted and created again has another record there.
        let is_another = |found: &Records| {
            let has_other_time = source.event_time == EventTime::Record && found.timestamps[0] != text.timestamp;
            let has_other_content =
                is_whole && (found.keys.get(0), found.values.get(0)) != (copy.keys.get(0), copy.values.get(0));
            has_other_time || has_other_content
        };
        Ok(match found.filter(|found| !is_another(found)) {
            Some(found) => Ok((found, false)),
            None if is_whole => Ok((copy, true)),
            None => Err(format!(
                "its record is no longer at {place} offset {}, and the letter has {}",
                text.offset,
                if text.is_cut {
                    "only a part of it"
                } else {
                    "what an operator made of it"
                }
            )),
        })
    }

    /// Leaves the mark that the letter was replayed, in the letter's own partition.
    fn mark(&mut self, letter: &FoundLetter) -> Result<()> {
        let mut mark = Records::default();
        mark.keys.push(letter.record.keys.get(0));
        mark.values.push(None);
        mark.timestamps.push(clock::wall_ms());
        mark.offsets.push(0);
        let text = &letter.text;
        let by = match &text.died_in {
            DiedIn::Source(_) => "sandbar-source",
            DiedIn::Operator(_) => "sandbar-operator",
            DiedIn::Sink(_) => "sandbar-sink",
        };
        for (name, value) in [
            ("sandbar-pipeline", text.pipeline.as_str()),
            (by, text.died_in.name()),
            ("sandbar-kind", REPLAYED_KIND),
            ("sandbar-topic", &text.topic),
            ("sandbar-partition", &text.partition.to_string()),
            ("sandbar-offset", &text.offset.to_string()),
            ("sandbar-timestamp", &text.timestamp.to_string()),
            (REPLAYED, &self.name(letter)),
        ] {
            mark.headers.push(0, name.as_bytes(), Some(value.as_bytes()));
        }
        let to = TopicPartition::new(self.topic, letter.place.partition);
        let resender = of_cluster(&mut self.resenders, self.cluster, Resender::open)?;
        resender.send(&to, &mark, 0).map(drop)
    }

    /// How a letter is named in headers.
    fn name(&self, letter: &FoundLetter) -> String {
        format!("{}/{}", self.topic, letter.place)
    }
}

/// The client of a cluster, opened when it is first needed.
fn of_cluster<'a, T>(
    known: &'a mut Vec<(Cluster, T)>,
    cluster: &Cluster,
    open: impl FnOnce(&Cluster) -> Result<T>,
) -> Result<&'a T> {
    let at = match known.iter().position(|(own, _)| own == cluster) {
        Some(at) => at,
        None => {
            known.push((cluster.clone(), open(cluster)?));
            known.len() - 1
        }
    };
    Ok(&known[at].1)
}

/// The record with the header that says which letter it is of, and without others of ours.
fn marked(record: &Records, letter: &str) -> Records {
    let mut sent = Records {
        headers: Default::default(),
        ..record.clone()
    };
    for (name, value) in own_headers(record, 0) {
        sent.headers.push(0, name, value);
    }
    sent.headers.push(0, REPLAYED.as_bytes(), Some(letter.as_bytes()));
    sent
}

/// The source that reads the letter's topic, or why it cannot be told.
fn source_of<'a>(pipeline: &'a Pipeline, letter: &FoundLetter) -> Result<&'a KafkaSource, String> {
    let topic = letter.text.topic.as_str();
    let kafka = pipeline.sources.iter().filter_map(|source| match source {
        Source::Kafka(source) => Some(source),
        Source::File(_) => None,
    });
    let readers: Vec<&KafkaSource> = kafka.filter(|source| reads(&source.subscription, topic)).collect();
    match readers[..] {
        [] => Err(format!("no source of the pipeline reads topic `{topic}`")),
        [first, ..] if readers.iter().all(|other| other.cluster == first.cluster) => Ok(first),
        _ => Err(format!(
            "sources of two clusters read a topic `{topic}`, and it does not say which it came from"
        )),
    }
}

fn reads(subscription: &Subscription, topic: &str) -> bool {
    match subscription {
        Subscription::Topics(topics) => topics.iter().any(|own| own == topic),
        // The whole name has to match.
        Subscription::Pattern(pattern) => {
            regex::Regex::new(&format!(r"\A(?:{})\z", pattern.as_str())).is_ok_and(|whole| whole.is_match(topic))
        }
        Subscription::Partitions(partitions) => partitions.contains_key(topic),
    }
}

/// Whether what a letter holds is the source's own record: it died in the source, or in an operator that reads
/// nothing else.
fn died_at_the_source(pipeline: &Pipeline, died_in: &DiedIn) -> bool {
    let is_source = |name: &str| pipeline.sources.iter().any(|source| source.name() == name);
    match died_in {
        DiedIn::Source(_) => true,
        DiedIn::Sink(_) => false,
        DiedIn::Operator(name) => {
            let operator = pipeline.operators.iter().find(|operator| operator.name == *name);
            operator.is_some_and(|operator| operator.inputs.iter().all(|input| is_source(&input.from)))
        }
    }
}
