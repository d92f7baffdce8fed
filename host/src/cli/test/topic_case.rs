//! A case made of records that are in a topic.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::config::Cluster;
use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::kafka::topic_reader::{ReadFrom, TopicPoll, TopicReader};
use crate::record::Records;

/// How long a poll waits for the next record.
const WAIT: Duration = Duration::from_millis(200);

/// Which records are taken.
pub(super) struct TopicRecords {
    pub(super) topic: String,
    pub(super) from: ReadFrom,
    pub(super) max: u64,
    pub(super) partitions: Vec<i32>,
    /// The input that they come in at.
    pub(super) input: Option<String>,
}

/// Writes `input.jsonl` into a new folder: the records, and behind them the end of time.
///
/// # Errors
/// `Usage`: the case is there already. `Kafka`: the topic cannot be read, or has no such record.
pub(super) fn write(folder: &Path, of: TopicRecords, cluster: &Cluster) -> Result<()> {
    let path = folder.join("input.jsonl");
    if path.exists() {
        let what = format!("the case {} is there already", folder.display());
        return Err(Error::new(Kind::Usage, what, "it would be written over").hint("name another with --case"));
    }
    let mut reader = TopicReader::open(cluster, &of.topic, &of.partitions, of.from, false)?;
    let (mut left, mut record, mut lines) = (of.max, Records::default(), Vec::new());
    while left > 0 {
        match reader.poll(WAIT, &mut record)? {
            TopicPoll::Finished => break,
            TopicPoll::Idle => {}
            TopicPoll::Record(partition) => {
                let begin = lines.len();
                json_lines::write(&record, 0, Some((&of.topic, partition)), &mut lines);
                if let Some(input) = &of.input {
                    let input = format!("\"input\":{},", serde_json::Value::from(input.as_str()));
                    lines.splice(begin + 1..begin + 1, input.into_bytes());
                }
                left -= 1;
            }
        }
    }
    if lines.is_empty() {
        let what = format!("found no record in topic `{}`", of.topic);
        return Err(Error::new(Kind::Kafka, what, "from where it was asked for to its end"));
    }
    lines.extend_from_slice(b"{\"end\":true}\n");
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, lines));
    written.map_err(|why| Error::new(Kind::Failed, format!("failed to write {}", path.display()), why))
}
