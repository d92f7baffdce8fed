//! Which output is which: a number goes with each record into librdkafka, and comes back with its report.
//!
//! Always: a number that is not [`UNKNOWN`] says of which record of which source partition it is an output, and of
//! which sink.

use std::collections::HashMap;

use crate::record::TopicPartition;

/// From its lowest bit on a tag has a few bits that follow from the record's time, then the offset, then the place.
const TIME_BITS: u32 = 6;
const OFFSET_BITS: u32 = 44;
const PLACE_BITS: u32 = 64 - OFFSET_BITS - TIME_BITS;
/// The tag of a record that no tag can name: an offset beyond 2^44, or more places than there are numbers for.
const UNKNOWN: u64 = u64::MAX;

// A tag travels as a pointer.
const _: () = assert!(usize::BITS == 64);

/// The places that outputs come from and go to, by number.
#[derive(Debug, Default)]
pub(super) struct Origins {
    /// Sink and source partition.
    places: Vec<(usize, TopicPartition)>,
    /// The numbers, for each sink.
    numbers: Vec<HashMap<TopicPartition, u16>>,
}

/// The number of a place; `None`: there are too many.
pub(super) type PlaceNumber = Option<u16>;

impl Origins {
    /// The number of what a sink takes from a source partition.
    pub(super) fn place(&mut self, sink: usize, from: &TopicPartition) -> PlaceNumber {
        const NUMBERS: usize = (1 << PLACE_BITS) - 1;
        if self.numbers.len() <= sink {
            self.numbers.resize_with(sink + 1, HashMap::new);
        }
        if let Some(number) = self.numbers[sink].get(from) {
            return Some(*number);
        }
        if self.places.len() >= NUMBERS {
            return None;
        }
        let number = self.places.len() as u16;
        self.places.push((sink, from.clone()));
        self.numbers[sink].insert(from.clone(), number);
        Some(number)
    }

    /// Sink, source partition and offset behind a tag.
    pub(super) fn find(&self, tag: u64) -> Option<(usize, TopicPartition, i64)> {
        let (sink, partition) = self.places.get((tag >> (OFFSET_BITS + TIME_BITS)) as usize)?;
        let offset = (tag >> TIME_BITS) & ((1 << OFFSET_BITS) - 1);
        Some((*sink, partition.clone(), offset as i64))
    }
}

/// The tag of an output of the record at `offset`, with this time.
pub(super) fn tag(place: PlaceNumber, offset: i64, timestamp: i64) -> u64 {
    match (place, u64::try_from(offset)) {
        (Some(place), Ok(offset)) if offset >> OFFSET_BITS == 0 => {
            u64::from(place) << (OFFSET_BITS + TIME_BITS) | offset << TIME_BITS | u64::from(time_of(timestamp))
        }
        _ => UNKNOWN,
    }
}

/// A few bits that tell most times apart.
pub(super) fn time_of(timestamp: i64) -> u8 {
    ((timestamp as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15) >> (64 - TIME_BITS)) as u8
}

/// Those bits of a tag.
pub(super) fn time_in(tag: u64) -> u8 {
    (tag & ((1 << TIME_BITS) - 1)) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_leads_back_to_where_an_output_came_from_or_nowhere() {
        const LAST: i64 = (1 << OFFSET_BITS) - 1;
        let mut origins = Origins::default();
        let views = TopicPartition::new("views", 3);
        let places = [
            origins.place(0, &views),
            origins.place(2, &views),
            origins.place(0, &views),
        ];
        assert_eq!(places, [Some(0), Some(1), Some(0)]);
        for time in [0, 1, -1, 1_700_000_000_000, i64::MAX] {
            let (one, other) = (tag(places[1], 4711, time), tag(places[0], LAST, time));
            assert_eq!(origins.find(one), Some((2, views.clone(), 4711)));
            assert_eq!(origins.find(other), Some((0, views.clone(), LAST)));
            assert_eq!((time_in(one), time_in(other)), (time_of(time), time_of(time)));
        }
        assert_ne!(time_of(1_700_000_000_000), time_of(1_700_000_000_001));
        for unknown in [
            tag(places[0], LAST + 1, 0),
            tag(places[0], -1, 0),
            tag(None, 7, 0),
            tag(Some(2), 7, 0),
        ] {
            assert_eq!(origins.find(unknown), None);
        }
        for partition in 0..20_000 {
            origins.place(1, &TopicPartition::new("many", partition));
        }
        assert_eq!(origins.place(1, &TopicPartition::new("many", 20_001)), None);
        assert_eq!(origins.find(UNKNOWN), None);
    }
}
