//! Where a partition starts and stops, as numbers: pure functions of the settings and of what was read from Kafka.

use std::fmt;

use crate::config::{KafkaSource, Otherwise, OutOfRange, Start, Stop};
use crate::kafka::lookup::CommittedOffset;
use crate::offset_metadata::KeptStop;
use crate::record::TopicPartition;

/// Why a partition starts where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOrigin {
    /// This pipeline committed it.
    Committed,
    /// Somebody else committed it to the group.
    GroupOffset,
    /// `start = "earliest"`.
    Earliest,
    /// `start = "latest"`.
    Latest,
    /// `start = { timestamp }`, in milliseconds since 1970.
    Timestamp(i64),
    /// `start = { offsets }`.
    Given,
    /// Nothing said where, so `otherwise` did.
    Otherwise(Otherwise),
    /// The partition did not exist when the run was planned: it starts at its beginning.
    FoundLater,
    /// The log did not hold the position, so `on-out-of-range` said where.
    OutOfRange(OutOfRange),
}

impl fmt::Display for StartOrigin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StartOrigin::Committed => out.write_str("committed"),
            StartOrigin::GroupOffset => out.write_str("group offset"),
            StartOrigin::Earliest => out.write_str("earliest"),
            StartOrigin::Latest => out.write_str("latest"),
            StartOrigin::Timestamp(at) => write!(out, "timestamp {at}"),
            StartOrigin::Given => out.write_str("given"),
            StartOrigin::Otherwise(Otherwise::Latest) => out.write_str("otherwise latest"),
            StartOrigin::Otherwise(_) => out.write_str("otherwise earliest"),
            StartOrigin::FoundLater => out.write_str("found later"),
            StartOrigin::OutOfRange(OutOfRange::Latest) => out.write_str("out of range, latest"),
            StartOrigin::OutOfRange(_) => out.write_str("out of range, earliest"),
        }
    }
}

/// What Kafka said about a partition. `end` was read before the look-ups by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::source) struct Facts {
    /// First offset of the log.
    pub(in crate::source) begin: i64,
    /// Last stable offset.
    pub(in crate::source) end: i64,
    /// End of the log, behind transactions that are still open; at least `end`.
    pub(in crate::source) high: i64,
    /// The group's offset.
    pub(in crate::source) committed: Option<CommittedOffset>,
    /// What this pipeline's newest checkpoint holds, if that is the truth; the group's offset is then never ours.
    pub(in crate::source) kept: Option<CommittedOffset>,
    /// First offset of the start's time or later.
    pub(in crate::source) at_start_time: Option<i64>,
    /// First offset of the stop's time or later.
    pub(in crate::source) at_stop_time: Option<i64>,
}

impl Facts {
    /// This pipeline's position, if it has one.
    pub(in crate::source) fn own(&self) -> Option<&CommittedOffset> {
        let of_group = self.committed.as_ref().filter(|committed| committed.is_ours());
        self.kept.as_ref().or(of_group)
    }

    /// What the group holds when a start by the settings goes elsewhere: an offset of somebody else, which only
    /// `group-offsets` uses.
    pub(in crate::source) fn passed_over(&self, from: i64, origin: StartOrigin) -> Option<i64> {
        let by_setting = !matches!(
            origin,
            StartOrigin::Committed | StartOrigin::GroupOffset | StartOrigin::OutOfRange(_)
        );
        let foreign = self.committed.as_ref().filter(|committed| !committed.is_ours())?;
        (by_setting && foreign.offset != from).then_some(foreign.offset)
    }
}

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::source) enum Unresolved {
    /// Nothing says where to start, and `otherwise = "fail"`.
    NoStart,
    /// The log does not hold this offset, and `on-out-of-range = "fail"`.
    OutOfRange(i64),
    /// `stop = "group-offsets"`, and the group has none.
    NoStop,
}

/// Where a partition starts: this pipeline's position, then `start`, then `otherwise`; always inside of the log.
pub(in crate::source) fn start(
    source: &KafkaSource,
    at: &TopicPartition,
    facts: &Facts,
) -> Result<(i64, StartOrigin), Unresolved> {
    let (offset, origin) = match facts.own() {
        Some(own) => (own.offset, StartOrigin::Committed),
        None => by_setting(source, at, facts)?,
    };
    if (facts.begin..=facts.high).contains(&offset) {
        return Ok((offset, origin));
    }
    match out_of_range(source.on_out_of_range, facts) {
        Some(place) => Ok(place),
        None => Err(Unresolved::OutOfRange(offset)),
    }
}

