//! Static members: a restart that nobody notices.

use crate::client::{fresh, topic};
use crate::groups::{member, partitions, until_shared};
use std::sync::atomic::Ordering;
use std::time::Duration;

pub(crate) fn a_static_member_comes_back_without_a_rebalance(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 4));
    let named = |instance| [("group.instance.id", instance), ("session.timeout.ms", "120000")];
    let (first, rebalances) = member(bootstrap, &group, &topic, &named("one"));
    let (second, _) = member(bootstrap, &group, &topic, &named("two"));
    until_shared(&[&first, &second], &[2, 2]);
    let (own, before) = (partitions(&second), rebalances.0.load(Ordering::Relaxed));

    drop(second);
    let (again, _) = member(bootstrap, &group, &topic, &named("two"));
    until_shared(&[&first, &again], &[2, 2]);
    assert_eq!(partitions(&again), own, "it has what it had");
    for _ in 0..50 {
        let _ = first.poll(Duration::from_millis(20));
    }
    assert_eq!(rebalances.0.load(Ordering::Relaxed), before, "the other member saw no rebalance");
}
