//! `sandbar produce`: JSON lines from a file or standard input into a topic.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::cluster::Cluster;
use super::output::Output;
use crate::clock;
use crate::config::{Cluster as Reached, Partitioner, Sink, Target};
use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::record::Records;
use crate::sink::{self, Writer, topics};

/// Records handed over at once.
const BATCH_RECORDS: usize = 1000;
/// Bytes handed over at once, about.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of a line, at most: what does not fit a Kafka message ten times over is no record.
const LINE_BYTES: u64 = 64 << 20;
/// How long the cluster may take to acknowledge what is left.
const PATIENCE: Duration = Duration::from_secs(60);

/// Arguments of `sandbar produce`.
#[derive(Args, Debug)]
#[command(
    after_help = "A line is {\"key\": …, \"value\": …, \"timestamp\": ms, \"headers\": {…}}; only the value has to be there.\n\n\
    Examples:\n  sandbar produce views --file views.jsonl\n  sandbar produce views < views.jsonl"
)]
pub struct Produce {
    /// The topic, which must exist
    topic: String,
    /// The file to read; standard input, if not given
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    cluster: Cluster,
}

impl Produce {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let mut lines = Lines::open(self.file)?;
        let mut topic = Topic::open(self.cluster.into(), &self.topic)?;
        let mut batch = Records::default();
        let fault = loop {
            match lines.next_into(&mut batch) {
                Ok(true)
                    if batch.len() < BATCH_RECORDS && batch.byte_count() < BATCH_BYTES && lines.has_more_at_hand() => {}
                Ok(true) => topic.hand_over(&mut batch)?,
                Ok(false) => break None,
                Err(fault) => break Some(fault),
            }
        };
        // Lines before a bad one were good: they arrive before the person hears about it.
        topic.hand_over(&mut batch)?;
        let sent = topic.finish()?;
        match fault {
            Some(fault) => Err(fault.hint(format!("the {sent} records before it were produced"))),
            None => out.show(&json!({ "topic": self.topic, "produced": sent }), || {
                format!("produced {sent} records to {}", self.topic)
            }),
        }
    }
}

/// The lines that are read.
struct Lines {
    input: BufReader<Box<dyn Read>>,
    name: String,
    number: u64,
    line: Vec<u8>,
}

impl Lines {
    fn open(file: Option<PathBuf>) -> Result<Self> {
        let (input, name): (Box<dyn Read>, _) = match file {
            None => (Box::new(io::stdin()), "standard input".to_owned()),
            Some(path) => {
                let name = path.display().to_string();
                let file = File::open(path)
                    .map_err(|error| Error::new(Kind::Failed, format!("failed to open `{name}`"), error))?;
                (Box::new(file), format!("`{name}`"))
            }
        };
        Ok(Self {
            input: BufReader::with_capacity(1 << 16, input),
            name,
            number: 0,
            line: Vec::new(),
        })
    }

    /// Adds the record of the next line that is not blank; `false`: there is none.
    fn next_into(&mut self, batch: &mut Records) -> Result<bool> {
        loop {
            self.line.clear();
            self.number += 1;
            let read = (&mut self.input)
                .take(LINE_BYTES)
                .read_until(b'\n', &mut self.line)
                .map_err(|error| self.fault(&error.to_string()))?;
            if read == 0 {
                return Ok(false);
            }
            if read as u64 == LINE_BYTES && self.line.last() != Some(&b'\n') {
                return Err(self.fault("it is longer than 64 MiB"));
            }
            if self.line.trim_ascii().is_empty() {
                continue;
            }
            let read = json_lines::read(self.line.trim_ascii(), clock::wall_ms(), batch);
            return read.map(|()| true).map_err(|why| self.fault(&why));
        }
    }

    /// Whether a line waits in memory: where none does, what is there is handed over, so that a slow writer is not held up.
    fn has_more_at_hand(&self) -> bool {
        self.input.buffer().contains(&b'\n')
    }

    fn fault(&self, why: &str) -> Error {
        Error::new(
            Kind::Failed,
            format!("failed to read line {} of {} as a record", self.number, self.name),
            why,
        )
    }
}

/// The topic that is written.
struct Topic {
    writer: Writer,
    sent: usize,
}

impl Topic {
    fn open(cluster: Reached, name: &str) -> Result<Self> {
        topics::find(&cluster, name)?;
        let target = Target::Kafka {
            cluster,
            topic: name.to_owned(),
            partitioner: Partitioner::Murmur2,
        };
        let sink = Sink {
            name: "produce".to_owned(),
            from: Vec::new(),
            target,
        };
        let options = sink::Options {
            queue_bytes: 32 << 20,
            client_id: "sandbar-produce".to_owned(),
            files: sink::Files::default(),
        };
        Ok(Self {
            writer: Writer::open(&[sink], &options)?,
            sent: 0,
        })
    }

    fn hand_over(&mut self, batch: &mut Records) -> Result<()> {
        let mut from = 0;
        while from < batch.len() {
            from = self.writer.stage(0, batch, from)?;
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
