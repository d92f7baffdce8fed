//! `run --from SAVEPOINT`: the positions and the state of a savepoint become those that this pipeline committed last.
//!
//! ```text
//! read, checked → laid out over the partitions there are → objects copied → one bundle of all tasks
//!   → offsets committed
//! ```
//!
//! Always: until the last step nothing has changed that a start looks at, and the last step is one: the commit of the
//! group, or the bundle itself if checkpoints are the truth about positions. If the sources of a pipeline have
//! several groups, each of these is committed by itself; a task belongs to one.

use super::kept::{offsets_in_checkpoint, write};
use crate::checkpoint::savepoint::{SavedTask, Savepoint, SavepointPlace};
use crate::checkpoint::{CheckpointStore, Stops, StoreSchema, TaskFrame};
use crate::config::{KafkaSource, Offsets, OutOfRange, Pipeline, Subscription};
use crate::error::{Error, Kind, Result};
use crate::kafka::group_offsets::{self, Position};
use crate::kill;
use crate::offset_metadata::Pointer;
use crate::record::TopicPartition;
use crate::runtime::lifecycle::StopRequest;
use crate::runtime::tasks::checkpoints::{self, Checkpoints};
use crate::source::changed;
use crate::state::{self, StoreId};
use crate::task_id::TaskIds;
use crate::task_id::source_of;
use crate::topology::{self, StatefulOperators};
use std::collections::{BTreeMap, BTreeSet};

/// A savepoint, laid out over the tasks of a pipeline.
#[derive(Debug)]
pub(in crate::runtime) struct Import {
    place: SavepointPlace,
    tasks: BTreeMap<String, ImportTarget>,
    /// Why each partition of a source starts where it does.
    origins: BTreeMap<(String, TopicPartition), String>,
}

/// A task as it is after the import: the state that it builds on, and its positions.
#[derive(Debug)]
struct ImportTarget {
    parent: Pointer,
    stores: Vec<StoreSchema>,
    /// Those that no operator declares any more: the import takes their entries away.
    dropped: Vec<StoreId>,
    offsets: Offsets,
    /// A source of the task: it tells cluster and group.
    source: KafkaSource,
}

impl Import {
    /// Reads and checks a savepoint, lays it out over the partitions there are, and waits until nobody is in the
    /// groups. Nothing is changed yet.
    ///
    /// # Errors
    /// `Corrupt`: the savepoint is missing, or has a store or a source that the pipeline has not. `Kafka`: a group has
    /// members, a partition of the savepoint does not exist, or its log does not hold the position.
    pub(in crate::runtime) fn prepare(
        pipeline: &Pipeline,
        checkpoints: &Checkpoints,
        stateful: &StatefulOperators,
        place: &SavepointPlace,
        stop: &StopRequest,
    ) -> Result<Option<Self>> {
        let Some(store) = checkpoints.store() else {
            return Ok(None);
        };
        let savepoint = store.savepoint(place)?;
        for task in &savepoint.tasks {
            checkpoints.check_stores(&task.task, &task.stores)?;
        }
        let mut import = Self {
            place: place.clone(),
            tasks: BTreeMap::new(),
            origins: BTreeMap::new(),
        };
        let (mut used, keyed) = (BTreeSet::new(), topology::stateful_sources(pipeline, stateful));
        for set in topology::kafka_subtopologies(pipeline) {
            let logs = group_offsets::logs(&set)?;
            for source in set.iter().filter(|source| keyed.contains(&*source.name)) {
                import.refuse_grown(source, &logs, &savepoint)?;
            }
            import.lay_out(&set, &logs, &savepoint, &mut used)?;
        }
        import.refuse_unused(&savepoint, &used, pipeline)?;
        for target in import.tasks.values_mut() {
            let stores = target.stores.drain(..);
            let (kept, gone): (Vec<_>, Vec<_>) = stores.partition(|store| checkpoints.declares(store));
            (target.stores, target.dropped) = (kept, gone.iter().map(checkpoints::id).collect());
        }
        if !offsets_in_checkpoint(pipeline) {
            for source in import.groups().values() {
                group_offsets::wait_until_empty(source, || stop.is_requested())
                    .map_err(|error| import.failed(error))?;
            }
        }
        Ok(Some(import))
    }

