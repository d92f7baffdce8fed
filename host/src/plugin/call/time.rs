//! How event time moves in a call: from the source's records to the rows of any call behind them.

/// How event time stands and moves in a call.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct CallTime {
    /// Where it stands before the first row, in milliseconds since 1970; the least number there is: nothing is
    /// known.
    pub watermark: i64,
    /// The offset of the source's record that moved it there: what is due before any advance is put out with it.
    pub offset: i64,
    /// How it moves, in the order of the rows.
    pub advances: Vec<Advance>,
    /// The timers of the host's clock that are due by then, in milliseconds since 1970, are fired instead of those of
    /// event time. Only in a call without rows.
    pub clock: Option<i64>,
}

/// Event time moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advance {
    /// Before this row, or after the last one if it is their number.
    pub before: u32,
    /// To here: higher than before.
    pub watermark: i64,
    /// The offset of the source's record that moved it.
    pub offset: i64,
}

/// What the cause of an output begins with if a timer put it out: the index of an advance follows.
pub(in crate::plugin) const BY_ADVANCE: u32 = 0x8000_0000;
/// The cause of what a timer put out that was due before any advance.
pub(in crate::plugin) const BEFORE_ALL: u32 = u32::MAX;

impl CallTime {
    /// The time of a call with rows that stem from source records with these ascending offsets, while the source's
    /// records move time by `moves`, whose `before` counts for nothing.
    pub fn of(rows: &[i64], watermark: i64, offset: i64, moves: &[Advance]) -> Self {
        let mut row = 0;
        let advance = |moved: &Advance| {
            // Whatever came of the record that moved time stands before it moves.
            row += rows[row..].iter().take_while(|of| **of <= moved.offset).count();
            Advance {
                before: row as u32,
                ..*moved
            }
        };
        Self {
            watermark,
            offset,
            advances: moves.iter().map(advance).collect(),
            clock: None,
        }
    }

    /// Where event time stands in the end.
    pub fn last(&self) -> i64 {
        self.advances.last().map_or(self.watermark, |last| last.watermark)
    }

    /// The time of the rows `from..to` of so many rows alone. What moves behind the last of them belongs to the rows
    /// behind, if there are any.
    pub fn part(&self, from: usize, to: usize, rows: usize) -> Self {
        let before = |row: usize| self.advances.partition_point(|advance| (advance.before as usize) < row);
        let (first, end) = (before(from), if to == rows { self.advances.len() } else { before(to) });
        let stands = first.checked_sub(1).map(|last| self.advances[last]);
        Self {
            watermark: stands.map_or(self.watermark, |last| last.watermark),
            offset: stands.map_or(self.offset, |last| last.offset),
            advances: self.advances[first..end]
                .iter()
                .map(|advance| Advance {
                    before: advance.before - from as u32,
                    ..*advance
                })
                .collect(),
            clock: self.clock,
        }
    }

    /// The time before the first row.
    pub fn before_rows(&self) -> Self {
        let end = self.advances.partition_point(|advance| advance.before == 0);
        Self {
            advances: self.advances[..end].to_vec(),
            ..self.clone()
        }
    }

    /// The same once time stands at `stands`, which is not behind the first row.
    pub fn from(&self, stands: i64) -> Self {
        let passed = self.advances.partition_point(|advance| advance.watermark <= stands);
        let last = passed.checked_sub(1).map(|last| self.advances[last]);
        Self {
            watermark: stands,
            offset: last.map_or(self.offset, |last| last.offset),
            advances: self.advances[passed..].to_vec(),
            clock: self.clock,
        }
    }

    /// The same up to the advance that reaches `at`.
    pub(in crate::plugin) fn until(mut self, at: i64) -> Self {
        let end = match self.watermark >= at {
            true => 0,
            false => self.advances.partition_point(|advance| advance.watermark < at) + 1,
        };
        self.advances.truncate(end);
        self
    }

    /// What is left of it once time stands at `reached`, without any row.
    pub fn behind(&self, reached: i64) -> Self {
        let passed = self.advances.partition_point(|advance| advance.watermark <= reached);
        let stands = passed.checked_sub(1).map(|last| self.advances[last]);
        let left = self.advances[passed..].iter();
        Self {
            watermark: reached,
            offset: stands.map_or(self.offset, |last| last.offset),
            advances: left.map(|advance| Advance { before: 0, ..*advance }).collect(),
            clock: self.clock,
        }
    }

