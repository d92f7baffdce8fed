//! Consumer groups of the classic protocol with the cooperative-sticky assignor.

use crate::client::{config, fresh, topic, until};
use crate::wire;
use rdkafka::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, Rebalance};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Counts a member's rebalances: each of them ends with partitions for it, or with none.
#[derive(Default, Clone)]
pub(crate) struct Rebalances(Arc<AtomicUsize>);

impl ClientContext for Rebalances {}

impl ConsumerContext for Rebalances {
    fn post_rebalance(&self, _: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        if let Rebalance::Assign(_) = rebalance {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

impl Rebalances {
    pub(crate) fn count(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A member of a group that has subscribed to a topic.
pub(crate) fn member(
    bootstrap: &str,
    group: &str,
    topic: &str,
    more: &[(&str, &str)],
) -> (BaseConsumer<Rebalances>, Rebalances) {
    let own = [
        ("group.id", group),
        ("partition.assignment.strategy", "cooperative-sticky"),
        ("enable.auto.commit", "false"),
        ("heartbeat.interval.ms", "300"),
    ];
    let rebalances = Rebalances::default();
    let config = config(bootstrap, &[&own, more].concat());
    let consumer: BaseConsumer<Rebalances> = config.create_with_context(rebalances.clone()).unwrap();
    consumer.subscribe(&[topic]).unwrap();
    (consumer, rebalances)
}

/// The partitions that a member has, in order.
pub(crate) fn partitions(member: &BaseConsumer<Rebalances>) -> Vec<i32> {
    let assignment = member.assignment().unwrap();
    let mut partitions: Vec<i32> = assignment
        .elements()
        .iter()
        .map(|element| element.partition())
        .collect();
    partitions.sort_unstable();
    partitions
}

/// Polls all members until the number of partitions of each is as given.
pub(crate) fn until_shared(members: &[&BaseConsumer<Rebalances>], counts: &[usize]) {
    until(&format!("members have {counts:?} partitions"), || {
        for member in members {
            let _ = member.poll(Duration::from_millis(20));
        }
        members
            .iter()
            .zip(counts)
            .all(|(member, count)| partitions(member).len() == *count)
    });
    let mut all: Vec<i32> = members.iter().flat_map(|member| partitions(member)).collect();
    all.sort_unstable();
    let total = counts.iter().sum::<usize>() as i32;
    assert_eq!(all, (0..total).collect::<Vec<_>>(), "each partition has one owner");
}

pub(crate) fn two_members_share_and_take_over(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 4));
    // Longer than a case may take: nothing here may need the end of a session.
    let patient = [("session.timeout.ms", "120000")];
    let (first, _) = member(bootstrap, &group, &topic, &patient);
    until_shared(&[&first], &[4]);
    let (second, _) = member(bootstrap, &group, &topic, &patient);
    until_shared(&[&first, &second], &[2, 2]);
    drop(second);
    until_shared(&[&first], &[4]);
    let (again, _) = member(bootstrap, &group, &topic, &patient);
    until_shared(&[&first, &again], &[2, 2]);
    drop(first);
    until_shared(&[&again], &[4]);
}

pub(crate) fn a_lost_member_is_replaced_after_its_session(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 2));
    let (first, _) = member(bootstrap, &group, &topic, &[("session.timeout.ms", "120000")]);
    until_shared(&[&first], &[2]);
    let poll_until = |count| {
        until(&format!("{count} partitions are left"), || {
            let _ = first.poll(Duration::from_millis(20));
            partitions(&first).len() == count
        });
    };
    // It joins and is never heard of again.
    let lost = {
        let (bootstrap, group, topic) = (bootstrap.to_owned(), group.clone(), topic.clone());
        std::thread::spawn(move || wire::join(&bootstrap, &group, &topic, 6000))
    };
    poll_until(1);
    assert_eq!(lost.join().unwrap()[4..6], [0, 0], "it was let in");
    poll_until(2);
}
