//! Which topic of a subtopology the group shares out, and whether all members of the group hold with that.
//!
//! The first topic that the file names leads, unless the members that are there follow another one: then this process
//! follows it too. So a program or a file of another version joins without a stop. Never does it depend on numbers of
//! partitions: two processes see different ones while a topic grows. Always: what members read is taken from a group
//! that stands still; on the move it tells nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::Consumer;

use super::topics::Sharing;
use crate::clock;
use crate::config::KafkaSource;
use crate::error::{Error, Kind, Result};
use crate::kafka::consumer::{Client, serve, words};

/// How long one look at the group may take: a broker that is away keeps the answer back, and the worker waits
/// meanwhile.
const LOOK: Duration = Duration::from_secs(1);
/// How long a start waits for a group on the move to stand still.
const ON_THE_MOVE: Duration = Duration::from_secs(3);
/// How much longer than its session a member that was killed may be in its group.
const AFTER_SESSION: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(100);

/// A client that looks at the group of a subtopology whose topics follow one of them.
pub(in crate::source) struct Onlooker {
    client: Arc<Client>,
    group: String,
    /// All topics of the subtopology, in the order of the file.
    topics: Vec<String>,
}

impl fmt::Debug for Onlooker {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Onlooker({})", self.group)
    }
}

/// A member of the group that reads topics of the subtopology.
#[derive(Debug, Clone, PartialEq, Eq)]
struct SeenMember {
    /// Its client id and its host, for people.
    who: String,
    /// All topics that it asked the group for.
    topics: BTreeSet<String>,
}

impl Onlooker {
    /// An onlooker, if there is something to agree on: a topic that follows another one.
    pub(super) fn of(client: &Arc<Client>, sources: &[KafkaSource], sharing: &Sharing) -> Option<Self> {
        let (source, Sharing::Led { leader, followers }) = (sources.first()?, sharing) else {
            return None;
        };
        (!followers.is_empty()).then(|| Self {
            client: client.clone(),
            group: source.group.clone(),
            topics: std::iter::once(leader).chain(followers).cloned().collect(),
        })
    }

    /// How the subtopology is shared out: what the group's members follow leads, else the first topic of the file.
    /// Members that do not agree may be dead ones, so they are waited for as long as a session lasts.
    ///
    /// Errors: `Kafka`, the members do not agree, or the leader has fewer partitions than a topic that follows it.
    pub(super) fn share(&self, sources: &[KafkaSource], counts: &[(usize, String, i32)]) -> Result<Sharing> {
        let session = sources.first().map(|source| source.session_timeout).unwrap_or_default();
        let (begun, mut told) = (clock::now(), false);
        loop {
            let seen = self.look();
            let passed = clock::now().duration_since(begun);
            let refused = match seen.as_deref().map(|seen| followed(&self.topics, seen)) {
                None if passed < ON_THE_MOVE => None,
                // Whether they agree shows when this member gets its partitions.
                None => return self.led_by(&self.topics[0], counts),
                Some(Ok(None)) => return self.led_by(&self.topics[0], counts),
                Some(Ok(Some(theirs))) => match self.led_by(theirs, counts) {
                    Ok(sharing) => {
                        tracing::debug!(
                            group = self.group,
                            topic = theirs,
                            "the group's members follow it, and so does this one"
                        );
                        return Ok(sharing);
                    }
                    Err(refused) => Some(refused),
                },
                Some(Err(seen)) => Some(differ("start", sources, &self.group, &self.topics[0], seen)),
            };
            if let Some(refused) = refused {
                if passed >= session + AFTER_SESSION {
                    return Err(refused);
                }
                if !std::mem::replace(&mut told, true) {
                    tracing::warn!(group = self.group, %refused, "waiting for the sessions of dead members to end");
                }
            }
            std::thread::sleep(PAUSE);
        }
    }

    fn led_by(&self, leader: &str, counts: &[(usize, String, i32)]) -> Result<Sharing> {
        let count_of = |topic: &str| {
            counts
                .iter()
                .find(|(_, of, _)| of == topic)
                .map_or(0, |(.., count)| *count)
        };
        let led = count_of(leader);
        let followers: Vec<_> = self.topics.iter().filter(|topic| *topic != leader).cloned().collect();
        if let Some(larger) = followers.iter().find(|topic| count_of(topic) > led) {
            return Err(outgrown("start", (larger.as_str(), count_of(larger)), (leader, led)));
        }
        Ok(Sharing::Led {
            leader: leader.to_owned(),
            followers,
        })
    }

    /// Whether all members that read topics of the subtopology follow `leader`; `None`: nobody can tell now.
    ///
    /// Errors: `Kafka`, one of them does not.
    pub(in crate::source) fn check(&self, sources: &[KafkaSource], leader: &str) -> Result<Option<()>> {
        let Some(seen) = self.look() else { return Ok(None) };
        match seen.iter().find(|seen| !is_only(&seen.topics, leader)) {
            None => Ok(Some(())),
            Some(other) => Err(differ("read", sources, &self.group, leader, other)),
        }
    }

