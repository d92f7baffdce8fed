//! Partitions that the group gave to this member while nobody can tell where they stand: a member that died in a
//! transaction left offsets that are open for as long as that transaction lives.
//!
//! Always: the group has its answer meanwhile, so that the partitions that stay go on. Nothing that is pending is
//! owned; what is revoked or lost is pending no more, and nothing is taken up while the group waits for another answer,
//! which it would count as that one. Partitions that nothing holds do not wait for those that something holds:
//! librdkafka does not say which are which, for it repeats its whole question while one is held. So a list that was
//! looked at in vain is halved.

use std::time::{Duration, Instant};

use crate::clock;
use crate::record::TopicPartition;

/// How long it is not asked where they stand, at the least.
const PAUSE: Duration = Duration::from_millis(500);
/// How many times as long as a look the pause after it is: nothing is read while it is asked, and the answer is silence
/// while offsets are open.
const PAUSE_PER_LOOK: u32 = 4;
/// How long the first look may take. After a look at each list they have twice as long, for a cluster that is far away.
const LOOK: Duration = Duration::from_millis(200);
const LOOK_MAX: Duration = Duration::from_secs(1);

/// See the file's header: lists of partitions, each of which is looked at by itself.
#[derive(Debug)]
pub(in crate::source) struct PendingPartitions {
    lists: Vec<Vec<TopicPartition>>,
    /// Partitions of one number may meet in a task.
    meet: bool,
    /// Lists that were not looked at since a look had longer.
    left_in_turn: usize,
    next: Instant,
    /// How long the next look may take.
    pub(in crate::source) look: Duration,
}

impl PendingPartitions {
    pub(in crate::source) fn new(meet: bool) -> Self {
        Self {
            lists: Vec::new(),
            meet,
            left_in_turn: 0,
            next: clock::now(),
            look: LOOK,
        }
    }

    pub(in crate::source) fn is_empty(&self) -> bool {
        self.lists.is_empty()
    }

    /// An assignment that was looked at in vain.
    pub(in crate::source) fn push(&mut self, assignment: Vec<TopicPartition>) {
        self.lists.extend(halves(assignment, self.meet));
        self.left_in_turn = self.lists.len();
        self.next = clock::now() + PAUSE;
        self.look = LOOK;
    }

    /// These are somebody else's now.
    pub(in crate::source) fn forget(&mut self, partitions: &[TopicPartition]) {
        for list in &mut self.lists {
            list.retain(|at| !partitions.contains(at));
        }
        self.lists.retain(|list| !list.is_empty());
    }

    /// Forgets all: the membership is gone.
    pub(in crate::source) fn clear(&mut self) {
        self.lists.clear();
    }

    /// What to look at now: a turn each.
    pub(in crate::source) fn due(&mut self) -> Option<Vec<TopicPartition>> {
        if self.lists.is_empty() || clock::now() < self.next {
            return None;
        }
        self.lists.rotate_left(1);
        self.lists.last().cloned()
    }

    /// A look in vain that began then. If nothing is read meanwhile, nobody is held up by the next.
    pub(in crate::source) fn looked(&mut self, begun: Instant, is_reading: bool) {
        let now = clock::now();
        self.next = match is_reading {
            true => now + (now.duration_since(begun) * PAUSE_PER_LOOK).max(PAUSE),
            false => now,
        };
        let Some(list) = self.lists.pop() else { return };
        self.lists.extend(halves(list, self.meet));
        self.left_in_turn = self.left_in_turn.saturating_sub(1);
        if self.left_in_turn == 0 {
            self.left_in_turn = self.lists.len();
            self.look = (self.look * 2).min(LOOK_MAX);
        }
    }

    pub(in crate::source) fn taken_up(&mut self) {
        self.lists.pop();
    }
}

