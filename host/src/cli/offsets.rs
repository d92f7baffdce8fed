//! `sandbar offsets`: the positions of a pipeline's sources, as its groups hold them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::granted;
use super::output::{Head, Output, TextTable};
use crate::config::{self, KafkaSource, Offsets as ByTopic, Source, Subscription, Truth};
use crate::error::{Error, Kind, Result};
use crate::inspect;
use crate::kafka::group_offsets::{Position, To};

/// Arguments of `sandbar offsets`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar offsets show pipeline.toml"
)]
pub struct OffsetsArgs {
    #[command(subcommand)]
    action: OffsetsAction,
}

#[derive(Subcommand, Debug)]
enum OffsetsAction {
    /// Show positions, lag, and who committed them
    #[command(after_help = "Example:\n  sandbar offsets show pipeline.toml")]
    Show {
        #[command(flatten)]
        pipeline: PipelineArgs,
    },
    /// Set positions while no member of the group runs
    #[command(
        override_usage = "sandbar offsets set [OPTIONS] <PIPELINE> --to <WHERE>...",
        after_help = "A FILE is what `sandbar offsets export` prints. Partitions that it does not list stay as they \
            are.\n\n\
            Examples:\n  sandbar offsets set pipeline.toml --to earliest\n  \
            sandbar offsets set pipeline.toml --to views/0=23 views/1=31\n  \
            sandbar offsets set pipeline.toml --to offsets.json"
    )]
    Set {
        #[command(flatten)]
        pipeline: PipelineArgs,
        /// Where to: earliest, latest, a FILE, or SOURCE/PARTITION=OFFSET, again and again (TOPIC/PARTITION=OFFSET
        /// if a source has several topics)
        #[arg(long, value_name = "WHERE", required = true, num_args = 1.., value_parser = target)]
        to: Vec<OffsetTarget>,
    },
    /// Print positions as the JSON that start = { file } reads
    #[command(after_help = "Example:\n  sandbar offsets export pipeline.toml > offsets.json")]
    Export {
        #[command(flatten)]
        pipeline: PipelineArgs,
    },
}

#[derive(Args, Debug)]
struct PipelineArgs {
    /// The pipeline file
    pipeline: PathBuf,
    /// Override a key of the file, such as kafka.brokers=127.0.0.1:9093; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

/// One of the places that `--to` names.
#[derive(Debug, Clone, PartialEq, Eq)]
enum OffsetTarget {
    Earliest,
    Latest,
    File(PathBuf),
    Exactly { name: String, partition: i32, offset: i64 },
}

impl OffsetsArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            OffsetsAction::Show { pipeline } => show(&inspect::positions(&pipeline.load()?.0)?, out),
            OffsetsAction::Set { pipeline, to } => {
                let (pipeline, sources) = pipeline.load()?;
                refuse_kept(&sources)?;
                let set = inspect::set_positions(&pipeline, &resolve(&sources, &to)?)?;
                if pipeline.checkpoint.is_some() {
                    let note = "the state of these partitions' tasks begins empty; `sandbar run --from SAVEPOINT` \
                        goes back with state";
                    out.tell(&json!({ "event": "state-begins-empty" }), || note.to_owned(), true)?;
                }
                show(&set, out)
            }
            OffsetsAction::Export { pipeline } => {
                out.line(&export(&inspect::positions(&pipeline.load()?.0)?)?.to_string())
            }
        }
    }
}

impl PipelineArgs {
    /// The Kafka sources of the file; there has to be one.
    fn load(&self) -> Result<(config::Pipeline, Vec<KafkaSource>)> {
        let pipeline = granted::load(&self.pipeline, &self.sets)?;
        let kafka: Vec<KafkaSource> = pipeline
            .sources
            .iter()
            .filter_map(|source| match source {
                Source::Kafka(source) => Some(source.clone()),
                Source::File(_) => None,
            })
            .collect();
        if kafka.is_empty() {
            let why = "positions are kept for Kafka sources only";
            return Err(Error::new(
                Kind::Invalid,
                format!("pipeline `{}` has no Kafka source", pipeline.name),
                why,
            ));
        }
        Ok((pipeline, kafka))
    }
}

/// What the group holds is no position if checkpoints are the truth.
fn refuse_kept(sources: &[KafkaSource]) -> Result<()> {
    let Some(kept) = sources.iter().find(|source| source.truth == Truth::Checkpoint) else {
        return Ok(());
    };
    let what = format!("failed to set the positions of source `{}`", kept.name);
    let why = "it has offsets = \"checkpoint\": its positions are in the checkpoints, together with the state";
    Err(Error::new(Kind::Invalid, what, why)
        .hint("to start elsewhere, give the pipeline an empty store and set `start`, or use a savepoint"))
}

