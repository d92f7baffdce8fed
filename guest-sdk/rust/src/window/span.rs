//! Lengths of time as a configuration writes them.

use serde::de::{Deserialize, Deserializer, Error};

/// The units, in milliseconds.
const UNITS: [(&str, i64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];
/// Longer than the time that there are timestamps for, and short enough to be added to any of them.
const MS_MAX: i64 = 1_000_000_000_000_000;

/// A length of time in milliseconds. As a field of a plugin it is read from the configuration, from a text such as
/// `"10s"`: a whole number, which may be negative, and a unit, `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(i64);

impl Span {
    /// So many milliseconds.
    #[must_use]
    pub const fn of_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Its length in milliseconds.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    fn read(text: &str) -> Option<Self> {
        let unit = text.find(|letter: char| letter.is_ascii_alphabetic())?;
        let (number, unit) = text.split_at(unit);
        let (_, ms) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let digits = number.strip_prefix('-').unwrap_or(number);
        if digits.is_empty() || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
            return None;
        }
        let ms = number.parse::<i64>().ok()?.checked_mul(*ms)?;
        (-MS_MAX..=MS_MAX).contains(&ms).then_some(Self(ms))
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::read(&text).ok_or_else(|| {
            let units = "a whole number and one of ms, s, m, h and d, such as \"10s\"";
            D::Error::custom(format!("\"{text}\" is no duration: it wants {units}"))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_a_number_and_a_unit() {
        let ms = |text| Span::read(text).map(Span::ms);
        let texts = ["0s", "1ms", "10s", "-2m", "1h", "7d"];
        let read = [0, 1, 10_000, -120_000, 3_600_000, 604_800_000];
        assert_eq!(texts.map(ms), read.map(Some));
        for text in [
            "",
            "s",
            "10",
            "10 s",
            "+1s",
            "--1s",
            "1.5s",
            "1s ",
            "1S",
            "1w",
            "é",
            "1é",
            "99999999999d",
            "-",
            "-s",
            "99999999999999999999ms",
        ] {
            assert_eq!(ms(text), None, "{text}");
        }
        let said = serde_json::from_str::<Span>("\"soon\"").unwrap_err().to_string();
        assert!(said.starts_with("\"soon\" is no duration"), "{said}");
    }
}
