//! Which records are partners, and what becomes of those that have none.

use serde::Deserialize;

use super::rows::Side;
use crate::window::{Span, Windows};
use crate::{Refusal, fail};

/// A join: which records of the two inputs are partners, beside that their keys are equal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Join {
    pub(super) how: How,
    pub(super) kind: JoinKind,
}

/// What becomes of a record that has no partner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JoinKind {
    /// Nothing comes of it.
    Inner,
    /// One of the left input is put out alone.
    Left,
    /// One of the right input is put out alone.
    Right,
    /// It is put out alone, whichever input it is of.
    Outer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum How {
    Within(Bounds),
    Windows(Windows),
    Table,
    AsOf,
}

/// How far a record of the right input may lie from its partner of the left one, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    pub(super) before: i64,
    pub(super) after: i64,
}

impl Join {
    fn new(how: How) -> Self {
        let kind = JoinKind::Inner;
        Self { how, kind }
    }

    /// A record of the right input from `before` before to `after` after one of the left input, both inclusive. One of
    /// them may be negative.
    #[must_use]
    pub fn within(before: Span, after: Span) -> Self {
        let (before, after) = (before.ms(), after.ms());
        Self::new(How::Within(Bounds { before, after }))
    }

    /// Records that lie in one window; they come out when it closes.
    #[must_use]
    pub fn windows(windows: Windows) -> Self {
        Self::new(How::Windows(windows))
    }

    /// A record of the left input and the latest one of the right input, by arrival. It comes out at once.
    #[must_use]
    pub fn table() -> Self {
        Self::new(How::Table)
    }

    /// A record of the left input and the one of the right input that was valid at its time: the newest that is no
    /// newer; of equal times the one that arrived later. It comes out once event time has reached that time.
    #[must_use]
    pub fn as_of() -> Self {
        Self::new(How::AsOf)
    }

    /// What becomes of a record without a partner; nothing unless this is said.
    #[must_use]
    pub fn kind(mut self, kind: JoinKind) -> Self {
        self.kind = kind;
        self
    }

    /// The same, if it can be.
    pub(super) fn checked(mut self) -> Result<Self, Refusal> {
        match self.how {
            How::Within(Bounds { before, after }) if before + after < 0 => {
                let sum = before + after;
                return Err(fail(format!(
                    "no time is within the join: `before` and `after` together are {sum} ms, and 0 at least"
                )));
            }
            How::Windows(windows) => self.how = How::Windows(checked(windows)?),
            How::Table | How::AsOf if self.kind.keeps(Side::Right) => {
                return Err(fail(
                    "a join with the versions of the right input is inner or left: no version waits for a record",
                ));
            }
            How::Within(_) | How::Table | How::AsOf => {}
        }
        Ok(self)
    }
}

fn checked(windows: Windows) -> Result<Windows, Refusal> {
    let windows = windows.checked()?;
    match windows.close_once() {
        true => Ok(windows),
        false => Err(fail(
            "a join takes windows that end by time, and puts each out once, when it closes",
        )),
    }
}

impl JoinKind {
    /// Whether a record of this side comes out without a partner.
    pub(super) fn keeps(self, side: Side) -> bool {
        match side {
            Side::Left => matches!(self, Self::Left | Self::Outer),
            Side::Right => matches!(self, Self::Right | Self::Outer),
        }
    }
}

impl Bounds {
    /// The times of the partners of a record, first and last.
    pub(super) fn of(self, side: Side, time: i64) -> (i64, i64) {
        let (back, on) = match side {
            Side::Left => (self.before, self.after),
            Side::Right => (self.after, self.before),
        };
        (time.saturating_sub(back), time.saturating_add(on))
    }
}
