//! Which partitions of an input hold the time of their tasks back, and which are idle: the end of their log is reached
//! and they brought nothing for a while.

use crate::offset_metadata::PartitionTime;
use crate::record::TopicPartition;
use crate::task_id::TaskIds;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

/// If nobody looked for longer than this, records may have waited meanwhile: what is more does not count.
const GAP: Duration = Duration::from_millis(250);

/// The partitions that a worker has of an input, as far as time goes.
#[derive(Debug, Default)]
pub(super) struct Idleness {
    partitions: BTreeMap<TopicPartition, Activity>,
    looked: Option<Instant>,
}

#[derive(Debug)]
struct Activity {
    task: String,
    /// When it brought something, or could not be read yet.
    since: Instant,
    is_idle: bool,
    /// Where its event time stood when it was last looked at.
    watermark: Option<i64>,
}

impl Idleness {
    /// These are read from now on.
    pub(super) fn assigned(&mut self, task_ids: &TaskIds, partitions: &[TopicPartition], now: Instant) {
        for at in partitions {
            let activity = Activity {
                task: task_ids.task(at),
                since: now,
                is_idle: false,
                watermark: None,
            };
            self.partitions.insert(at.clone(), activity);
        }
    }

    /// This one is not read any more.
    pub(super) fn gone(&mut self, at: &TopicPartition) {
        self.partitions.remove(at);
    }

    /// A partition brought something.
    pub(super) fn brought(&mut self, at: &TopicPartition, now: Instant) {
        if let Some(activity) = self.partitions.get_mut(at) {
            (activity.since, activity.is_idle) = (now, false);
        }
    }

    /// The other partitions of a partition's task that hold its time back.
    pub(super) fn others(&self, at: &TopicPartition) -> Vec<TopicPartition> {
        let Some(own) = self.partitions.get(at) else {
            return Vec::new();
        };
        let others = self
            .partitions
            .iter()
            .filter(|(other, activity)| *other != at && activity.task == own.task && !activity.is_idle);
        others.map(|(other, _)| other.clone()).collect()
    }

    /// What is told of a partition's time to the other members of the group.
    pub(super) fn time(&self, at: &TopicPartition) -> Option<PartitionTime> {
        let Activity { watermark, is_idle, .. } = self.partitions.get(at)?;
        Some(PartitionTime {
            watermark: (*watermark)?,
            is_idle: *is_idle,
        })
    }

    /// Whether a partition holds the time of its task back: the others of it are ahead.
    pub(super) fn holds(&self, at: &TopicPartition) -> bool {
        let Some(own) = self.partitions.get(at).filter(|own| !own.is_idle) else {
            return false;
        };
        let is_other = |(other, of): &(&TopicPartition, &Activity)| *other != at && of.task == own.task && !of.is_idle;
        let mut others = self.partitions.iter().filter(is_other).peekable();
        others.peek().is_some() && others.all(|(_, other)| other.watermark > own.watermark)
    }

    /// What was read is read again: nothing that was known of it holds.
    pub(super) fn rewound(&mut self, now: Instant) {
        for activity in self.partitions.values_mut() {
            (activity.since, activity.is_idle, activity.watermark) = (now, false, None);
        }
    }

    /// Notes where the time of a partition stands.
    pub(super) fn note(&mut self, at: &TopicPartition, watermark: i64) {
        if let Some(activity) = self.partitions.get_mut(at) {
            activity.watermark = Some(watermark);
        }
    }

