//! The piece of a batch that is on its way: all of it, unless what becomes of that would take more memory than a batch
//! may.
//!
//! Always: the pieces of a batch follow each other without a hole; one is staged before the next is computed. A record
//! that takes too much alone is at fault in the operator that went beyond.

use crate::record::Records;

/// See the file's header.
#[derive(Default)]
pub(in crate::runtime) struct Piece {
    from: usize,
    to: usize,
    of: usize,
    /// Records that a piece may have: fewer, once one of more went beyond.
    most: usize,
    /// Its records, if it is not the whole batch.
    records: Records,
    /// The calls of the route that went beyond on its only record, and what their plugins did.
    beyond: Vec<(usize, String)>,
    /// Only timers fire in it: what was due before it began, or what is left of a piece whose records are staged.
    is_firing: bool,
    /// A piece before it was staged.
    is_later: bool,
    end_offset: i64,
}

impl Piece {
    /// A batch of so many records begins, as one piece.
    pub(in crate::runtime) fn begin(&mut self, records: usize) {
        (self.from, self.to, self.of, self.most) = (0, records, records, records);
        self.records.clear();
        self.beyond.clear();
        (self.is_firing, self.is_later) = (false, false);
        self.end_offset = i64::MAX;
    }

    /// Records that are in it.
    pub(in crate::runtime) fn len(&self) -> usize {
        self.to - self.from
    }

    /// It begins with so many records: one of more was too much.
    pub(in crate::runtime) fn shorten(&mut self, batch: &Records, most: usize) {
        self.most = most.max(1);
        self.to = self.of.min(self.from + self.most);
        self.fill(batch);
    }

    /// The batch begins with a piece in which only what is due behind that offset fires, before its first record.
    pub(in crate::runtime) fn fire_first(&mut self, offset: i64) {
        (self.to, self.is_firing, self.end_offset) = (0, true, offset);
    }

    /// Whether it is the whole batch.
    pub(in crate::runtime) fn is_whole(&self) -> bool {
        self.to - self.from == self.of && !self.is_firing
    }

    /// Whether the batch's first record is in it; of an empty batch, whether it is the first.
    pub(in crate::runtime) fn begins_with_the_first_record(&self) -> bool {
        self.from == 0 && !self.is_firing
    }

    /// Whether it is a record alone.
    pub(in crate::runtime) fn is_one_record(&self) -> bool {
        self.to - self.from == 1 && !self.is_firing
    }

    /// Whether there are records in it that can be told apart.
    pub(in crate::runtime) fn has_many_records(&self) -> bool {
        self.to - self.from > 1 && !self.is_firing
    }

    /// Whether a piece before it was staged.
    pub(in crate::runtime) fn is_later(&self) -> bool {
        self.is_later
    }

    /// Whether no record stands behind it.
    pub(in crate::runtime) fn is_last(&self) -> bool {
        self.to == self.of
    }

    /// The offset of its last record; of the last piece the greatest there is.
    pub(in crate::runtime) fn end_offset(&self) -> i64 {
        self.end_offset
    }

    /// It is staged, and timers are due still: they are the next piece.
    pub(in crate::runtime) fn fire(&mut self) {
        (self.is_firing, self.is_later) = (true, true);
        self.beyond.clear();
        self.records.clear();
    }

    /// Whether only timers fire in it.
    pub(in crate::runtime) fn is_firing(&self) -> bool {
        self.is_firing
    }

    /// Lends its records, if it is not the whole batch; they have to be given back.
    pub(in crate::runtime) fn lend(&mut self) -> Records {
        std::mem::take(&mut self.records)
    }

    pub(in crate::runtime) fn give_back(&mut self, records: Records) {
        self.records = records;
    }

    /// Call `call` of the route went beyond: half of the piece is tried, or, if it is one record, that call leaves
    /// it out.
    pub(in crate::runtime) fn cut(&mut self, batch: &Records, call: usize, how: String) {
        let count = self.to - self.from;
        if count > 1 {
            self.shorten(batch, count / 2);
        } else {
            self.beyond.push((call, how));
        }
    }

