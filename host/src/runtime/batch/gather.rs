//! What a call's inputs have of a batch, as one: lent if there is one input, merged if there are more.
//!
//! Always: merged rows are in the order of the source's records that they came of, those of one record in the order of
//! the inputs; so they do not depend on how the records were cut into batches.

use crate::plugin::Outcome;
use crate::record::Records;
use crate::topology::{CallInput, RecordsFrom};

/// Memory that is used again.
#[derive(Default)]
pub(super) struct Gathering {
    merged: Records,
    inputs: Vec<u8>,
}

impl Gathering {
    /// The rows, and for each the index of its input.
    pub(super) fn gather<'a>(
        &'a mut self,
        inputs: &[CallInput],
        records: &'a mut Records,
        outcomes: &'a mut [Outcome],
    ) -> (&'a mut Records, &'a [u8]) {
        self.inputs.clear();
        self.merged.clear();
        if let [only] = inputs {
            let rows = match only.from {
                RecordsFrom::Source => records,
                RecordsFrom::Call { call, output } => &mut outcomes[call].outputs[output],
            };
            self.inputs.resize(rows.len(), only.input);
            return (rows, &self.inputs);
        }
        let mut sides: Vec<Side<'_>> = inputs.iter().map(|input| Side::of(*input, records, outcomes)).collect();
        while let Some(side) = sides
            .iter_mut()
            .filter(|side| side.has_row())
            .min_by_key(|side| side.came_of)
        {
            self.merged.push_from(side.rows, side.at);
            self.inputs.push(side.input);
            side.step();
        }
        (&mut self.merged, &self.inputs)
    }
}

/// One input's rows, and how far they are merged.
struct Side<'a> {
    input: u8,
    rows: &'a Records,
    at: usize,
    /// The offset of the source's record that the next row came of, as far as the rows say: what a timer puts out that
    /// a record set for an earlier moment has that moment's.
    came_of: i64,
}

impl<'a> Side<'a> {
    fn of(input: CallInput, records: &'a Records, outcomes: &'a [Outcome]) -> Self {
        let rows = match input.from {
            RecordsFrom::Source => records,
            RecordsFrom::Call { call, output } => &outcomes[call].outputs[output],
        };
        let mut side = Self {
            input: input.input,
            rows,
            at: 0,
            came_of: i64::MIN,
        };
        side.look();
        side
    }

    fn has_row(&self) -> bool {
        self.at < self.rows.len()
    }

    fn step(&mut self) {
        self.at += 1;
        self.look();
    }

    fn look(&mut self) {
        if let Some(offset) = self.rows.offsets.get(self.at) {
            self.came_of = self.came_of.max(*offset);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(offsets: &[i64], mark: u8) -> Records {
        let mut rows = Records::default();
        for offset in offsets {
            rows.keys.push(None);
            rows.values.push(Some(&[mark]));
            rows.timestamps.push(0);
            rows.offsets.push(*offset);
        }
        rows
    }

    #[test]
    fn rows_of_several_inputs_are_in_the_order_of_what_they_came_of() {
        let (mut records, mut gathering) = (rows(&[1, 2, 3, 4], b's'), Gathering::default());
        let mut outcomes = [Outcome {
            outputs: vec![rows(&[2, 2, 1, 4, 4], b'a'), rows(&[], b'b')],
            ..Outcome::default()
        }];
        let input = |input, from| CallInput { input, from };
        let call = |output| RecordsFrom::Call { call: 0, output };
        let inputs = [input(0, call(0)), input(1, RecordsFrom::Source), input(2, call(1))];
        let (merged, of) = gathering.gather(&inputs, &mut records, &mut outcomes);
        assert_eq!(merged.offsets, [1, 2, 2, 1, 2, 3, 4, 4, 4]);
        assert_eq!(of, [1, 0, 0, 0, 1, 1, 0, 0, 1]);
        let (lent, of) = gathering.gather(&inputs[..1], &mut records, &mut outcomes);
        assert_eq!((lent.len(), of), (5, &[0; 5][..]));
        assert!(gathering.gather(&[], &mut records, &mut outcomes).0.is_empty());
    }
}