    /// The members that read topics of the subtopology; `None`: the group is on the move, or nobody answers now.
    fn look(&self) -> Option<Vec<SeenMember>> {
        let listed = self.client.fetch_group_list(Some(&self.group), LOOK);
        self.forget_events();
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                tracing::debug!(
                    group = self.group,
                    error = words(&error),
                    "the group cannot be looked at"
                );
                return None;
            }
        };
        let Some(group) = listed.groups().iter().find(|group| group.name() == self.group) else {
            return Some(Vec::new());
        };
        match group.state() {
            "Empty" | "Dead" => return Some(Vec::new()),
            "Stable" => {}
            _ => return None,
        }
        let seen = group.members().iter().filter_map(|member| {
            let topics = subscription(member.metadata()?)?;
            let reads = self.topics.iter().any(|topic| topics.contains(topic));
            reads.then(|| SeenMember {
                who: format!(
                    "`{}` at {}",
                    member.client_id(),
                    member.client_host().trim_start_matches('/')
                ),
                topics,
            })
        });
        Some(seen.collect())
    }

    /// What the client tells of its connections nobody else takes from it.
    fn forget_events(&self) {
        serve(&self.client);
        while self.client.context().next_event().is_some() {}
    }
}

fn is_only(topics: &BTreeSet<String>, leader: &str) -> bool {
    topics.len() == 1 && topics.contains(leader)
}

/// The topic that all members follow; `None`: there are none. `Err`: one of them that does otherwise than the first, or
/// reads more than one.
fn followed<'a>(topics: &'a [String], seen: &'a [SeenMember]) -> Result<Option<&'a str>, &'a SeenMember> {
    let Some(first) = seen.first() else { return Ok(None) };
    let Some(leader) = topics.iter().find(|topic| is_only(&first.topics, topic)) else {
        return Err(first);
    };
    match seen.iter().find(|seen| !is_only(&seen.topics, leader)) {
        None => Ok(Some(leader.as_str())),
        Some(other) => Err(other),
    }
}

fn differ(verb: &str, sources: &[KafkaSource], group: &str, leader: &str, other: &SeenMember) -> Error {
    let names: Vec<_> = sources.iter().map(|source| source.name.as_str()).collect();
    let theirs: Vec<_> = other.topics.iter().map(String::as_str).collect();
    Error::new(
        Kind::Kafka,
        format!(
            "failed to {verb} source `{}`: the members of group `{group}` do not follow the same topic",
            names.join("`, `")
        ),
        format!(
            "this process follows `{leader}`, and member {} reads `{}`: a partition would have two readers",
            other.who,
            theirs.join("`, `")
        ),
    )
    .hint("stop all members of the group, then start them with one version of the program and of the file")
}

/// A topic has partitions that no leader's partition takes along. `verb`: what failed, "start" or "read".
pub(in crate::source) fn outgrown(verb: &str, follower: (&str, i32), leader: (&str, i32)) -> Error {
    let ((follower, count), (leader, led)) = (follower, leader);
    Error::new(
        Kind::Kafka,
        format!("failed to {verb} topic `{follower}`: it has more partitions than `{leader}`, which it follows"),
        format!(
            "{follower} has {count} partitions and {leader} has {led}; the group shares out those of {leader}, and \
             {follower}'s of the same number go with them"
        ),
    )
    .hint(format!(
        "give {leader} {count} partitions; or stop all processes, name {follower} before {leader} in the file, and \
         start them"
    ))
}

/// The topics of a subscription as it stands in Kafka's consumer protocol, which begins alike in all of its versions;
/// `None`: it is no such thing.
fn subscription(bytes: &[u8]) -> Option<BTreeSet<String>> {
    let mut rest = bytes;
    let _version: [u8; 2] = take(&mut rest)?;
    let count = i32::from_be_bytes(take(&mut rest)?);
    let mut topics = BTreeSet::new();
    for _ in 0..count {
        let length = usize::try_from(i16::from_be_bytes(take(&mut rest)?)).ok()?;
        let (name, behind) = rest.split_at_checked(length)?;
        topics.insert(std::str::from_utf8(name).ok()?.to_owned());
        rest = behind;
    }
    Some(topics)
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(who: &str, topics: &[&str]) -> SeenMember {
        SeenMember {
            who: who.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
        }
    }

    #[test]
    fn what_all_members_follow_leads_and_one_that_does_otherwise_is_named() {
        let topics = ["a".to_owned(), "b".to_owned()];
        assert_eq!(followed(&topics, &[]), Ok(None));
        let alike = [seen("one", &["b"]), seen("two", &["b"])];
        assert_eq!(followed(&topics, &alike), Ok(Some("b")));
        let apart = [seen("one", &["b"]), seen("two", &["a"])];
        assert_eq!(followed(&topics, &apart), Err(&apart[1]));
        for both in [seen("one", &["a", "b"]), seen("one", &["a", "x"])] {
            assert_eq!(followed(&topics, std::slice::from_ref(&both)), Err(&both));
        }
    }

    #[test]
    fn a_subscription_is_read_and_no_bytes_make_it_panic() {
        let bytes = b"\0\x03\0\0\0\x02\0\x01a\0\x03b-c\xff\xff\xff\xff";
        assert_eq!(subscription(bytes), Some(["a".to_owned(), "b-c".to_owned()].into()));
        for length in 0..14 {
            assert_eq!(subscription(&bytes[..length]), None, "{length} bytes");
        }
        for lie in [
            &b"\0\0\x7f\xff\xff\xff"[..],
            b"\0\0\0\0\0\x01\xff\xff",
            b"\0\0\0\0\0\x01\x7f\xffa",
            b"\0\0\0\0\0\x01\0\x01\xff",
        ] {
            assert_eq!(subscription(lie), None);
        }
        assert_eq!(subscription(b"\0\0\xff\xff\xff\xff"), Some(BTreeSet::new()));
    }

    #[test]
    fn a_follower_that_is_larger_than_its_leader_is_told_with_both_numbers() {
        let error = outgrown("start", ("b", 6), ("a", 4));
        assert_eq!(error.kind, Kind::Kafka);
        assert!(error.why.contains("b has 6 partitions and a has 4"), "{error}");
    }
}