    /// Makes it what the pipeline committed last.
    ///
    /// # Errors
    /// `Corrupt`: an object of the savepoint is missing or damaged, or the store cannot be written. `Kafka`: a group
    /// does not take the offsets.
    pub(in crate::runtime) fn carry_out(&self, pipeline: &Pipeline, store: &CheckpointStore) -> Result<()> {
        store.import(&self.place)?;
        kill::point("mid-import");
        let pointers = write(pipeline, store, self.frames(store, offsets_in_checkpoint(pipeline))?)?;
        kill::point("mid-import");
        if offsets_in_checkpoint(pipeline) {
            return Ok(());
        }
        for (group, source) in self.groups() {
            let of_group = pointers.iter().filter_map(|pointer| {
                let target = self.tasks.get(&pointer.task)?;
                (key(&target.source) == group).then_some((pointer, target))
            });
            let positions: Vec<_> = of_group
                .flat_map(|(pointer, target)| each(&target.offsets).map(|(at, next)| (at, next, pointer.to_string())))
                .collect();
            group_offsets::commit_marked(source, &positions).map_err(|error| self.failed(error))?;
            kill::point("mid-import");
        }
        Ok(())
    }

    /// Why a partition starts where it does.
    pub(in crate::runtime) fn origin(&self, source: &str, at: &TopicPartition) -> Option<String> {
        self.origins.get(&(source.to_owned(), at.clone())).cloned()
    }

    /// The tasks of a set: every partition there is, at the savepoint's position. One that it does not know starts at
    /// its beginning.
    fn lay_out(
        &mut self,
        set: &[KafkaSource],
        logs: &[Position],
        savepoint: &Savepoint,
        used: &mut BTreeSet<(String, TopicPartition)>,
    ) -> Result<()> {
        let task_ids = TaskIds::of(set);
        for log in logs {
            let Some(source) = set.iter().find(|source| source.name == log.source) else {
                continue;
            };
            let (at, name) = (&log.partition, task_ids.task(&log.partition));
            let mut saved = savepoint.tasks.iter().filter(|task| serves(task, &name, set));
            let found = saved.find_map(|task| Some((task, at_of(&task.offsets, at)?)));
            let (next, origin) = match found {
                None => (log.begin, "found later".to_owned()),
                Some((task, next)) => {
                    used.insert((task.task.clone(), at.clone()));
                    self.position(source, log, next)?
                }
            };
            self.origins.insert((source.name.clone(), at.clone()), origin);
            let target = self
                .tasks
                .entry(name.clone())
                .or_insert_with(|| ImportTarget::new(&name, savepoint, source));
            let of_topic = target.offsets.entry(at.topic.to_string()).or_default();
            of_topic.insert(at.partition, next);
        }
        Ok(())
    }

    /// A savepoint has all partitions that there were: if one came later, keys come to another one than the one that
    /// has their state. Partitions that are named one by one may be more than before.
    fn refuse_grown(&self, source: &KafkaSource, logs: &[Position], savepoint: &Savepoint) -> Result<()> {
        let Subscription::Topics(topics) = &source.subscription else {
            return Ok(());
        };
        for topic in topics {
            let saved = savepoint.tasks.iter().filter_map(|task| task.offsets.get(topic));
            let before: BTreeSet<i32> = saved.flat_map(|of| of.keys().copied()).collect();
            let now = logs.iter().filter(|log| *log.partition.topic == **topic).count();
            if !before.is_empty() && now > before.len() {
                return Err(changed(&self.what(), topic, before.len() as i32, now as i32));
            }
        }
        Ok(())
    }

    /// The savepoint's position, if the log holds it still.
    fn position(&self, source: &KafkaSource, log: &Position, next: i64) -> Result<(i64, String)> {
        if (log.begin..=log.end).contains(&next) {
            return Ok((next, format!("savepoint {}", self.place)));
        }
        match source.on_out_of_range {
            OutOfRange::Earliest => Ok((log.begin, "out of range, earliest".to_owned())),
            OutOfRange::Latest => Ok((log.end, "out of range, latest".to_owned())),
            OutOfRange::Fail => {
                let why = format!(
                    "partition {} has no offset {next}: its log holds {}..{}",
                    log.partition, log.begin, log.end
                );
                Err(Error::new(Kind::Kafka, self.what(), why)
                    .hint("set on-out-of-range = \"earliest\" or \"latest\" to go on without what is gone"))
            }
        }
    }

    /// What the savepoint has and this pipeline does not take is lost without a word otherwise.
    fn refuse_unused(
        &self,
        savepoint: &Savepoint,
        used: &BTreeSet<(String, TopicPartition)>,
        pipeline: &Pipeline,
    ) -> Result<()> {
        for task in &savepoint.tasks {
            let mut unused = each(&task.offsets).filter(|(at, _)| !used.contains(&(task.task.clone(), at.clone())));
            let Some((at, _)) = unused.next() else { continue };
            let name = source_of(&task.task);
            let is_read = self.origins.keys().any(|(_, known)| *known == at);
            let is_known = pipeline.sources.iter().any(|source| source.name() == name);
            if is_known && !is_read {
                let why = format!("it has a position of {at}, and source `{name}` has no such partition");
                return Err(Error::new(Kind::Kafka, self.what(), why)
                    .hint("a topic that was made anew needs as many partitions as before"));
            }
            if pipeline.allow_dropped_state {
                continue;
            }
            let why = match is_known {
                false => format!("it has task `{}`, and no source is called `{name}`", task.task),
                true => format!(
                    "it has task `{}` with state, and {at} belongs to another task now",
                    task.task
                ),
            };
            return Err(Error::new(Kind::Corrupt, self.what(), why)
                .hint("--allow-dropped-state drops it; a source that was renamed needs its old name"));
        }
        Ok(())
    }

