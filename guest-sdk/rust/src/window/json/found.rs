//! What a pointer meets in a value.

use std::cmp::Ordering;

use serde::{Deserialize, Serialize};

use crate::json::{LazyValue, compact};
use crate::{Refusal, dead_letter};

/// What a pointer met that is neither missing nor null.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    pub(super) what: What,
    /// Its JSON without spaces, if somebody wants that.
    pub(super) json: String,
}

/// What it is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum What {
    Number(Number),
    Text(String),
    Other,
}

/// A number: whole if it is written without fraction and exponent.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(super) enum Number {
    Whole(i64),
    Float(f64),
}

impl Found {
    /// Reads what stands there; `None`: it does not count. `wants_text` says whether more than numbers is asked for.
    pub(super) fn read(raw: LazyValue<'_>, wants_text: bool) -> Result<Option<Self>, Refusal> {
        let what = match raw.bytes() {
            b"null" => return Ok(None),
            [b'-' | b'0'..=b'9', ..] => What::Number(Number::read(raw)?),
            [b'"', ..] if wants_text => {
                let text = raw
                    .to()
                    .map_err(|_| dead_letter("a text has an escape that is no character"))?;
                What::Text(text)
            }
            [b'"', ..] => What::Text(String::new()),
            _ => What::Other,
        };
        let json = if wants_text { compact(raw.text()) } else { String::new() };
        Ok(Some(Self { what, json }))
    }

    pub(super) fn number(&self) -> Option<Number> {
        match self.what {
            What::Number(number) => Some(number),
            What::Text(_) | What::Other => None,
        }
    }
}

impl Number {
    pub(super) fn read(raw: LazyValue<'_>) -> Result<Self, Refusal> {
        if let Some(whole) = raw.short_whole() {
            return Ok(Self::Whole(whole as i64));
        }
        let text = raw.text();
        // A whole number is not looked through for a point.
        if let Ok(number) = text.parse() {
            return Ok(Self::Whole(number));
        }
        let beyond = || dead_letter(format!("the number {text} is beyond 64 bits"));
        if !text.contains(['.', 'e', 'E']) {
            return Err(beyond());
        }
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.map(Self::Float).ok_or_else(beyond)
    }

    pub(super) fn float(self) -> f64 {
        match self {
            Self::Whole(number) => number as f64,
            Self::Float(number) => number,
        }
    }

    pub(super) fn write(self, into: &mut String) {
        match self {
            Self::Whole(number) => into.push_str(&number.to_string()),
            Self::Float(number) => into.push_str(&float(number)),
        }
    }

    /// Exactly, also beyond what a float can tell apart.
    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(other)) => one.cmp(&other),
            (Self::Float(one), Self::Float(other)) => one.partial_cmp(&other).unwrap_or(Ordering::Equal),
            (Self::Whole(one), Self::Float(other)) => order(one, other),
            (Self::Float(one), Self::Whole(other)) => order(other, one).reverse(),
        }
    }
}

/// 2^63, the first float beyond the whole numbers.
const WHOLE_END: f64 = 9_223_372_036_854_775_808.0;

fn order(whole: i64, float: f64) -> Ordering {
    if float >= WHOLE_END {
        return Ordering::Less;
    }
    if float < -WHOLE_END {
        return Ordering::Greater;
    }
    let below = float.floor();
    let fraction = if float > below { Ordering::Less } else { Ordering::Equal };
    whole.cmp(&(below as i64)).then(fraction)
}

/// As JSON writes it.
pub(super) fn float(number: f64) -> String {
    serde_json::Number::from_f64(number).map_or_else(|| "null".to_owned(), |number| number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_both_kinds_are_ordered_exactly() {
        use Number::{Float, Whole};
        let ascending = [
            Float(-1e300),
            Float(-9_223_372_036_854_775_808.0),
            Whole(i64::MIN + 1),
            Float(-2.5),
            Whole(-2),
            Float(-1.5),
            Whole(0),
            Float(0.5),
            Whole(9_007_199_254_740_992),
            Whole(9_007_199_254_740_993),
            Float(9_007_199_254_740_994.0),
            Whole(i64::MAX),
            Float(9_223_372_036_854_775_808.0),
        ];
        for (at, one) in ascending.iter().enumerate() {
            for (other_at, other) in ascending.iter().enumerate() {
                assert_eq!(one.order(*other), at.cmp(&other_at), "{one:?} {other:?}");
            }
        }
        assert_eq!(
            Whole(i64::MIN).order(Float(-9_223_372_036_854_775_808.0)),
            Ordering::Equal
        );
    }
}
