//! Ranks the records of each key: those of a window when it closes, or all of them as they come.

use std::num::NonZeroU32;

use sandbar_sdk::json::compact;
use sandbar_sdk::prelude::*;
use sandbar_sdk::window::json::{By, Order, Ranking, SortKey};
use sandbar_sdk::window::{Emit, Top, WindowResult, Windowed, Windows};

/// The output for records that are too late for all their windows.
const LATE: u8 = 1;

/// Keeps the values as they came.
type Best = Top<Vec<SortKey>, String>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TopN {
    n: NonZeroU32,
    by: By,
    order: Option<Order>,
    window: Option<Windows>,
    #[serde(skip)]
    ranking: Ranking,
    #[serde(skip)]
    windows: Windowed<Best>,
}

impl Plugin for TopN {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out", "late"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("windows", |top| &mut top.windows);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.ranking = Ranking::new(&self.by, self.order)?;
        let windows = match &self.window {
            Some(windows) => windows.clone(),
            None => Windows::global().emit(Emit::Update),
        };
        self.windows.open_with(windows, Top::of(self.n.get()))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let Some(row) = self.ranking.read(event)? else {
            return Ok(());
        };
        let has_windows = self.window.is_some();
        let put = |window: &WindowResult<Best>| {
            match has_windows {
                true => put_all(event, window, out),
                false => put_changed(event, window, out),
            }
            Ok(())
        };
        if !self.windows.add(event, row, put)? {
            out.pass(event).to(LATE);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.windows.fire(fired, |window| {
            put_all(fired, window, out);
            Ok(())
        })
    }
}

fn put_all(of: &impl Keyed, window: &WindowResult<Best>, out: &mut Outputs) {
    let (start, end) = (window.start, window.end);
    for (value, rank) in window.value().iter().zip(1..) {
        let value = compact(value);
        let row = format_args!("{{\"start\":{start},\"end\":{end},\"rank\":{rank},\"value\":{value}}}");
        out.emit_text(of.key(), row).timestamp(window.time);
    }
}

/// With the record's own time.
fn put_changed(event: &Event, window: &WindowResult<Best>, out: &mut Outputs) {
    for (rank, value) in window.state().changed() {
        let value = compact(value);
        out.emit_text(event.key(), format_args!("{{\"rank\":{rank},\"value\":{value}}}"));
    }
}

sandbar_sdk::plugin!(TopN);