/// Two lists, or one if it is of one task: partitions that may meet in a task stay together.
fn halves(mut list: Vec<TopicPartition>, meet: bool) -> Vec<Vec<TopicPartition>> {
    list.sort_by_key(|at| at.partition);
    let middle = list.len() / 2;
    let cut = |at: &usize| !meet || list[*at - 1].partition != list[*at].partition;
    let Some(at) = (middle..list.len())
        .chain((1..middle).rev())
        .find(|at| *at > 0 && cut(at))
    else {
        return vec![list];
    };
    let later = list.split_off(at);
    vec![list, later]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[i32]) -> Vec<TopicPartition> {
        numbers.iter().map(|number| TopicPartition::new("t", *number)).collect()
    }

    fn pending(assignments: &[&[i32]]) -> PendingPartitions {
        let mut pending = PendingPartitions::new(true);
        assignments
            .iter()
            .for_each(|assignment| pending.push(places(assignment)));
        pending.next = clock::now();
        pending
    }

    #[test]
    fn lists_take_turns_and_none_waits_for_another() {
        let mut pending = pending(&[&[1, 2], &[3]]);
        let turns = [places(&[1]), places(&[2]), places(&[3])];
        for list in turns.iter().chain(&turns[..1]) {
            assert_eq!(pending.due().as_ref(), Some(list));
        }
        pending.taken_up();
        assert_eq!(pending.due(), Some(places(&[2])));
        pending.taken_up();
        assert_eq!(pending.due(), Some(places(&[3])));
        pending.taken_up();
        assert!(pending.is_empty() && pending.due().is_none());
    }

    #[test]
    fn what_nothing_holds_is_found_among_what_is_held() {
        let held = [17, 42, 43];
        let mut pending = pending(&[&(0..100).collect::<Vec<_>>()]);
        let (mut taken, mut in_vain) = (0, 0);
        while taken < 100 - held.len() {
            pending.next = clock::now();
            let list = pending.due().unwrap();
            if list.iter().any(|at| held.contains(&at.partition)) {
                pending.looked(clock::now(), true);
                in_vain += 1;
            } else {
                taken += list.len();
                pending.taken_up();
            }
        }
        assert!(in_vain <= held.len() * 8, "{in_vain} looks in vain");
        let mut left: Vec<_> = pending.lists.iter().flatten().map(|at| at.partition).collect();
        left.sort_unstable();
        assert_eq!(left, held);
    }

    #[test]
    fn partitions_of_one_number_stay_together() {
        let of = |topic: &str, number| TopicPartition::new(topic, number);
        let met = vec![of("a", 0), of("b", 1), of("b", 0), of("a", 1), of("c", 1)];
        let [first, second] = halves(met.clone(), true).try_into().unwrap();
        assert_eq!(first, [of("a", 0), of("b", 0)]);
        assert_eq!(second.len(), 3);
        assert_eq!(halves(second.clone(), true), [second]);
        assert_eq!(halves(first.clone(), true), [first]);
        // Behind a pattern none meet.
        assert_eq!(halves(met, false).iter().map(Vec::len).collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn most_of_the_time_belongs_to_the_partitions_that_go_on() {
        let mut pending = pending(&[&[1]]);
        for look in [200, 400, 800, 1000, 1000].map(Duration::from_millis) {
            assert_eq!(pending.look, look);
            pending.looked(clock::now() - look, true);
            assert!(pending.next >= clock::now() + look * 3);
            assert_eq!(pending.due(), None);
        }
        pending.looked(clock::now() - LOOK_MAX, false);
        assert!(pending.due().is_some(), "nothing is read that a look would hold up");
    }

    #[test]
    fn a_cluster_that_is_far_away_is_given_longer_however_many_partitions_wait() {
        let mut pending = pending(&[&(0..100).collect::<Vec<_>>()]);
        let mut looks = 0;
        while pending.look < LOOK_MAX {
            pending.looked(clock::now(), false);
            pending.due();
            looks += 1;
        }
        assert!(looks <= 20, "{looks} looks");
    }

    #[test]
    fn what_is_revoked_is_awaited_no_more() {
        let mut pending = pending(&[&[1, 2], &[3]]);
        assert_eq!(pending.lists.len(), 3);
        pending.forget(&places(&[2, 3]));
        assert_eq!(pending.due(), Some(places(&[1])));
        pending.forget(&places(&[1]));
        assert!(pending.is_empty());
    }
}