    /// If checkpoints are the truth about positions, the newest is the one with the highest number.
    fn frames(&self, store: &CheckpointStore, offsets_in_checkpoint: bool) -> Result<Vec<TaskFrame>> {
        let newest = if offsets_in_checkpoint {
            store.newest()?
        } else {
            Vec::new()
        };
        let frame = |(name, target): (&String, &ImportTarget)| {
            let entry = store.resolve(&target.parent)?;
            let before = newest.iter().filter(|(pointer, _)| pointer.task == *name);
            let highest = before.map(|(pointer, _)| pointer.seq).max().unwrap_or(0);
            let (base, partition_counts) = entry.map(|it| (it.base, it.partition_counts)).unwrap_or_default();
            Ok(TaskFrame {
                task: name.clone(),
                seq: highest.max(target.parent.seq) + 1,
                parent: target.parent.clone(),
                base,
                partition_counts,
                offsets: target.offsets.clone(),
                // A run that begins at a savepoint looks its stop up anew.
                stops: Stops::new(),
                stores: target.stores.clone(),
                delta: state::dropping(&target.dropped),
            })
        };
        self.tasks.iter().map(frame).collect()
    }

    /// A source of each group.
    fn groups(&self) -> BTreeMap<(&str, &str), &KafkaSource> {
        let sources = self.tasks.values().map(|target| &target.source);
        sources.map(|source| (key(source), source)).collect()
    }

    fn what(&self) -> String {
        format!("failed to start from savepoint `{}`", self.place)
    }

    fn failed(&self, error: Error) -> Error {
        Error {
            why: format!("{}: {}", error.what, error.why),
            what: self.what(),
            ..error
        }
    }
}

impl ImportTarget {
    fn new(name: &str, savepoint: &Savepoint, source: &KafkaSource) -> Self {
        // A task that keeps no state builds on nothing, and no bundle came along for it.
        let mut with_state = savepoint.tasks.iter().filter(|task| !task.stores.is_empty());
        let saved = with_state.find(|task| task.task == name);
        Self {
            parent: saved.map_or_else(|| Pointer::first(name), |task| task.pointer.clone()),
            stores: saved.map_or_else(Vec::new, |task| task.stores.clone()),
            dropped: Vec::new(),
            offsets: Offsets::new(),
            source: source.clone(),
        }
    }
}

/// Whether a task's positions may be those of task `name` of a set: its own, or without state, which is all that
/// hinders them from moving.
fn serves(task: &SavedTask, name: &str, set: &[KafkaSource]) -> bool {
    let is_of_set = || set.iter().any(|source| source.name == source_of(&task.task));
    task.task == name || task.stores.is_empty() && is_of_set()
}

fn at_of(offsets: &Offsets, at: &TopicPartition) -> Option<i64> {
    offsets.get(&*at.topic)?.get(&at.partition).copied()
}

fn each(offsets: &Offsets) -> impl Iterator<Item = (TopicPartition, i64)> {
    let of_topic = |(topic, of): (&String, &BTreeMap<i32, i64>)| {
        let at = |(number, next): (&i32, &i64)| (TopicPartition::new(topic.as_str(), *number), *next);
        of.iter().map(at).collect::<Vec<_>>()
    };
    offsets.iter().flat_map(of_topic)
}