fn show(positions: &[Position], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("source"),
        Head::Text("partition"),
        Head::Number("committed"),
        Head::Text("origin"),
        Head::Number("begin"),
        Head::Number("end"),
        Head::Number("lag"),
        Head::Text("watermark"),
    ]);
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    for position in positions {
        table.row([
            position.source.clone(),
            position.partition.to_string(),
            number(position.committed.map(|committed| committed.offset)),
            origin(position).unwrap_or("-").to_owned(),
            position.begin.to_string(),
            position.end.to_string(),
            number(position.lag()),
            watermark(position),
        ]);
    }
    out.rows(&positions.iter().map(as_json).collect(), &table)
}

/// Where event time stood with the committed position, and whether the partition holds nobody back.
fn watermark(position: &Position) -> String {
    let Some(time) = position.committed.and_then(|committed| committed.time) else {
        return "-".to_owned();
    };
    let at = match jiff::Timestamp::from_millisecond(time.watermark) {
        Ok(at) if time.watermark > i64::MIN => at.to_string(),
        _ => "none yet".to_owned(),
    };
    if time.is_idle { format!("{at}, idle") } else { at }
}

/// Who committed the position: a pipeline of Sandbar, or some other member of the group.
fn origin(position: &Position) -> Option<&'static str> {
    position
        .committed
        .map(|committed| if committed.ours { "ours" } else { "foreign" })
}

fn as_json(position: &Position) -> Value {
    let time = position.committed.and_then(|committed| committed.time);
    json!({
        "source": position.source,
        "topic": position.partition.topic.as_ref(),
        "partition": position.partition.partition,
        "committed": position.committed.map(|committed| committed.offset),
        "origin": origin(position),
        "begin": position.begin,
        "end": position.end,
        "lag": position.lag(),
        "watermark": time.map(|time| time.watermark).filter(|watermark| *watermark > i64::MIN),
        "idle": time.map(|time| time.is_idle),
    })
}

/// Committed positions by topic and partition. Two groups that disagree about a partition cannot both be told in this
/// form.
fn export(positions: &[Position]) -> Result<Value> {
    let mut topics: BTreeMap<&str, BTreeMap<i32, i64>> = BTreeMap::new();
    for position in positions {
        let Some(committed) = position.committed else { continue };
        let topic = topics.entry(&position.partition.topic).or_default();
        let before = topic.insert(position.partition.partition, committed.offset);
        if before.is_some_and(|before| before != committed.offset) {
            let what = format!("failed to export the position of {}", position.partition);
            return Err(Error::new(
                Kind::Invalid,
                what,
                "two sources read it in different groups and stand at different offsets",
            ));
        }
    }
    Ok(json!(topics))
}

fn target(text: &str) -> Result<OffsetTarget, String> {
    match text {
        "earliest" => return Ok(OffsetTarget::Earliest),
        "latest" => return Ok(OffsetTarget::Latest),
        "" => return Err("give earliest, latest, a file, or SOURCE/PARTITION=OFFSET".to_owned()),
        _ => {}
    }
    let Some((place, offset)) = text.rsplit_once('=') else {
        return Ok(OffsetTarget::File(text.into()));
    };
    let exactly = place.rsplit_once('/').and_then(|(name, partition)| {
        let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
        (!name.is_empty() && partition >= 0 && offset >= 0).then(|| OffsetTarget::Exactly {
            name: name.to_owned(),
            partition,
            offset,
        })
    });
    exactly.ok_or_else(|| "give it as SOURCE/PARTITION=OFFSET, with numbers from 0".to_owned())
}

/// What the places come to: words and files stand alone, single offsets add up.
fn resolve(sources: &[KafkaSource], targets: &[OffsetTarget]) -> Result<To> {
    match targets {
        [OffsetTarget::Earliest] => return Ok(To::Earliest),
        [OffsetTarget::Latest] => return Ok(To::Latest),
        [OffsetTarget::File(path)] => return read_file(path).map(To::Exactly),
        _ => {}
    }
    let mut offsets = ByTopic::new();
    for target in targets {
        let OffsetTarget::Exactly {
            name,
            partition,
            offset,
        } = target
        else {
            return Err(Error::new(
                Kind::Usage,
                "earliest, latest and a file stand alone in --to",
                "it names several places",
            ));
        };
        offsets
            .entry(topic_of(sources, name)?)
            .or_default()
            .insert(*partition, *offset);
    }
    Ok(To::Exactly(offsets))
}