/// The same, if other partitions of the source have positions of this pipeline: one without was found later and
/// starts at its beginning, as it would have in the run before. An offset that the settings or the group name for it
/// still counts.
pub(in crate::source) fn restart(
    source: &KafkaSource,
    at: &TopicPartition,
    facts: &Facts,
) -> Result<(i64, StartOrigin), Unresolved> {
    match start(source, at, facts) {
        Ok((
            _,
            StartOrigin::Earliest | StartOrigin::Latest | StartOrigin::Timestamp(_) | StartOrigin::Otherwise(_),
        ))
        | Err(Unresolved::NoStart) => Ok((facts.begin, StartOrigin::FoundLater)),
        named => named,
    }
}

fn by_setting(source: &KafkaSource, at: &TopicPartition, facts: &Facts) -> Result<(i64, StartOrigin), Unresolved> {
    let of_group = || {
        facts
            .committed
            .as_ref()
            .map(|committed| (committed.offset, StartOrigin::GroupOffset))
    };
    let found = match &source.start {
        Start::Earliest => Some((facts.begin, StartOrigin::Earliest)),
        Start::Latest => Some((facts.end, StartOrigin::Latest)),
        Start::Timestamp(time) => Some((facts.at_start_time.unwrap_or(facts.end), StartOrigin::Timestamp(*time))),
        Start::GroupOffsets => of_group(),
        Start::Offsets(offsets) => listed(offsets, at)
            .map(|offset| (offset, StartOrigin::Given))
            .or_else(of_group),
    };
    match (found, source.otherwise) {
        (Some(place), _) => Ok(place),
        (None, Otherwise::Earliest) => Ok((facts.begin, StartOrigin::Otherwise(Otherwise::Earliest))),
        (None, Otherwise::Latest) => Ok((facts.end, StartOrigin::Otherwise(Otherwise::Latest))),
        (None, Otherwise::Fail) => Err(Unresolved::NoStart),
    }
}

/// Where to go on when the log does not hold a position; `None`: nowhere.
pub(in crate::source) fn out_of_range(policy: OutOfRange, facts: &Facts) -> Option<(i64, StartOrigin)> {
    match policy {
        OutOfRange::Fail => None,
        OutOfRange::Earliest => Some((facts.begin, StartOrigin::OutOfRange(policy))),
        OutOfRange::Latest => Some((facts.end, StartOrigin::OutOfRange(policy))),
    }
}

/// Where a partition stops; `None`: never.
pub(in crate::source) fn stop(stop: &Stop, at: &TopicPartition, facts: &Facts) -> Result<Option<i64>, Unresolved> {
    match stop {
        Stop::GroupOffsets => match &facts.committed {
            Some(committed) => Ok(Some(committed.offset)),
            None => Err(Unresolved::NoStop),
        },
        Stop::Latest => Ok(Some(facts.end)),
        Stop::Timestamp(_) => Ok(Some(facts.at_stop_time.unwrap_or(facts.end))),
        Stop::Offsets(offsets) => Ok(listed(offsets, at)),
    }
}

/// The stops that an unfinished earlier run resolved from the same setting, one a partition.
///
/// A run whose every kept stop is reached has ended: a start after it is a new run, and resolves its stops anew.
pub(in crate::source) fn kept_stops<'a>(
    setting: u32,
    committed: impl Iterator<Item = Option<&'a CommittedOffset>>,
) -> Vec<Option<i64>> {
    let mut is_over = true;
    let kept = committed
        .map(|own| {
            let own = own?;
            let kept = KeptStop::read(&own.metadata).filter(|kept| kept.setting == setting)?;
            is_over &= own.offset >= kept.at;
            Some(kept.at)
        })
        .collect::<Vec<_>>();
    if is_over { vec![None; kept.len()] } else { kept }
}