fn key(source: &KafkaSource) -> (&str, &str) {
    (&source.cluster.brokers, &source.group)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cluster, CommitOffsets, EventTime, Otherwise, Start, Subscription, TimeSettings, Truth};
    use std::time::Duration;

    fn source(name: &str, on_out_of_range: OutOfRange) -> KafkaSource {
        KafkaSource {
            name: name.to_owned(),
            cluster: Cluster {
                brokers: String::new(),
                properties: [].into(),
                login: Default::default(),
            },
            subscription: Subscription::Topics(vec![name.to_owned()]),
            group: "g".to_owned(),
            start: Start::Latest,
            otherwise: Otherwise::Latest,
            stop: None,
            on_out_of_range,
            truth: Truth::Group,
            commit_offsets: CommitOffsets::OnCheckpoint,
            auto_commit_interval: Duration::from_secs(5),
            session_timeout: Duration::from_secs(10),
            max_batch: 1000,
            discovery_interval: Duration::from_secs(300),
            event_time: EventTime::Record,
            time: TimeSettings::default(),
        }
    }

    /// A log of 10..50.
    fn log(topic: &str, number: i32) -> Position {
        Position {
            source: topic.to_owned(),
            partition: TopicPartition::new(topic, number),
            committed: None,
            begin: 10,
            end: 50,
        }
    }

    fn savepoint(tasks: &str) -> Savepoint {
        serde_json::from_str(&format!(
            r#"{{"format": 1, "pipeline": "pages", "created": 0, "tasks": [{tasks}]}}"#
        ))
        .unwrap()
    }

    const VIEWS: &str = r#"{"task": "views/0", "pointer": "sb1:0mhzqk3va-0-1y2p0ij32e8e7:views/0:2:9f86d081884c7d65",
        "offsets": {"views": {"0": 23}},
        "stores": [{"operator": "o", "store": "s", "kind": "value", "codec": "json", "schema-version": 1}]}"#;
    const CLICKS: &str =
        r#"{"task": "clicks/0", "pointer": "sb1:-:clicks/0:0:-", "offsets": {"clicks": {"0": 31}}, "stores": []}"#;

    fn lay_out(set: &[KafkaSource], logs: &[Position], savepoint: &Savepoint) -> (Import, Result<()>) {
        let mut import = Import {
            place: SavepointPlace::Named("before".into()),
            tasks: BTreeMap::new(),
            origins: BTreeMap::new(),
        };
        let mut used = BTreeSet::new();
        let laid_out = import.lay_out(set, logs, savepoint, &mut used);
        let pipeline = topology::tests::pipeline(&["views", "clicks"], &[], &[]);
        let checked = laid_out.and_then(|()| import.refuse_unused(savepoint, &used, &pipeline));
        (import, checked)
    }

    #[test]
    fn a_set_takes_positions_of_all_its_sources_and_what_is_new_begins_at_its_beginning() {
        let set = [source("views", OutOfRange::Fail), source("clicks", OutOfRange::Fail)];
        let logs = [log("views", 0), log("clicks", 0), log("clicks", 1)];
        let (import, checked) = lay_out(&set, &logs, &savepoint(&format!("{VIEWS},{CLICKS}")));
        assert_eq!(checked, Ok(()));
        let at = |topic: &str, number, at| (topic.to_owned(), [(number, at)].into());
        assert_eq!(import.tasks["views/0"].parent.seq, 2);
        assert_eq!(
            import.tasks["views/0"].offsets,
            Offsets::from([at("views", 0, 23), at("clicks", 0, 31)])
        );
        assert_eq!(import.tasks["views/1"].parent, Pointer::first("views/1"));
        assert_eq!(import.tasks["views/1"].offsets, Offsets::from([at("clicks", 1, 10)]));
        let origin = |topic: &str, number| import.origin(topic, &TopicPartition::new(topic, number)).unwrap();
        assert_eq!(
            (origin("clicks", 0).as_str(), origin("clicks", 1).as_str()),
            ("savepoint before", "found later")
        );
    }

    #[test]
    fn what_a_savepoint_has_and_nothing_reads_is_refused() {
        let views = [source("views", OutOfRange::Fail)];
        let (_, missing) = lay_out(&views, &[log("views", 1)], &savepoint(VIEWS));
        let missing = missing.unwrap_err();
        assert!(
            missing.kind == Kind::Kafka && missing.why.contains("views/0"),
            "{missing}"
        );
        let unknown = savepoint(&CLICKS.replace("clicks", "likes"));
        let unknown = lay_out(&views, &[log("views", 0)], &unknown).1.unwrap_err();
        assert!(
            unknown.kind == Kind::Corrupt && unknown.why.contains("`likes`"),
            "{unknown}"
        );
        // It met nobody when it was saved, and now it is the second of its set: its state belongs to no task.
        let set = [source("clicks", OutOfRange::Fail), source("views", OutOfRange::Fail)];
        let apart = lay_out(&set, &[log("clicks", 0), log("views", 0)], &savepoint(VIEWS));
        let apart = apart.1.unwrap_err();
        assert!(
            apart.kind == Kind::Corrupt && apart.why.contains("another task"),
            "{apart}"
        );
    }

    #[test]
    fn a_position_that_the_log_lost_goes_by_the_policy() {
        let gone = savepoint(&VIEWS.replace("23", "9"));
        let at = |policy| {
            let (import, checked) = lay_out(&[source("views", policy)], &[log("views", 0)], &gone);
            checked.map(|()| import.tasks["views/0"].offsets["views"][&0])
        };
        assert_eq!(at(OutOfRange::Earliest), Ok(10));
        assert_eq!(at(OutOfRange::Latest), Ok(50));
        assert_eq!(at(OutOfRange::Fail).unwrap_err().kind, Kind::Kafka);
    }
}
