//! How long what is written lives, and when it was written.

use serde::{Deserialize, Serialize};

use crate::window::Span;
use crate::{Refusal, fail};

/// What lets a time to live begin anew.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refresh {
    /// Each write.
    #[default]
    OnWrite,
    /// Each write, and each `get` that finds something.
    OnReadAndWrite,
}

/// How many milliseconds something lives, and what prolongs that; not known until it is opened.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Life(Option<(i64, Refresh)>);

impl Life {
    pub(super) fn opened(time_to_live: Span, refresh: Refresh) -> Result<Self, Refusal> {
        let life = time_to_live.ms();
        if life < 1 {
            return Err(fail(format!("a time to live is {life} ms: it has to be 1 ms or more")));
        }
        Ok(Self(Some((life, refresh))))
    }

    /// Nothing is kept beside what was declared as any other store.
    pub(super) fn get(self, is_declared: bool) -> Result<(i64, Refresh), Refusal> {
        if !is_declared {
            return Err(fail(
                "state with a time to live has to be declared by `stores.expiring` or `stores.expiring_map`",
            ));
        }
        self.0.ok_or_else(|| fail("state with a time to live was not opened"))
    }
}

/// What is kept beside something that ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamp {
    /// The latest time at which it was written or, if that counts, read. A record that is older does not take any of
    /// its life away.
    pub(super) written: i64,
    /// When its end is looked at. That does not move with the end; when it comes, it is set to what the end is then.
    pub(super) timer: i64,
}

impl Stamp {
    pub(super) fn end(&self, life: i64) -> i64 {
        self.written.saturating_add(life)
    }

    /// That of something which begins its life anew now.
    pub(super) fn renewed(before: Option<Self>, now: i64, life: i64) -> Self {
        let written = before.map_or(now, |before| before.written.max(now));
        let end = written.saturating_add(life);
        let timer = before.map_or(end, |before| before.timer.min(end));
        Self { written, timer }
    }
}
