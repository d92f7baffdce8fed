//! `sandbar produce`: JSON lines from a file or standard input into a topic.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::cluster::ClusterArgs;
use super::output::Output;
use crate::config::{
    Cluster as Reached, EventTime, FileFormat, FileSource, OnRefused, Partitioner, Sink, Target, TimeSettings,
};
use crate::error::{Error, Kind, Result};
use crate::kafka::admin;
use crate::record::{Records, TopicPartition};
use crate::sink::{self, Writer};
use crate::source::FileReader;

/// Records handed over at once.
const BATCH_RECORDS: usize = 1000;
/// How long the cluster may take to acknowledge what is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `sandbar produce`.
#[derive(Args, Debug)]
#[command(
    after_help = "A line is {\"key\": …, \"value\": …, \"timestamp\": ms, \"headers\": {…}}; only the value has to \
        be there.\n\n\
    Examples:\n  sandbar produce views --file views.jsonl\n  sandbar produce views < views.jsonl"
)]
pub struct Produce {
    /// The topic, which must exist
    topic: String,
    /// The file to read; standard input, if not given
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// How records lie in it
    #[arg(long, value_enum, default_value_t = InputFormat::Json)]
    format: InputFormat,
    #[command(flatten)]
    cluster: ClusterArgs,
}

/// How records lie in the input.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum InputFormat {
    /// A JSON object a line: key, value, timestamp, headers
    Json,
    /// A line is a value
    Lines,
}

impl From<InputFormat> for FileFormat {
    fn from(format: InputFormat) -> Self {
        match format {
            InputFormat::Json => FileFormat::Json,
            InputFormat::Lines => FileFormat::Lines,
        }
    }
}

impl Produce {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let mut lines = FileReader::open(&self.file_source()).map_err(failed)?;
        let mut topic = WrittenTopic::open(self.cluster.checked()?, &self.topic)?;
        let mut batch = Records::default();
        let fault = loop {
            match lines.poll(&mut batch) {
                Ok(true) => topic.hand_over(&mut batch)?,
                Ok(false) => break None,
                Err(fault) => break Some(failed(fault)),
            }
        };
        // Lines before a bad one were good: they arrive before the person hears about it.
        let sent = topic.finish()?;
        match fault {
            Some(fault) => Err(fault.hint(format!("the {sent} records before it were produced"))),
            None => out.show(&json!({ "topic": self.topic, "produced": sent }), || {
                format!("produced {sent} records to {}", self.topic)
            }),
        }
    }
}

impl Produce {
    fn file_source(&self) -> FileSource {
        FileSource {
            name: "produce".to_owned(),
            path: self.file.clone(),
            format: self.format.into(),
            max_batch: BATCH_RECORDS,
            event_time: EventTime::Record,
            time: TimeSettings::default(),
        }
    }
}

/// What a pipeline file would name wrongly is here just a file that does not do.
fn failed(error: Error) -> Error {
    Error {
        kind: Kind::Failed,
        ..error
    }
}

/// The topic that is written.
struct WrittenTopic {
    writer: Writer,
    /// What stands for the place that the records come from.
    input: TopicPartition,
    sent: usize,
}

impl WrittenTopic {
    fn open(cluster: Reached, name: &str) -> Result<Self> {
        admin::find(&cluster, name)?;
        let target = Target::Kafka {
            cluster,
            topic: name.to_owned(),
            partitioner: Partitioner::Murmur2,
        };
        let sink = Sink {
            name: "produce".to_owned(),
            from: Vec::new(),
            target,
            on_refused: OnRefused::Fail,
        };
        let options = sink::Options {
            queue_bytes: 32 << 20,
            client_id: "sandbar-produce".to_owned(),
            files: sink::Files::default(),
            transactional: None,
        };
        Ok(Self {
            writer: Writer::open(&[sink], &options)?,
            input: TopicPartition::new(name, -1),
            sent: 0,
        })
    }

    fn hand_over(&mut self, batch: &mut Records) -> Result<()> {
        let mut from = 0;
        while from < batch.len() {
            from = self.writer.stage(0, &self.input, batch, from)?;
            let wait = if from < batch.len() {
                Duration::from_millis(10)
            } else {
                Duration::ZERO
            };
            self.writer.poll(wait)?;
        }
        self.sent += batch.len();
        batch.clear();
        Ok(())
    }

    /// Waits until all is acknowledged and returns how many records that are.
    fn finish(mut self) -> Result<usize> {
        if self.writer.drain(PATIENCE)? {
            return Ok(self.sent);
        }
        let why = format!(
            "{} of {} records are not acknowledged after {PATIENCE:?}",
            self.writer.in_flight(),
            self.sent
        );
        Err(Error::new(Kind::TimedOut, "failed to produce all records", why))
    }
}
