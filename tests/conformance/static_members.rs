//! Static members: a restart that nobody notices.

use crate::client::{fresh, topic, until};
use crate::groups::{member, partitions, until_shared};
use std::time::Duration;

pub(crate) fn a_static_member_comes_back_without_a_rebalance(bootstrap: &str) {
    let (group, topic) = (fresh("group"), topic(bootstrap, 4));
    let named = |instance| [("group.instance.id", instance), ("session.timeout.ms", "120000")];
    let (first, of_first) = member(bootstrap, &group, &topic, &named("one"));
    until_shared(&[&first], &[4]);
    let (second, of_second) = member(bootstrap, &group, &topic, &named("two"));
    until_shared(&[&first, &second], &[2, 2]);
    until(
        "each has seen the rebalance that gave the second one its partitions",
        || {
            let _ = first.poll(Duration::from_millis(20));
            of_first.count() == of_second.count() + 1
        },
    );
    let (own, before) = (partitions(&second), of_first.count());

    drop(second);
    let (again, _) = member(bootstrap, &group, &topic, &named("two"));
    until_shared(&[&first, &again], &[2, 2]);
    assert_eq!(partitions(&again), own, "it has what it had");
    for _ in 0..50 {
        let _ = first.poll(Duration::from_millis(20));
    }
    assert_eq!(of_first.count(), before, "the other member saw no rebalance");
}