fn listed(offsets: &crate::config::Offsets, at: &TopicPartition) -> Option<i64> {
    offsets.get(&*at.topic)?.get(&at.partition).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Cluster, CommitOffsets, EventTime, Subscription, TimeSettings};
    use crate::kafka::lookup::CommittedOffset;
    use crate::offset_metadata::Pointer;
    use std::time::Duration;

    fn source(start: Start, otherwise: Otherwise, on_out_of_range: OutOfRange) -> KafkaSource {
        KafkaSource {
            name: "views".to_owned(),
            cluster: Cluster {
                brokers: String::new(),
                properties: [].into(),
                login: Default::default(),
            },
            subscription: Subscription::Topics(vec!["views".to_owned()]),
            group: "g".to_owned(),
            start,
            otherwise,
            stop: None,
            on_out_of_range,
            truth: crate::config::Truth::Group,
            commit_offsets: CommitOffsets::Periodic,
            auto_commit_interval: Duration::from_secs(5),
            session_timeout: Duration::from_secs(10),
            max_batch: 1000,
            discovery_interval: Duration::from_secs(300),
            event_time: EventTime::Record,
            time: TimeSettings::default(),
        }
    }

    /// A log of 100..200, of which 190..200 belong to an open transaction.
    fn facts(committed: Option<(i64, &str)>) -> Facts {
        Facts {
            kept: None,
            begin: 100,
            end: 190,
            high: 200,
            committed: committed.map(|(offset, metadata)| CommittedOffset {
                offset,
                leader_epoch: None,
                metadata: metadata.to_owned(),
            }),
            at_start_time: None,
            at_stop_time: None,
        }
    }

    fn at() -> TopicPartition {
        TopicPartition::new("views", 3)
    }

    fn given(partition: i32, offset: i64) -> crate::config::Offsets {
        [("views".to_owned(), [(partition, offset)].into())].into()
    }

    fn all_starts() -> Vec<Start> {
        vec![
            Start::GroupOffsets,
            Start::Earliest,
            Start::Latest,
            Start::Timestamp(5),
            Start::Offsets(given(3, 150)),
            Start::Offsets(given(0, 150)),
        ]
    }

    #[test]
    fn a_partition_found_between_two_runs_starts_at_its_beginning_unless_it_is_named() {
        let found = |start, otherwise, committed| {
            restart(&source(start, otherwise, OutOfRange::Fail), &at(), &facts(committed))
        };
        let later = Ok((100, StartOrigin::FoundLater));
        for start in [
            Start::Earliest,
            Start::Latest,
            Start::Timestamp(5),
            Start::Offsets(given(0, 150)),
        ] {
            assert_eq!(found(start, Otherwise::Latest, None), later);
        }
        assert_eq!(found(Start::GroupOffsets, Otherwise::Fail, None), later);
        assert_eq!(
            found(Start::Offsets(given(3, 150)), Otherwise::Latest, None),
            Ok((150, StartOrigin::Given))
        );
        assert_eq!(
            found(Start::GroupOffsets, Otherwise::Latest, Some((120, ""))),
            Ok((120, StartOrigin::GroupOffset))
        );
        assert_eq!(
            found(Start::GroupOffsets, Otherwise::Latest, Some((99, ""))),
            Err(Unresolved::OutOfRange(99))
        );
    }

    #[test]
    fn a_position_of_ours_wins_over_every_setting() {
        for begin in all_starts() {
            for otherwise in [Otherwise::Earliest, Otherwise::Latest, Otherwise::Fail] {
                let source = source(begin.clone(), otherwise, OutOfRange::Fail);
                let own = facts(Some((142, "sb1:-:views/3:0:-")));
                assert_eq!(
                    start(&source, &at(), &own),
                    Ok((142, StartOrigin::Committed)),
                    "{begin:?}"
                );
            }
        }
    }

    #[test]
    fn without_any_offset_each_setting_has_its_place() {
        for (otherwise, fallback) in [
            (
                Otherwise::Earliest,
                Ok((100, StartOrigin::Otherwise(Otherwise::Earliest))),
            ),
            (Otherwise::Latest, Ok((190, StartOrigin::Otherwise(Otherwise::Latest)))),
            (Otherwise::Fail, Err(Unresolved::NoStart)),
        ] {
            let places = all_starts()
                .into_iter()
                .map(|begin| start(&source(begin, otherwise, OutOfRange::Fail), &at(), &facts(None)));
            let expected = [
                fallback,
                Ok((100, StartOrigin::Earliest)),
                Ok((190, StartOrigin::Latest)),
                Ok((190, StartOrigin::Timestamp(5))),
                Ok((150, StartOrigin::Given)),
                fallback,
            ];
            assert_eq!(places.collect::<Vec<_>>(), expected);
        }
    }

    #[test]
    fn the_offset_of_somebody_else_counts_for_group_offsets_and_unlisted_partitions_only() {
        let foreign = facts(Some((160, "theirs")));
        let places = all_starts()
            .into_iter()
            .map(|begin| start(&source(begin, Otherwise::Fail, OutOfRange::Fail), &at(), &foreign).unwrap());
        let expected = [
            (160, StartOrigin::GroupOffset),
            (100, StartOrigin::Earliest),
            (190, StartOrigin::Latest),
            (190, StartOrigin::Timestamp(5)),
            (150, StartOrigin::Given),
            (160, StartOrigin::GroupOffset),
        ];
        assert_eq!(places.collect::<Vec<_>>(), expected);
    }

    #[test]
    fn an_offset_of_somebody_else_is_passed_over_by_a_fixed_start_and_by_nothing_else() {
        let foreign = facts(Some((160, "theirs")));
        let passed = |facts: &Facts| {
            let mut passed = Vec::new();
            for begin in all_starts() {
                let (from, origin) = start(&source(begin, Otherwise::Fail, OutOfRange::Fail), &at(), facts).unwrap();
                passed.push(facts.passed_over(from, origin));
            }
            passed
        };
        let some = Some(160);
        assert_eq!(passed(&foreign), [None, some, some, some, some, None]);
        assert_eq!(passed(&facts(Some((160, "sb1:-:views/3:0:-")))), [None; 6]);
        // The same place is no other one.
        assert_eq!(foreign.passed_over(160, StartOrigin::Latest), None);
        assert_eq!(foreign.passed_over(100, StartOrigin::FoundLater), some);
    }

    #[test]
    fn a_time_that_was_found_is_the_start() {
        let found = Facts {
            at_start_time: Some(123),
            ..facts(None)
        };
        let source = source(Start::Timestamp(5), Otherwise::Fail, OutOfRange::Fail);
        assert_eq!(start(&source, &at(), &found), Ok((123, StartOrigin::Timestamp(5))));
    }

    #[test]
    fn a_position_that_the_log_does_not_hold_follows_the_policy_whoever_gave_it() {
        for offset in [0, 99, 201, i64::MAX] {
            for (begin, committed) in [
                (Start::Offsets(given(3, offset)), None),
                (Start::GroupOffsets, Some((offset, "theirs"))),
                (Start::Earliest, Some((offset, "sb1:-:views/3:0:-"))),
            ] {
                let place = |policy| {
                    start(
                        &source(begin.clone(), Otherwise::Fail, policy),
                        &at(),
                        &facts(committed),
                    )
                };
                assert_eq!(place(OutOfRange::Fail), Err(Unresolved::OutOfRange(offset)));
                assert_eq!(
                    place(OutOfRange::Earliest),
                    Ok((100, StartOrigin::OutOfRange(OutOfRange::Earliest)))
                );
                assert_eq!(
                    place(OutOfRange::Latest),
                    Ok((190, StartOrigin::OutOfRange(OutOfRange::Latest)))
                );
            }
        }
    }

    #[test]
    fn both_ends_of_the_log_and_an_open_transaction_are_in_range() {
        for offset in [100, 190, 195, 200] {
            let source = source(Start::Offsets(given(3, offset)), Otherwise::Fail, OutOfRange::Fail);
            assert_eq!(start(&source, &at(), &facts(None)), Ok((offset, StartOrigin::Given)));
        }
    }

    #[test]
    fn each_stop_has_its_number_or_its_error() {
        let found = Facts {
            at_stop_time: Some(170),
            ..facts(Some((160, "theirs")))
        };
        assert_eq!(stop(&Stop::GroupOffsets, &at(), &found), Ok(Some(160)));
        assert_eq!(stop(&Stop::GroupOffsets, &at(), &facts(None)), Err(Unresolved::NoStop));
        assert_eq!(stop(&Stop::Latest, &at(), &found), Ok(Some(190)));
        assert_eq!(stop(&Stop::Timestamp(5), &at(), &found), Ok(Some(170)));
        assert_eq!(stop(&Stop::Timestamp(5), &at(), &facts(None)), Ok(Some(190)));
        assert_eq!(stop(&Stop::Offsets(given(3, 9000)), &at(), &found), Ok(Some(9000)));
        assert_eq!(stop(&Stop::Offsets(given(0, 9000)), &at(), &found), Ok(None));
    }

    fn own(offset: i64, stop: Option<(i64, u32)>) -> CommittedOffset {
        let stop = stop.map(|(at, setting)| KeptStop { at, setting });
        CommittedOffset {
            offset,
            leader_epoch: None,
            metadata: Pointer::first("views/3").with_stop(stop),
        }
    }

    fn kept(of: &[Option<CommittedOffset>]) -> Vec<Option<i64>> {
        kept_stops(7, of.iter().map(Option::as_ref))
    }

    #[test]
    fn stops_are_kept_until_the_run_that_resolved_them_is_over() {
        let unfinished = [
            Some(own(10, Some((10, 7)))),
            Some(own(5, Some((20, 7)))),
            None,
            Some(own(3, None)),
        ];
        assert_eq!(kept(&unfinished), [Some(10), Some(20), None, None]);
        let over = [Some(own(10, Some((10, 7)))), Some(own(20, Some((20, 7)))), None];
        assert_eq!(kept(&over), [None, None, None]);
        let other_setting = [Some(own(5, Some((10, 8))))];
        assert_eq!(kept(&other_setting), [None]);
        assert_eq!(kept(&[]), []);
    }
}
