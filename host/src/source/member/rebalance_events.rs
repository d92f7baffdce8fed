//! What the group asked of a member and was not answered yet, in the order in which it has to be answered.
//!
//! Always: no revocation waits behind an assignment. An assignment may wait for offsets, and librdkafka, which counts
//! any answer as the one that it waits for, would join again meanwhile: then a membership that is valid again would
//! commit partitions that were lost before it.

use crate::record::TopicPartition;
use std::collections::VecDeque;

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::source) enum RebalanceEvent {
    Assign(Vec<TopicPartition>),
    Revoke {
        partitions: Vec<TopicPartition>,
        is_lost: bool,
    },
}

/// See the file's header.
#[derive(Debug, Default)]
pub(in crate::source) struct RebalanceEvents(VecDeque<RebalanceEvent>);

impl RebalanceEvents {
    /// Takes one in. What is revoked before it was assigned will not be assigned, and nothing of what is lost with the
    /// membership.
    pub(in crate::source) fn push(&mut self, rebalance_event: RebalanceEvent) {
        let RebalanceEvent::Revoke { partitions, is_lost } = &rebalance_event else {
            return self.0.push_back(rebalance_event);
        };
        if *is_lost {
            self.0.retain(|earlier| !matches!(earlier, RebalanceEvent::Assign(_)));
        }
        for earlier in &mut self.0 {
            if let RebalanceEvent::Assign(waiting) = earlier {
                waiting.retain(|at| !partitions.contains(at));
            }
        }
        let assignments = self
            .0
            .iter()
            .position(|earlier| matches!(earlier, RebalanceEvent::Assign(_)));
        self.0.insert(assignments.unwrap_or(self.0.len()), rebalance_event);
    }

    /// The one to be answered next.
    pub(in crate::source) fn next(&self) -> Option<&RebalanceEvent> {
        self.0.front()
    }

    /// The next one is answered.
    pub(in crate::source) fn answered(&mut self) -> Option<RebalanceEvent> {
        self.0.pop_front()
    }

    /// Whether all are answered.
    pub(in crate::source) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a membership was lost, and the partitions are not given up yet.
    pub(in crate::source) fn has_loss(&self) -> bool {
        self.revocations().any(|is_lost| is_lost)
    }

    /// Each revocation, and whether its partitions are lost.
    pub(in crate::source) fn revocations(&self) -> impl Iterator<Item = bool> {
        self.0.iter().filter_map(|rebalance_event| match rebalance_event {
            RebalanceEvent::Revoke { is_lost, .. } => Some(*is_lost),
            RebalanceEvent::Assign(_) => None,
        })
    }

    /// The revocations were answered before they were seen.
    pub(in crate::source) fn count_as_lost(&mut self) {
        for rebalance_event in &mut self.0 {
            if let RebalanceEvent::Revoke { is_lost, .. } = rebalance_event {
                *is_lost = true;
            }
        }
    }

    /// Forgets all: the member is another one.
    pub(in crate::source) fn clear(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(numbers: &[i32]) -> Vec<TopicPartition> {
        numbers.iter().map(|number| TopicPartition::new("t", *number)).collect()
    }

    fn revoke(numbers: &[i32], is_lost: bool) -> RebalanceEvent {
        RebalanceEvent::Revoke {
            partitions: places(numbers),
            is_lost,
        }
    }

    fn in_order(pushed: Vec<RebalanceEvent>) -> Vec<RebalanceEvent> {
        let mut rebalance_events = RebalanceEvents::default();
        pushed
            .into_iter()
            .for_each(|rebalance_event| rebalance_events.push(rebalance_event));
        std::iter::from_fn(|| rebalance_events.answered()).collect()
    }

    #[test]
    fn what_is_lost_is_given_up_before_anything_and_nothing_of_that_membership_is_assigned() {
        let pushed = vec![
            RebalanceEvent::Assign(places(&[1, 2])),
            revoke(&[0, 1], true),
            RebalanceEvent::Assign(places(&[3])),
        ];
        assert_eq!(
            in_order(pushed),
            [revoke(&[0, 1], true), RebalanceEvent::Assign(places(&[3]))]
        );
    }

    #[test]
    fn a_revocation_does_not_wait_for_an_assignment_and_what_it_names_is_not_assigned() {
        let pushed = vec![
            revoke(&[7], false),
            RebalanceEvent::Assign(places(&[1, 2])),
            revoke(&[2], false),
        ];
        let answered = [
            revoke(&[7], false),
            revoke(&[2], false),
            RebalanceEvent::Assign(places(&[1])),
        ];
        assert_eq!(in_order(pushed), answered);
    }

    #[test]
    fn a_revocation_that_was_answered_unseen_is_a_loss() {
        let mut rebalance_events = RebalanceEvents::default();
        rebalance_events.push(revoke(&[1], false));
        rebalance_events.count_as_lost();
        assert!(rebalance_events.has_loss());
        assert_eq!(rebalance_events.answered(), Some(revoke(&[1], true)));
    }

    #[test]
    fn a_loss_is_known_until_it_is_answered() {
        let mut rebalance_events = RebalanceEvents::default();
        rebalance_events.push(revoke(&[1], false));
        assert!(!rebalance_events.has_loss());
        rebalance_events.push(revoke(&[2], true));
        assert!(rebalance_events.has_loss());
        rebalance_events.answered();
        assert!(rebalance_events.has_loss());
        rebalance_events.answered();
        assert!(!rebalance_events.has_loss() && rebalance_events.is_empty());
    }
}
