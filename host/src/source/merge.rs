//! In which order the records of several partitions come that are one task: by event time.
//!
//! Of the partitions that have records at hand the one whose next record is oldest goes first, as in Kafka Streams.
//! Equal times go in the order in which the sources meet, then of topics. A partition without records at hand is waited
//! for until the end of its log is reached, and `max-wait` beyond that; so a backlog is merged in the same way whenever
//! it is read. Always: what is held back was taken in, and is handed over later: nothing is fetched twice.

use std::sync::Arc;
use std::time::Instant;

use crate::clock;
use crate::config::{EventTime, TimeSettings};
use crate::error::Result;
use crate::record::Records;
use crate::source::event_time::JsonPointer;

/// How the records of a source are merged with those of others.
#[derive(Debug)]
pub(in crate::source) struct MergedSource {
    rank: usize,
    time: TimeSettings,
    pointer: Option<JsonPointer>,
}

/// What a partition has at hand: the records of `run` from `at` on.
#[derive(Debug, Clone, Copy)]
pub(in crate::source) struct AtHand<'a> {
    pub(in crate::source) source: &'a MergedSource,
    pub(in crate::source) topic: &'a Arc<str>,
    pub(in crate::source) run: &'a Records,
    pub(in crate::source) at: usize,
    /// Records that are handed over at once, at most.
    pub(in crate::source) most: usize,
}

/// The place of a record among those of other partitions: the least goes first.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Precedence {
    time: i64,
    rank: usize,
    topic: Arc<str>,
}

impl MergedSource {
    /// `rank`: which one it is among the sources that meet. Errors: an event-time pointer that is none (`Invalid`).
    pub(in crate::source) fn new(rank: usize, event_time: &EventTime, time: TimeSettings) -> Result<Self> {
        let pointer = match event_time {
            EventTime::Record => None,
            EventTime::Pointer(pointer) => Some(JsonPointer::parse(pointer)?),
        };
        Ok(Self { rank, time, pointer })
    }

    /// Sets the timestamps of the records from `from` on to their event times.
    pub(in crate::source) fn tell_times(&self, records: &mut Records, from: usize) {
        if let Some(pointer) = &self.pointer {
            pointer.apply_from(from, records, &mut Vec::new());
        }
    }

    /// Whether a partition that has nothing at hand is waited for.
    pub(in crate::source) fn is_waited_for(&self, is_at_end: bool, empty_since: Instant, now: Instant) -> bool {
        !is_at_end || now.duration_since(empty_since) < self.time.max_wait
    }

    /// A time that cannot be holds nobody up: its record goes at once.
    fn time_of(&self, timestamp: i64, clock: i64) -> i64 {
        match (0..=self.time.latest(clock)).contains(&timestamp) {
            true => timestamp,
            false => i64::MIN,
        }
    }
}

impl AtHand<'_> {
    /// That of the next record, while the clock stands at `clock`.
    fn precedence(&self, clock: i64) -> Precedence {
        Precedence {
            time: self.source.time_of(self.run.timestamps[self.at], clock),
            rank: self.source.rank,
            topic: self.topic.clone(),
        }
    }

    /// How many records go before `other`.
    fn count_before(&self, other: Option<&Precedence>, clock: i64) -> usize {
        let most = self.most.min(self.run.len() - self.at);
        let Some(other) = other else { return most };
        let is_first_of_equals = (self.source.rank, self.topic) < (other.rank, &other.topic);
        let goes = |timestamp: &&i64| {
            let time = self.source.time_of(**timestamp, clock);
            time < other.time || time == other.time && is_first_of_equals
        };
        let next = &self.run.timestamps[self.at..self.at + most];
        next.iter().take_while(goes).count()
    }
}

/// Of what partitions have at hand, each with its index: which goes next, and how many of its records.
pub(in crate::source) fn next<'a>(at_hand: impl Iterator<Item = (usize, AtHand<'a>)>) -> Option<(usize, usize)> {
    let clock = clock::wall_ms();
    let mut at_hand: Vec<_> = at_hand
        .map(|(index, rest)| (rest.precedence(clock), index, rest))
        .collect();
    at_hand.sort_by(|(one, ..), (other, ..)| one.cmp(other));
    let (_, index, rest) = at_hand.first()?;
    let other = at_hand.get(1).map(|(precedence, ..)| precedence);
    // At least that one: it goes before the other.
    Some((*index, rest.count_before(other, clock).max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn source(rank: usize, max_wait: u64, max_ahead: Option<u64>) -> MergedSource {
        let time = TimeSettings {
            max_wait: Duration::from_millis(max_wait),
            max_ahead: max_ahead.map(Duration::from_millis),
            ..TimeSettings::default()
        };
        MergedSource::new(rank, &EventTime::Record, time).unwrap()
    }

    fn run(times: &[i64]) -> Records {
        let mut run = Records::default();
        for at in times {
            run.keys.push(None);
            run.values.push(None);
            run.timestamps.push(*at);
            run.offsets.push(0);
        }
        run
    }

    #[test]
    fn the_oldest_goes_first_and_equal_times_go_as_the_sources_meet() {
        let (left, right): (Arc<str>, Arc<str>) = ("left".into(), "right".into());
        let (first, second) = (source(0, 0, None), source(1, 0, None));
        let (rows, others) = (run(&[1, 5, 7, 6, 8]), run(&[5, 9]));
        let count = |source: &MergedSource, of_other: &MergedSource, at, most| {
            let rest = |source, topic, run, at| AtHand {
                source,
                topic,
                run,
                at,
                most,
            };
            let other = rest(of_other, &right, &others, at).precedence(0);
            rest(source, &left, &rows, 0).count_before(Some(&other), 0)
        };
        assert_eq!(
            count(&first, &second, 0, 10),
            2,
            "the record of the same time of the first source too"
        );
        assert_eq!(count(&second, &first, 0, 10), 1);
        assert_eq!(count(&first, &first, 0, 10), 2, "of one source by topic");
        assert_eq!(count(&first, &second, 1, 10), 5, "the next one says, not the newest");
        assert_eq!(count(&first, &second, 1, 3), 3);
        let last = AtHand {
            source: &first,
            topic: &left,
            run: &rows,
            at: 3,
            most: 10,
        };
        assert_eq!(last.count_before(None, 0), 2);
    }

    #[test]
    fn a_time_that_cannot_be_holds_nobody_up() {
        let (topic, rows) = (Arc::from("a"), run(&[5, 2_001, i64::MAX, -1, 1_900]));
        let bounded = source(0, 0, Some(1_000));
        let place = |at, clock| {
            let of = AtHand {
                source: &bounded,
                topic: &topic,
                run: &rows,
                at,
                most: 1,
            };
            of.precedence(clock).time
        };
        assert_eq!(
            [0, 1, 2, 3, 4].map(|at| place(at, 1_000)),
            [5, i64::MIN, i64::MIN, i64::MIN, 1_900]
        );
        assert_eq!(place(1, 1_001), 2_001);
    }

    #[test]
    fn whoever_has_nothing_is_waited_for_until_its_end_and_so_long_beyond() {
        let (begun, of) = (clock::now(), source(0, 50, None));
        let after = |ms| begun + Duration::from_millis(ms);
        assert!(of.is_waited_for(false, begun, after(10_000)));
        assert!(of.is_waited_for(true, begun, after(49)));
        assert!(!of.is_waited_for(true, begun, after(50)));
        assert!(!source(0, 0, None).is_waited_for(true, begun, begun));
    }
}
