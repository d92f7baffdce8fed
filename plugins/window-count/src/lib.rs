//! Counts the records of each key in windows of one size, one behind the other.

use sandbar_sdk::prelude::*;
use sandbar_sdk::window::{Count, Span, WindowResult, Windowed, Windows};

/// The output for records that are too late.
const LATE: u8 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct WindowCount {
    size: Span,
    #[serde(default)]
    allowed_lateness: Span,
    #[serde(skip)]
    windows: Windowed<Count>,
}

#[derive(Serialize)]
struct Row {
    start: i64,
    end: i64,
    count: u64,
}

impl Plugin for WindowCount {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out", "late"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("windows", |count| &mut count.windows);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        let windows = Windows::tumbling(self.size).allowed_lateness(self.allowed_lateness);
        self.windows.open(windows)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if !self.windows.add(event, &(), |window| put(event, window, out))? {
            out.pass(event).to(LATE);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.windows.fire(fired, |window| put(fired, window, out))
    }
}

fn put(of: &impl Keyed, window: &WindowResult<Count>, out: &mut Outputs) -> Result<(), Refusal> {
    let row = Row {
        start: window.start,
        end: window.end,
        count: window.value(),
    };
    out.emit_json(of.key(), &row)?.timestamp(window.time);
    Ok(())
}

sandbar_sdk::plugin!(WindowCount);
