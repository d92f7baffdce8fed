//! Where a partition starts and stops, as numbers: pure functions of the settings and of what was read from Kafka.

use std::fmt;

use super::metadata;
use crate::config::{KafkaSource, Otherwise, OutOfRange, Start, Stop};
use crate::record::TopicPartition;

/// Why a partition starts where it starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
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

impl fmt::Display for Origin {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Committed => out.write_str("committed"),
            Origin::GroupOffset => out.write_str("group offset"),
            Origin::Earliest => out.write_str("earliest"),
            Origin::Latest => out.write_str("latest"),
            Origin::Timestamp(at) => write!(out, "timestamp {at}"),
            Origin::Given => out.write_str("given"),
            Origin::Otherwise(Otherwise::Latest) => out.write_str("otherwise latest"),
            Origin::Otherwise(_) => out.write_str("otherwise earliest"),
            Origin::FoundLater => out.write_str("found later"),
            Origin::OutOfRange(OutOfRange::Latest) => out.write_str("out of range, latest"),
            Origin::OutOfRange(_) => out.write_str("out of range, earliest"),
        }
    }
}

/// An offset of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Committed {
    pub(super) offset: i64,
    pub(super) metadata: String,
}

impl Committed {
    pub(super) fn is_ours(&self) -> bool {
        metadata::is_ours(&self.metadata)
    }
}

/// What Kafka said about a partition. `end` was read before the look-ups by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// First offset of the log.
    pub(super) begin: i64,
    /// Last stable offset.
    pub(super) end: i64,
    /// End of the log, behind transactions that are still open; at least `end`.
    pub(super) high: i64,
    /// The group's offset.
    pub(super) committed: Option<Committed>,
    /// First offset of the start's time or later.
    pub(super) at_start_time: Option<i64>,
    /// First offset of the stop's time or later.
    pub(super) at_stop_time: Option<i64>,
}

impl Facts {
    /// This pipeline's position, where it has one.
    pub(super) fn own(&self) -> Option<&Committed> {
        self.committed.as_ref().filter(|committed| committed.is_ours())
    }
}

/// Why there is no number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unresolved {
    /// Nothing says where to start, and `otherwise = "fail"`.
    NoStart,
    /// The log does not hold this offset, and `on-out-of-range = "fail"`.
    OutOfRange(i64),
    /// `stop = "group-offsets"`, and the group has none.
    NoStop,
}

/// Where a partition starts: this pipeline's position, then `start`, then `otherwise`; always inside of the log.
pub(super) fn start(source: &KafkaSource, at: &TopicPartition, facts: &Facts) -> Result<(i64, Origin), Unresolved> {
    let (offset, origin) = match facts.own() {
        Some(own) => (own.offset, Origin::Committed),
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

fn by_setting(source: &KafkaSource, at: &TopicPartition, facts: &Facts) -> Result<(i64, Origin), Unresolved> {
    let of_group = || {
        facts
            .committed
            .as_ref()
            .map(|committed| (committed.offset, Origin::GroupOffset))
    };
    let found = match &source.start {
        Start::Earliest => Some((facts.begin, Origin::Earliest)),
        Start::Latest => Some((facts.end, Origin::Latest)),
        Start::Timestamp(time) => Some((facts.at_start_time.unwrap_or(facts.end), Origin::Timestamp(*time))),
        Start::GroupOffsets => of_group(),
        Start::Offsets(offsets) => listed(offsets, at)
            .map(|offset| (offset, Origin::Given))
            .or_else(of_group),
    };
    match (found, source.otherwise) {
        (Some(place), _) => Ok(place),
        (None, Otherwise::Earliest) => Ok((facts.begin, Origin::Otherwise(Otherwise::Earliest))),
        (None, Otherwise::Latest) => Ok((facts.end, Origin::Otherwise(Otherwise::Latest))),
        (None, Otherwise::Fail) => Err(Unresolved::NoStart),
    }
}

/// Where to go on when the log does not hold a position; `None`: nowhere.
pub(super) fn out_of_range(policy: OutOfRange, facts: &Facts) -> Option<(i64, Origin)> {
    match policy {
        OutOfRange::Fail => None,
        OutOfRange::Earliest => Some((facts.begin, Origin::OutOfRange(policy))),
        OutOfRange::Latest => Some((facts.end, Origin::OutOfRange(policy))),
    }
}

/// Where a partition stops; `None`: never.
pub(super) fn stop(stop: &Stop, at: &TopicPartition, facts: &Facts) -> Result<Option<i64>, Unresolved> {
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
pub(super) fn kept_stops<'a>(setting: u32, committed: impl Iterator<Item = Option<&'a Committed>>) -> Vec<Option<i64>> {
    let mut is_over = true;
    let kept = committed
        .map(|own| {
            let own = own?;
            let kept = metadata::kept_stop(&own.metadata).filter(|kept| kept.setting == setting)?;
            is_over &= own.offset >= kept.at;
            Some(kept.at)
        })
        .collect::<Vec<_>>();
    if is_over { vec![None; kept.len()] } else { kept }
}

fn listed(offsets: &crate::config::Offsets, at: &TopicPartition) -> Option<i64> {
    offsets.get(&*at.topic)?.get(&at.partition).copied()
}