/// The topic that a name stands for: that of the source of this name, or the topic itself.
fn topic_of(sources: &[KafkaSource], name: &str) -> Result<String> {
    let Some(source) = sources.iter().find(|source| source.name == name) else {
        // No source of that name: a topic then. Whether a source reads it is checked before anything is set.
        return Ok(name.to_owned());
    };
    let topics: Vec<&String> = match &source.subscription {
        Subscription::Topics(topics) => topics.iter().collect(),
        Subscription::Partitions(partitions) => partitions.keys().collect(),
        Subscription::Pattern(_) => Vec::new(),
    };
    match topics[..] {
        [topic] => Ok(topic.clone()),
        _ => Err(Error::new(
            Kind::Usage,
            format!("source `{name}` does not name one topic"),
            "it reads several",
        )
        .hint("give TOPIC/PARTITION=OFFSET")),
    }
}

fn read_file(path: &Path) -> Result<ByTopic> {
    let what = || format!("failed to read offsets from `{}`", path.display());
    let text = std::fs::read(path).map_err(|error| Error::new(Kind::Failed, what(), error))?;
    let offsets: ByTopic = serde_json::from_slice(&text).map_err(|error| {
        Error::new(Kind::Invalid, what(), error)
            .hint("it looks like {\"views\":{\"0\":23,\"1\":31}}: topics, partitions, offsets")
    })?;
    let mut each = offsets.values().flatten();
    match each.find(|(partition, offset)| **partition < 0 || **offset < 0) {
        Some((partition, offset)) => Err(Error::new(
            Kind::Invalid,
            what(),
            format!("partition {partition} at offset {offset}: both count from 0"),
        )),
        None => Ok(offsets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::group_offsets::CommittedPosition;
    use crate::record::TopicPartition;

    fn position(source: &str, topic: &str, partition: i32, offset: Option<i64>) -> Position {
        Position {
            source: source.into(),
            partition: TopicPartition::new(topic, partition),
            committed: offset.map(|offset| CommittedPosition {
                offset,
                ours: true,
                time: None,
            }),
            begin: 10,
            end: 50,
        }
    }

    #[test]
    fn a_target_is_a_word_a_file_or_an_offset_of_a_partition() {
        assert_eq!(target("earliest"), Ok(OffsetTarget::Earliest));
        assert_eq!(target("latest"), Ok(OffsetTarget::Latest));
        assert_eq!(
            target("dir/offsets.json"),
            Ok(OffsetTarget::File("dir/offsets.json".into()))
        );
        let exactly = OffsetTarget::Exactly {
            name: "views".into(),
            partition: 3,
            offset: 4711,
        };
        assert_eq!(target("views/3=4711"), Ok(exactly));
        for wrong in [
            "",
            "views/3=",
            "views/3=-1",
            "views=4",
            "/3=4",
            "views/x=4",
            "views/3=99999999999999999999",
        ] {
            assert!(target(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn words_and_files_stand_alone() {
        let exactly = |partition| OffsetTarget::Exactly {
            name: "views".into(),
            partition,
            offset: 7,
        };
        let mixed = resolve(&[], &[OffsetTarget::Earliest, exactly(0)]);
        assert_eq!(mixed.unwrap_err().kind, Kind::Usage);
        let both = ByTopic::from([("views".into(), BTreeMap::from([(0, 7), (1, 7)]))]);
        assert_eq!(resolve(&[], &[exactly(0), exactly(1)]), Ok(To::Exactly(both)));
    }

    #[test]
    fn an_export_is_what_a_start_from_a_file_reads() {
        let positions = [
            position("views", "views", 0, Some(23)),
            position("views", "views", 1, Some(31)),
            position("views", "views", 2, None),
        ];
        let exported = export(&positions).unwrap().to_string();
        assert_eq!(exported, r#"{"views":{"0":23,"1":31}}"#);
        let read: ByTopic = serde_json::from_str(&exported).unwrap();
        assert_eq!(read["views"], BTreeMap::from([(0, 23), (1, 31)]));
    }

    #[test]
    fn an_export_of_groups_that_disagree_is_refused() {
        let apart = [position("a", "views", 0, Some(23)), position("b", "views", 0, Some(24))];
        assert!(export(&apart).is_err());
        let agreed = [position("a", "views", 0, Some(23)), position("b", "views", 0, Some(23))];
        assert!(export(&agreed).is_ok());
    }

    #[test]
    fn lag_counts_from_the_beginning_of_the_log_at_the_earliest() {
        assert_eq!(position("a", "t", 0, Some(20)).lag(), Some(30));
        assert_eq!(position("a", "t", 0, Some(3)).lag(), Some(40));
        assert_eq!(position("a", "t", 0, Some(60)).lag(), Some(0));
        assert_eq!(position("a", "t", 0, None).lag(), None);
    }
}