    /// More timers are due behind the record of that offset than fire in one call: the piece ends there, and those fire
    /// before the records behind it. It is a record of the piece, and not its last.
    pub(in crate::runtime) fn end_behind(&mut self, batch: &Records, offset: i64) {
        let count = batch.offsets[self.from..self.to].partition_point(|of| *of <= offset);
        assert!(
            0 < count && count < self.to - self.from,
            "{offset} is no cut of {}..{}",
            self.from,
            self.to
        );
        self.to = self.from + count;
        self.beyond.clear();
        self.fill(batch);
    }

    /// The piece is staged: the next one is as long as may be. `false`: there is none.
    pub(in crate::runtime) fn step(&mut self, batch: &Records) -> bool {
        (self.from, self.to) = (self.to, self.of.min(self.to + self.most));
        (self.is_firing, self.is_later) = (false, true);
        self.beyond.clear();
        self.fill(batch);
        self.from < self.of
    }

    /// What the plugin did that call `call` asks, if it went beyond.
    pub(in crate::runtime) fn went_beyond(&self, call: usize) -> Option<&str> {
        let found = self.beyond.iter().find(|(beyond, _)| *beyond == call);
        found.map(|(_, how)| how.as_str())
    }

    fn fill(&mut self, batch: &Records) {
        self.records.clear();
        self.end_offset = match self.is_last() {
            true => i64::MAX,
            false => batch.offsets[self.to - 1],
        };
        if !self.is_whole() {
            (self.from..self.to).for_each(|index| self.records.push_from(batch, index));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(records: usize) -> Records {
        let mut batch = Records::default();
        for offset in 0..records {
            batch.keys.push(None);
            batch.values.push(None);
            batch.timestamps.push(0);
            batch.offsets.push(offset as i64);
        }
        batch
    }

    fn offsets(piece: &mut Piece) -> Vec<i64> {
        let records = piece.lend();
        let offsets = records.offsets.clone();
        piece.give_back(records);
        offsets
    }

    #[test]
    fn pieces_follow_each_other_until_the_batch_is_through() {
        let (batch, mut piece) = (batch(7), Piece::default());
        piece.begin(batch.len());
        assert!(piece.is_whole() && !piece.is_later());
        let mut through = Vec::new();
        piece.cut(&batch, 0, String::new());
        assert_eq!(offsets(&mut piece), [0, 1, 2]);
        loop {
            assert!(!piece.is_whole());
            through.extend(offsets(&mut piece));
            if !piece.step(&batch) {
                break;
            }
            assert!(piece.is_later());
        }
        assert_eq!(through, batch.offsets);
    }

    #[test]
    fn a_piece_that_ends_at_timers_makes_those_behind_it_no_shorter() {
        let (batch, mut piece) = (batch(7), Piece::default());
        piece.begin(batch.len());
        piece.end_behind(&batch, 1);
        assert_eq!((offsets(&mut piece), piece.end_offset()), (vec![0, 1], 1));
        piece.fire();
        assert!(piece.step(&batch));
        assert_eq!(
            (offsets(&mut piece), piece.end_offset()),
            (vec![2, 3, 4, 5, 6], i64::MAX)
        );
        piece.cut(&batch, 0, String::new());
        piece.end_behind(&batch, 2);
        assert!(piece.step(&batch));
        assert_eq!(offsets(&mut piece), [3, 4], "what went beyond would again");
    }

    #[test]
    fn a_record_alone_is_left_out_by_the_call_that_went_beyond() {
        let (batch, mut piece) = (batch(2), Piece::default());
        piece.begin(2);
        piece.cut(&batch, 1, String::new());
        assert_eq!(offsets(&mut piece), [0]);
        assert_eq!(piece.went_beyond(1), None, "it was not alone");
        piece.cut(&batch, 1, "how".to_owned());
        assert_eq!((piece.went_beyond(1), piece.went_beyond(0)), (Some("how"), None));
        assert!(piece.step(&batch));
        assert_eq!(piece.went_beyond(1), None);
    }
}
