//! Quantiles within 1 %: how many numbers fall between two powers of a number a little above one (DDSketch).

use serde::{Deserialize, Serialize};

/// A little less than 1 %, since powers and logarithms are not exact.
const ERROR: f64 = 0.0099;
const BASE: f64 = (1.0 + ERROR) / (1.0 - ERROR);

/// Numbers by their size, as far as it matters.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sketch {
    zeros: u64,
    /// Of the numbers above zero: powers in ascending order, and how many numbers fall below each.
    above: Vec<(i32, u64)>,
    /// Of those below zero the same, without their sign.
    below: Vec<(i32, u64)>,
}

impl Sketch {
    pub(super) fn add(&mut self, number: f64) {
        match self.side(number) {
            None => self.zeros += 1,
            Some(side) => add(side, power(number), 1),
        }
    }

    /// Takes back a number that was added.
    pub(super) fn remove(&mut self, number: f64) {
        let Some(side) = self.side(number) else {
            self.zeros = self.zeros.saturating_sub(1);
            return;
        };
        if let Ok(at) = side.binary_search_by_key(&power(number), |(power, _)| *power) {
            side[at].1 = side[at].1.saturating_sub(1);
            if side[at].1 == 0 {
                side.remove(at);
            }
        }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.zeros += other.zeros;
        other
            .above
            .into_iter()
            .for_each(|(power, count)| add(&mut self.above, power, count));
        other
            .below
            .into_iter()
            .for_each(|(power, count)| add(&mut self.below, power, count));
    }

    /// The number at rank ⌈at · count⌉, or nearly it; `None` of none.
    pub(super) fn at(&self, at: f64) -> Option<f64> {
        let count = |side: &[(i32, u64)]| side.iter().map(|(_, count)| count).sum::<u64>();
        let all = self.zeros + count(&self.above) + count(&self.below);
        if all == 0 {
            return None;
        }
        let mut left = ((at * all as f64).ceil() as u64).clamp(1, all);
        let below = self.below.iter().rev();
        let below = below.map(|(power, count)| (-value(*power), *count));
        let above = self.above.iter().map(|(power, count)| (value(*power), *count));
        for (number, count) in below.chain([(0.0, self.zeros)]).chain(above) {
            if left <= count {
                return Some(number);
            }
            left -= count;
        }
        None
    }

    fn side(&mut self, number: f64) -> Option<&mut Vec<(i32, u64)>> {
        if number > 0.0 {
            Some(&mut self.above)
        } else if number < 0.0 {
            Some(&mut self.below)
        } else {
            None
        }
    }
}

fn add(side: &mut Vec<(i32, u64)>, power: i32, count: u64) {
    match side.binary_search_by_key(&power, |(power, _)| *power) {
        Ok(at) => side[at].1 += count,
        Err(at) => side.insert(at, (power, count)),
    }
}

/// The least power of the base that is no less than the number.
fn power(number: f64) -> i32 {
    (number.abs().ln() / BASE.ln()).ceil() as i32
}

/// The number between a power and the one before it that is no further than the error from either.
fn value(power: i32) -> f64 {
    let value = (f64::from(power) * BASE.ln()).exp() * (2.0 / (BASE + 1.0));
    value.min(f64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut numbers: Vec<f64>) {
        let mut sketch = Sketch::default();
        let mut halves = [Sketch::default(), Sketch::default()];
        for (at, number) in numbers.iter().enumerate() {
            let before = sketch.clone();
            sketch.add(*number);
            sketch.remove(*number);
            assert_eq!(sketch, before);
            sketch.add(*number);
            halves[at % 2].add(*number);
        }
        let [mut half, other] = halves;
        half.merge(other);
        assert_eq!(half, sketch);
        numbers.sort_by(f64::total_cmp);
        for at in [0.0, 0.001, 0.01, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 1.0] {
            let rank = ((at * numbers.len() as f64).ceil() as usize).max(1);
            let (exact, found) = (numbers[rank - 1], sketch.at(at).unwrap());
            assert!((found - exact).abs() <= exact.abs() * 0.01, "{at}: {found} for {exact}");
        }
    }

    #[test]
    fn quantiles_are_within_one_per_cent_of_the_number_at_their_rank() {
        check((1..=1000).map(f64::from).collect());
        check((0..1000).map(|at| f64::from(at - 500) * 0.37).collect());
        check((0..900).map(|at| 1.5f64.powi(at - 450)).collect());
        check(vec![0.0, f64::MAX, f64::MIN, 1e-300, -1e-300, f64::MIN_POSITIVE]);
        check(vec![7.0]);
        assert_eq!(Sketch::default().at(0.5), None);
    }
}
