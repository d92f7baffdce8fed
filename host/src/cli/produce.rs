//! `sandbar produce`: JSON lines from a file or standard input into a topic.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::cluster::ClusterArgs;
use super::output::Output;
use crate::config::{EventTime, FileFormat, FileSource, TimeSettings};
use crate::error::{Error, Kind, Result};
use crate::record::Records;
use crate::sink::OneTopic;
use crate::source::FileReader;

/// Records handed over at once.
const BATCH_RECORDS: usize = 1000;

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
        let mut topic = OneTopic::open(self.cluster.checked()?, &self.topic, "sandbar-produce")?;
        let mut batch = Records::default();
        let fault = loop {
            match lines.poll(&mut batch) {
                Ok(true) => topic.hand_over(&mut batch)?,
                Ok(false) => break None,
                Err(fault) => break Some(failed(fault)),
            }
        };
        // Lines before a bad one were good: they arrive before the person hears about it.
        let sent = topic.drain()?;
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
