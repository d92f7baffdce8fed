//! The plugin of `tests/languages`: `{"do": …}` says how it behaves. Each language has the same one, and the same
//! comes of all of them.

use sandbar_sdk::prelude::*;
use sandbar_sdk::window::{Count, Span, WindowResult, Windowed, Windows};
use sandbar_sdk::{Codec, log, serde, serde_json};
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct Every {
    #[serde(rename = "do")]
    what: String,
    #[serde(default)]
    number: i64,
    #[serde(skip)]
    count: Value<u64, Json>,
    #[serde(skip)]
    seen: List<String, Json>,
    #[serde(skip)]
    by: Map<String, u64, Json>,
    #[serde(skip)]
    windows: Windowed<Count>,
    #[serde(skip)]
    sessions: Windowed<Count>,
    #[serde(skip)]
    later: Timer,
    #[serde(skip)]
    clock: Timer,
}

/// What all languages have.
struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    const NAME: &'static str = "json";

    fn write(value: &T, into: &mut Vec<u8>) -> Result<(), String> {
        serde_json::to_writer(into, value).map_err(|error| error.to_string())
    }

    fn read(bytes: &[u8]) -> Result<T, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

const KNOWN: [&str; 21] = [
    "echo",
    "count",
    "list",
    "map",
    "delete",
    "timer",
    "rearm",
    "cancel",
    "clock-timer",
    "refuse",
    "error",
    "config",
    "panic",
    "loop",
    "memory",
    "log",
    "clock",
    "random",
    "files",
    "window",
    "session",
];

impl Plugin for Every {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out"])
            .counter("events", "events seen")
            .coordinates()
            .config_schema("{}")
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("count", |every| &mut every.count);
        stores.add("seen", |every| &mut every.seen);
        stores.add("by", |every| &mut every.by);
        stores.windowed("windows", |every| &mut every.windows);
        stores.windowed("sessions", |every| &mut every.sessions);
    }

    fn timers(timers: &mut Timers<Self>) {
        timers.event_time("later", |every| &mut every.later);
        timers.processing_time("clock", |every| &mut every.clock);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        if !KNOWN.contains(&self.what.as_str()) {
            return Err(fail(format!("unknown: {}", self.what)));
        }
        let span = |ms: i64| Span::of_ms(ms);
        self.windows
            .open(Windows::tumbling(span(1000)).allowed_lateness(span(500)))?;
        self.sessions.open(Windows::session(span(1000)))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        out.count(0, 1.0);
        match self.what.as_str() {
            "count" => {
                let count = self.counted(event)?;
                out.emit_text(event.key(), count);
            }
            "list" => self.list(event, out)?,
            "map" => self.map(event, out)?,
            "delete" => {
                self.count.delete(event)?;
                out.emit(event.key(), "deleted");
            }
            "timer" | "rearm" => self.later.set(event, event.timestamp() + 1000)?,
            "cancel" => {
                self.later.set(event, event.timestamp() + 1000)?;
                self.later.set(event, event.timestamp() + 2000)?;
                self.later.clear(event, event.timestamp() + 1000)?;
            }
            "clock-timer" => self.clock.set(event, 0)?,
            "refuse" => self.refuse(event, out)?,
            "error" if event.value() == Some(b"bad") => return Err(dead_letter("no good")),
            "config" => drop(out.emit_text(event.key(), self.number)),
            "clock" => drop(out.emit_text(event.key(), event.timestamp())),
            "random" => drop(out.emit_text(event.key(), format_args!("{:016x}", chance(event)))),
            "files" => drop(out.emit(
                event.key(),
                if std::fs::read("/etc/passwd").is_ok() {
                    "yes"
                } else {
                    "no"
                },
            )),
            "log" => {
                (0..2000).for_each(|line| log::info(&format!("line {line}")));
                out.pass(event);
            }
            "window" if !self.windows.add(event, &(), |window| put(event, window, out))? => {
                out.emit(event.key(), "late");
            }
            "session"
                if !self
                    .sessions
                    .add(event, &(), |session| put_session(event, session, out))? =>
            {
                out.emit(event.key(), "late");
            }
            "window" | "session" => {}
            "panic" | "loop" | "memory" if event.value() == Some(b"bad") => self.fail_hard(),
            _ => drop(out.pass(event)),
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        match fired.name() {
            "clock" => {
                out.emit_text(fired.key(), format_args!("clock {}", fired.at()));
                return Ok(());
            }
            "windows" => return self.windows.fire(fired, |window| put(fired, window, out)),
            "sessions" => return self.sessions.fire(fired, |session| put_session(fired, session, out)),
            _ => {}
        }
        let count = self.counted(fired)?;
        out.emit_text(fired.key(), format_args!("{} {count}", fired.at()));
        if self.what == "rearm" && count < 3 {
            self.later.set(fired, fired.at() + 500)?;
        }
        Ok(())
    }
}