    /// The offset of the source's record that moves time to `at` or beyond, if time is not there before.
    pub(in crate::plugin) fn moved_to(&self, at: i64) -> Option<i64> {
        self.reaching(at).map(|advance| advance.offset)
    }

    /// Whether a row stands behind the moment at which event time reaches `at`.
    pub(in crate::plugin) fn has_row_behind(&self, at: i64, rows: usize) -> bool {
        let before = match self.reaching(at) {
            Some(advance) => advance.before as usize,
            None if self.watermark >= at => 0,
            None => rows,
        };
        before < rows
    }

    /// The advance that moves time to `at` or beyond, if time is not there before.
    fn reaching(&self, at: i64) -> Option<&Advance> {
        let reaches = |advance: &&Advance| self.watermark < at && advance.watermark >= at;
        self.advances.iter().find(reaches)
    }

    /// The offset of the source's record with which an output is put out that has this cause, which is no event's.
    /// `None`: there is no such cause.
    pub(in crate::plugin) fn offset_of(&self, cause: u32) -> Option<i64> {
        match cause {
            BEFORE_ALL => Some(self.offset),
            _ => {
                let advance = cause.checked_sub(BY_ADVANCE)?;
                self.advances.get(advance as usize).map(|advance| advance.offset)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moves(moves: &[(u32, i64, i64)]) -> Vec<Advance> {
        let advance = |&(before, watermark, offset): &(u32, i64, i64)| Advance {
            before,
            watermark,
            offset,
        };
        moves.iter().map(advance).collect()
    }

    /// Source records 10 to 14; rows came of 11 (two) and 13.
    fn time() -> CallTime {
        let source = moves(&[(0, 100, 10), (0, 110, 11), (0, 130, 13), (0, 140, 14)]);
        CallTime::of(&[11, 11, 13], 50, 9, &source)
    }

    #[test]
    fn time_moves_behind_what_came_of_the_record_that_moves_it() {
        assert_eq!(
            time().advances,
            moves(&[(0, 100, 10), (2, 110, 11), (3, 130, 13), (3, 140, 14)])
        );
        assert_eq!(time().last(), 140);
        assert_eq!(CallTime::of(&[], 50, 9, &[]).last(), 50);
    }

    #[test]
    fn a_part_begins_where_the_part_before_it_ends() {
        let (first, second) = (time().part(0, 2, 3), time().part(2, 3, 3));
        assert_eq!((first.watermark, first.offset), (50, 9));
        assert_eq!(first.advances, moves(&[(0, 100, 10)]));
        assert_eq!((second.watermark, second.offset), (100, 10));
        assert_eq!(second.advances, moves(&[(0, 110, 11), (1, 130, 13), (1, 140, 14)]));
        assert_eq!(time().part(0, 3, 3), time());
    }

    #[test]
    fn time_is_cut_at_the_advance_that_reaches_a_moment() {
        for (at, advances) in [(50, 0), (51, 1), (100, 1), (101, 2), (131, 4), (200, 4)] {
            assert_eq!(time().until(at).advances.len(), advances, "{at}");
        }
        let left = time().behind(110);
        assert_eq!((left.watermark, left.offset), (110, 11));
        assert_eq!(left.advances, moves(&[(0, 130, 13), (0, 140, 14)]));
        assert_eq!(time().behind(50).advances.len(), 4);
        for (at, is_behind) in [
            (50, true),
            (51, true),
            (100, true),
            (101, true),
            (110, true),
            (111, false),
        ] {
            assert_eq!(time().has_row_behind(at, 3), is_behind, "{at}");
        }
        assert!(!time().has_row_behind(200, 3));
        let moved = [50, 51, 110, 111, 141].map(|at| time().moved_to(at));
        assert_eq!(moved, [None, Some(10), Some(11), Some(13), None]);
    }

    #[test]
    fn a_cause_that_is_no_event_names_an_advance() {
        let offset = |cause| time().offset_of(cause);
        assert_eq!(
            [BEFORE_ALL, 0x8000_0000, 0x8000_0003].map(offset),
            [Some(9), Some(10), Some(14)]
        );
        assert_eq!([0, 7, 0x7fff_ffff, 0x8000_0004, 0xffff_fffe].map(offset), [None; 5]);
    }
}
