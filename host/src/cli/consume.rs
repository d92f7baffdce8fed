//! `sandbar consume`: the records of a topic as JSON lines.

use std::time::Duration;

use clap::Args;

use super::cluster::ClusterArgs;
use super::output::Output;
use super::signals::StopSignal;
use crate::error::Result;
use crate::json_lines;
use crate::kafka::topic_reader::{ReadFrom, TopicPoll, TopicReader};
use crate::record::Records;

/// Bytes of lines that are written at once, about.
const CHUNK: usize = 64 << 10;

/// Arguments of `sandbar consume`.
#[derive(Args, Debug)]
#[command(
    after_help = "Without --follow it ends at what was the end when it began; records of open or aborted \
        transactions are not shown.\n\n\
        Examples:\n  sandbar consume views --from earliest --max 10\n  \
        sandbar consume views --from 2026-11-22T00:00:00Z --partition 3\n  sandbar consume views --from latest --follow"
)]
pub struct Consume {
    /// The topic
    topic: String,
    /// Where to begin: earliest, latest, an offset, or a time such as 2026-11-22T00:00:00Z
    #[arg(long, value_name = "WHERE", default_value = "earliest", value_parser = place)]
    from: ReadFrom,
    /// End after this many records
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Go on when the end is reached, and wait for more
    #[arg(long)]
    follow: bool,
    /// Read this partition only; may be given again
    #[arg(long = "partition", value_name = "N", value_parser = clap::value_parser!(i32).range(0..))]
    partitions: Vec<i32>,
    #[command(flatten)]
    cluster: ClusterArgs,
}

impl Consume {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let stop = StopSignal::on_signal()?;
        let mut reader = TopicReader::open(
            &self.cluster.checked()?,
            &self.topic,
            &self.partitions,
            self.from,
            self.follow,
        )?;
        let mut left = self.max.unwrap_or(u64::MAX);
        let mut record = Records::default();
        let mut lines = Vec::with_capacity(CHUNK);
        while left > 0 && !stop.is_asked() {
            // Without a pause nothing waits for its lines; with one, they go out first.
            let wait = if lines.is_empty() {
                Duration::from_millis(200)
            } else {
                Duration::ZERO
            };
            match reader.poll(wait, &mut record)? {
                TopicPoll::Finished => break,
                TopicPoll::Record(partition) => {
                    json_lines::write(&record, 0, Some((&self.topic, partition)), &mut lines);
                    left -= 1;
                    if lines.len() < CHUNK {
                        continue;
                    }
                }
                TopicPoll::Idle => {}
            }
            if !lines.is_empty() {
                out.bytes(&lines)?;
                lines.clear();
            }
        }
        out.bytes(&lines)
    }
}

/// Where reading begins, as a person says it.
pub(super) fn place(text: &str) -> Result<ReadFrom, String> {
    match text {
        "earliest" => Ok(ReadFrom::Earliest),
        "latest" => Ok(ReadFrom::Latest),
        _ => {
            if let Ok(offset) = text.parse::<u64>() {
                return i64::try_from(offset)
                    .map(ReadFrom::Offset)
                    .map_err(|_| "no log holds an offset that high".to_owned());
            }
            let time: jiff::Timestamp = text
                .parse()
                .map_err(|_| "give earliest, latest, an offset, or a time such as 2026-11-22T00:00:00Z".to_owned())?;
            Ok(ReadFrom::Timestamp(time.as_millisecond()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_word_an_offset_or_a_time() {
        assert_eq!(place("earliest"), Ok(ReadFrom::Earliest));
        assert_eq!(place("latest"), Ok(ReadFrom::Latest));
        assert_eq!(place("4711"), Ok(ReadFrom::Offset(4711)));
        assert_eq!(place("1970-01-01T00:00:01.5Z"), Ok(ReadFrom::Timestamp(1500)));
        assert_eq!(place("1970-01-01T01:00:00+01:00"), Ok(ReadFrom::Timestamp(0)));
        for wrong in [
            "",
            "-1",
            "yesterday",
            "99999999999999999999",
            "18446744073709551615",
            "2026-11-22",
        ] {
            assert!(place(wrong).is_err(), "{wrong}");
        }
    }
}