impl Every {
    fn counted(&mut self, of: &impl Keyed) -> Result<u64, Refusal> {
        let count = self.count.get(of)?.unwrap_or(0) + 1;
        self.count.set(of, &count)?;
        Ok(count)
    }

    /// What no plugin should do.
    fn fail_hard(&self) -> ! {
        let mut hoard: Vec<Vec<u8>> = Vec::new();
        loop {
            match self.what.as_str() {
                "panic" => panic!("bad"),
                "memory" => hoard.push(vec![1; 1 << 20]),
                _ => std::hint::black_box(()),
            }
        }
    }

    fn list(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if event.value().is_none() {
            self.seen.clear(event)?;
            out.emit(event.key(), "cleared");
        } else {
            self.seen.push(event, &event.text()?.to_owned())?;
            out.emit_json(event.key(), &self.seen.items(event)?)?;
        }
        Ok(())
    }

    fn map(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if event.value().is_none() {
            self.by.clear(event)?;
            out.emit(event.key(), "{}");
            return Ok(());
        }
        let text = event.text()?;
        match text.strip_prefix('-') {
            Some(rest) => self.by.delete(event, rest)?,
            None => {
                let count = self.by.get(event, text)?.unwrap_or(0) + 1;
                self.by.put(event, text, &count)?;
            }
        }
        let all: Result<BTreeMap<String, u64>, Refusal> = self.by.scan(event, b"")?.collect();
        out.emit_json(event.key(), &all?)?;
        Ok(())
    }

    fn refuse(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let refusal = match event.value().unwrap_or_default() {
            b"skip" => skip("told to"),
            b"dead-letter" => dead_letter("told to"),
            b"fail" => fail("told to"),
            b"retry" => retry("told to"),
            _ => {
                out.pass(event);
                return Ok(());
            }
        };
        out.emit(event.key(), "never");
        self.count.set(event, &99)?;
        Err(refusal)
    }
}

fn put(of: &impl Keyed, window: &WindowResult<Count>, out: &mut Outputs) -> Result<(), Refusal> {
    out.emit_text(of.key(), format_args!("{} {}", window.start, window.value()))
        .timestamp(window.time);
    Ok(())
}

fn put_session(of: &impl Keyed, session: &WindowResult<Count>, out: &mut Outputs) -> Result<(), Refusal> {
    let WindowResult { start, end, .. } = session;
    out.emit_text(of.key(), format_args!("{start} {end} {}", session.value()))
        .timestamp(session.time);
    Ok(())
}

/// A number that is the event's own. The batch's seed is the batch's: what does not depend on how the host cuts batches
/// comes from where the event lies.
fn chance(event: &Event) -> u64 {
    let (partition, offset) = event.coordinates().unwrap_or_default();
    let mixed = (offset as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(partition);
    (mixed ^ (mixed >> 31)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

sandbar_sdk::plugin!(Every);
