//! Which partitions of an input hold the time of their tasks back, and which are idle: the end of their log is reached
//! and they brought nothing for a while.

use crate::record::TopicPartition;
use crate::task_id::TaskIds;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// If nobody looked for longer than this, records may have waited meanwhile: that time does not count.
const GAP: Duration = Duration::from_secs(1);

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
}

impl Idleness {
    /// These are read from now on.
    pub(super) fn assigned(&mut self, task_ids: &TaskIds, partitions: &[TopicPartition], now: Instant) {
        for at in partitions {
            let activity = Activity {
                task: task_ids.task(at),
                since: now,
                is_idle: false,
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

    /// Looks again: `at_end` says of a partition whether the end of its log is reached, and after how long without a
    /// record it is idle then.
    pub(super) fn look(&mut self, now: Instant, at_end: impl Fn(&TopicPartition) -> Option<Duration>) {
        let gap = self
            .looked
            .replace(now)
            .map_or(Duration::ZERO, |looked| now.duration_since(looked));
        for (at, activity) in &mut self.partitions {
            match at_end(at) {
                Some(_) if gap > GAP => activity.since = (activity.since + gap).min(now),
                Some(after) => activity.is_idle = now.duration_since(activity.since) >= after,
                None => (activity.since, activity.is_idle) = (now, false),
            }
        }
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
        for ms in [500, 900] {
            idleness.look(after(ms), at_end);
            assert_eq!(idleness.others(&at("a", 0)), [at("b", 0)], "{ms}");
        }
        idleness.look(after(1000), at_end);
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
        assert!(look(&mut idleness, 60_950));
    }
}
