//! Puts out one record an interval of each key: its last one, or what fills the gap.

use sandbar_sdk::prelude::*;
use sandbar_sdk::window::Span;
use sandbar_sdk::window::gaps::{Fill, GapFill, IntervalResult};

/// The output for records whose interval is over.
const LATE: u8 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Gaps {
    every: Span,
    fill: Fill,
    #[serde(skip)]
    gaps: GapFill,
}

impl Plugin for Gaps {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out", "late"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.timed("intervals", |plugin| &mut plugin.gaps);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.gaps.open(self.every, self.fill.clone())
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if !self.gaps.add(event)? {
            out.pass(event).to(LATE);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.gaps.fire(fired, |interval| put(fired, interval, out))
    }
}

fn put(fired: &Fired, interval: &IntervalResult, out: &mut Outputs) -> Result<(), Refusal> {
    let mut emitted = out.emit(fired.key(), interval.value).timestamp(interval.time);
    for (name, value) in interval.headers() {
        emitted = emitted.header(std::str::from_utf8(name)?, value);
    }
    Ok(())
}

sandbar_sdk::plugin!(Gaps);