    /// Looks again: `at_end` says of a partition whether the end of its log is reached, and after how long without a
    /// record it is idle then. The tasks of which one became idle.
    pub(super) fn look(
        &mut self,
        now: Instant,
        at_end: impl Fn(&TopicPartition) -> Option<Duration>,
    ) -> BTreeSet<String> {
        let mut newly_idle = BTreeSet::new();
        let gap = self
            .looked
            .replace(now)
            .map_or(Duration::ZERO, |looked| now.duration_since(looked));
        for (at, activity) in &mut self.partitions {
            activity.since = (activity.since + gap.saturating_sub(GAP)).min(now);
            match at_end(at) {
                Some(after) if now.duration_since(activity.since) >= after => {
                    if !std::mem::replace(&mut activity.is_idle, true) {
                        newly_idle.insert(activity.task.clone());
                    }
                }
                Some(_) => activity.is_idle = false,
                None => (activity.since, activity.is_idle) = (now, false),
            }
        }
        newly_idle
    }

    /// The tasks, each with its partitions and whether they are idle.
    pub(super) fn tasks(&self) -> BTreeMap<&str, Vec<(&TopicPartition, bool)>> {
        let mut tasks: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (at, activity) in &self.partitions {
            tasks.entry(&activity.task).or_default().push((at, activity.is_idle));
        }
        tasks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn at(topic: &str, number: i32) -> TopicPartition {
        TopicPartition::new(topic, number)
    }

    fn activity(task: &str, since: Instant) -> Activity {
        Activity {
            task: task.to_owned(),
            since,
            is_idle: false,
            watermark: None,
        }
    }

    #[test]
    fn a_partition_is_idle_once_it_brought_nothing_for_a_while_at_the_end_of_its_log() {
        let begun = clock::now();
        let mut idleness = Idleness::default();
        for topic in ["a", "b"] {
            idleness.partitions.insert(at(topic, 0), activity("a/0", begun));
        }
        idleness.partitions.insert(at("a", 1), activity("a/1", begun));
        assert_eq!(idleness.others(&at("a", 0)), [at("b", 0)]);
        let after = |ms: u64| begun + Duration::from_millis(ms);
        let at_end = |at: &TopicPartition| (&*at.topic == "b").then_some(Duration::from_secs(1));
        for ms in [200, 400, 600, 800, 950] {
            idleness.look(after(ms), at_end);
            assert_eq!(idleness.others(&at("a", 0)), [at("b", 0)], "{ms}");
        }
        assert_eq!(idleness.look(after(1000), at_end), BTreeSet::from(["a/0".to_owned()]));
        assert!(idleness.look(after(1050), at_end).is_empty(), "it is told once");
        assert_eq!(idleness.time(&at("b", 0)), None);
        idleness.note(&at("b", 0), 7);
        let time = PartitionTime {
            watermark: 7,
            is_idle: true,
        };
        assert_eq!(idleness.time(&at("b", 0)), Some(time));
        assert!(idleness.others(&at("a", 0)).is_empty());
        assert_eq!(idleness.others(&at("b", 0)), [at("a", 0)], "it has records to read");
        assert_eq!(
            idleness.tasks(),
            BTreeMap::from([
                ("a/0", vec![(&at("a", 0), false), (&at("b", 0), true)]),
                ("a/1", vec![(&at("a", 1), false)])
            ])
        );
        idleness.brought(&at("b", 0), after(1100));
        assert_eq!(idleness.others(&at("a", 0)), [at("b", 0)]);
        idleness.gone(&at("b", 0));
        assert!(idleness.others(&at("a", 0)).is_empty());
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let begun = clock::now();
        let mut idleness = Idleness::default();
        idleness.partitions.insert(at("a", 0), activity("a/0", begun));
        let look = |idleness: &mut Idleness, ms| {
            idleness.look(begun + Duration::from_millis(ms), |_| Some(Duration::from_secs(1)));
            idleness.partitions[&at("a", 0)].is_idle
        };
        assert!(!look(&mut idleness, 100));
        assert!(!look(&mut idleness, 60_000), "a restore, or a sink that takes nothing");
        assert!(!look(&mut idleness, 60_500));
        assert!(!look(&mut idleness, 60_900));
        assert!(
            look(&mut idleness, 70_000),
            "it comes nearer, however seldom somebody looks"
        );
    }
}
