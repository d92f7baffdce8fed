//! Whether a new version falls behind: a rule that a person can check with the figures of the status.
//!
//! Always: a lag that is no larger than it was before the upgrade, or that shrank once, begins the count anew.

/// Milliseconds from one look to the next.
const APART_MS: i64 = 10_000;
/// Looks in a row, each with a larger lag than the one before, after which a version lags.
const LOOKS: u32 = 3;

/// What was seen of the lag so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct LagRule {
    last: Option<(i64, u64)>,
    grown: u32,
}

impl LagRule {
    /// Looks at a lag at this moment. `true`: it is larger than before the upgrade, and grew in three looks in a row,
    /// ten seconds apart.
    pub(super) fn look(&mut self, now: i64, lag: u64, before: u64) -> bool {
        let Some((at, last)) = self.last else {
            self.last = Some((now, lag));
            return false;
        };
        if now.saturating_sub(at) < APART_MS {
            return false;
        }
        self.grown = match lag > last && lag > before {
            true => self.grown + 1,
            false => 0,
        };
        self.last = Some((now, lag));
        self.grown >= LOOKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Looks each ten seconds; which of them finds that it lags.
    fn first_found(lags: &[u64], before: u64) -> Option<usize> {
        let mut rule = LagRule::default();
        let mut looks = lags.iter().zip(0..);
        looks.position(|(lag, number)| rule.look(number * APART_MS, *lag, before))
    }

    #[test]
    fn a_version_lags_that_grew_in_three_looks_in_a_row_beyond_what_was_before() {
        assert_eq!(first_found(&[10, 11, 12, 13], 5), Some(3));
        assert_eq!(first_found(&[10, 11, 12], 5), None);
        assert_eq!(first_found(&[10, 11, 12, 12, 13, 14, 15], 5), Some(6));
        assert_eq!(first_found(&[10, 9, 8, 7, 6], 0), None, "it catches up");
        assert_eq!(first_found(&[1, 2, 3, 4, 5, 6], 100), None, "no more than before");
        assert_eq!(first_found(&[98, 99, 100, 101, 102, 103], 100), Some(5));
    }

    #[test]
    fn looks_that_are_too_close_are_none() {
        let mut rule = LagRule::default();
        assert!(!(0..1000).any(|number| rule.look(number, number as u64, 0)));
    }
}
