//! Aggregates the records of each key in windows, as its configuration says.

use sandbar_sdk::prelude::*;
use sandbar_sdk::window::json::{Aggregates, Tallies};
use sandbar_sdk::window::{Emit, Span, WindowResult, Windowed, Windows};

/// The output for records that are too late for all their windows.
const LATE: u8 = 1;
/// The output for results that the next one replaces.
const RETRACTED: u8 = 2;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Window {
    window: Windows,
    aggregates: Aggregates,
    #[serde(default)]
    allowed_lateness: Span,
    #[serde(default = "on_close")]
    emit: Emit,
    #[serde(default)]
    retract: bool,
    #[serde(skip)]
    windows: Windowed<Tallies>,
}

fn on_close() -> Emit {
    Emit::Close
}

impl Plugin for Window {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out", "late", "retracted"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("windows", |window| &mut window.windows);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        let windows = self.window.clone().allowed_lateness(self.allowed_lateness);
        let windows = windows.emit(self.emit);
        let windows = if self.retract { windows.retract() } else { windows };
        self.windows.open_with(windows, self.aggregates.take_tallies())
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let taken = self.aggregates.read(event)?;
        let has_times = !self.window.is_global();
        if !self
            .windows
            .add(event, taken, |window| put(event, window, has_times, out))?
        {
            out.pass(event).to(LATE);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        let has_times = !self.window.is_global();
        self.windows.fire(fired, |window| put(fired, window, has_times, out))
    }
}

fn put(of: &impl Keyed, window: &WindowResult<Tallies>, has_times: bool, out: &mut Outputs) -> Result<(), Refusal> {
    let (start, end, members) = (window.start, window.end, window.value()?);
    let emitted = match has_times {
        true => out.emit_text(of.key(), format_args!("{{\"start\":{start},\"end\":{end},{members}}}")),
        false => out.emit_text(of.key(), format_args!("{{{members}}}")),
    };
    emitted
        .timestamp(window.time)
        .to(if window.is_retraction { RETRACTED } else { 0 });
    Ok(())
}

sandbar_sdk::plugin!(Window);
