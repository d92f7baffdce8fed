//! A member that leaves is gone, whatever the group was about to do. Sessions are so long here that nobody is taken for
//! gone within a test.

use super::*;

/// Of a group whose sessions outlive the test.
fn long_lived(kafka: &str, topic: &str) -> KafkaSource {
    let mut source = source(kafka, &[topic]);
    source.stop = None;
    source.session_timeout = LIMIT * 2;
    source
}

/// Polls until the members have what they were given in one and the same generation.
fn settle(members: &mut [&mut Reader]) {
    let deadline = clock::now() + LIMIT;
    let mut batch = Batch::default();
    loop {
        for member in members.iter_mut() {
            match member.poll(Duration::from_millis(10), &mut batch).unwrap() {
                Polled::Revoking(_) => member.release(None).unwrap(),
                Polled::Batch => member.processed(),
                _ => {}
            }
        }
        let generations: Vec<_> = members.iter().map(|member| member.settled_in()).collect();
        if generations[0].is_some() && generations.iter().all(|generation| *generation == generations[0]) {
            return;
        }
        assert!(
            clock::now() < deadline,
            "the group does not come to rest: {generations:?}"
        );
    }
}

/// In which state a group is, and how many members it has.
fn state(kafka: &str, group: &str) -> (String, usize) {
    let listed = admin(kafka).inner().fetch_group_list(Some(group), LIMIT).unwrap();
    let group = listed.groups().first();
    group.map_or_else(Default::default, |group| {
        (group.state().to_owned(), group.members().len())
    })
}

fn at_rest(members: usize) -> (String, usize) {
    ("Stable".to_owned(), members)
}

/// It has no partitions, and asked to join again because another one came; the group answers when all others asked too.
#[test]
fn a_member_that_leaves_while_the_group_is_shared_out_anew_is_gone() {
    let Some(kafka) = kafka() else { return };
    let source = long_lived(&kafka, &topic(&kafka, "leave-anew", 1));
    let plan = Arc::new(plan(std::slice::from_ref(&source), &member(3), None).unwrap());
    let mut owner = Reader::join(plan.clone(), 0).unwrap();
    settle(&mut [&mut owner]);
    // The owner does not answer what it was given beside this one, so it does not ask to join again either.
    let mut idle = Reader::join(plan.clone(), 1).unwrap();
    settle(&mut [&mut idle]);
    let mut newcomer = Reader::join(plan, 2).unwrap();
    let deadline = clock::now() + LIMIT;
    while state(&kafka, &source.group).0 != "PreparingRebalance" {
        assert!(clock::now() < deadline, "the newcomer does not ask to join");
    }
    // With the next heartbeat it hears that it has to.
    std::thread::sleep(Duration::from_secs(4));
    let leaving = std::thread::Builder::new()
        .spawn(move || idle.leave(None, LIMIT).unwrap())
        .unwrap();
    let deadline = clock::now() + LIMIT;
    while !leaving.is_finished() || state(&kafka, &source.group) != at_rest(2) {
        settle(&mut [&mut owner, &mut newcomer]);
        assert!(clock::now() < deadline, "the member that left is waited for");
    }
    leaving.join().unwrap();
    for member in [owner, newcomer] {
        member.leave(None, LIMIT).unwrap();
    }
}

/// The group gives it an id, and waits for it from then on.
#[test]
fn a_member_that_leaves_while_it_joins_is_gone() {
    let Some(kafka) = kafka() else { return };
    let source = long_lived(&kafka, &topic(&kafka, "leave-joining", 1));
    let plan = Arc::new(plan(std::slice::from_ref(&source), &member(1), None).unwrap());
    for delay in 0..40 {
        let leaving = Reader::join(plan.clone(), 0).unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        leaving.leave(None, LIMIT).unwrap();
    }
    let mut last = Reader::join(plan, 0).unwrap();
    settle(&mut [&mut last]);
    assert_eq!(state(&kafka, &source.group), at_rest(1));
    last.leave(None, LIMIT).unwrap();
}
