//! Counts the records of each key in windows of one size, one behind the other.

use sandbar_sdk::prelude::*;
use sandbar_sdk::window::{Count, Span, WindowResult, Windowed, Windows};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Window {
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

impl Plugin for Window {
    fn describe(description: Description) -> Description {
        description.outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("windows", |plugin| &mut plugin.windows);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.windows.open(Windows::tumbling(self.size).allowed_lateness(self.allowed_lateness))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if !self.windows.add(event, &(), |window| put(event, window, out))? {
            out.pass(event).to(1); // too late for its window
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.windows.fire(fired, |window| put(fired, window, out))
    }
}

fn put(of: &impl Keyed, window: &WindowResult<Count>, out: &mut Outputs) -> Result<(), Refusal> {
    let row = Row { start: window.start, end: window.end, count: window.value() };
    out.emit_json(of.key(), &row)?.timestamp(window.time);
    Ok(())
}

sandbar_sdk::plugin!(Window);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_sdk::testing::{Host, Record};

    #[test]
    fn a_window_comes_out_when_it_is_over() {
        let mut host: Host<Window> = Host::open(r#"{"size":"10s"}"#).unwrap();
        host.push(Record::new("a", "x", 1_000));
        host.push(Record::new("a", "x", 9_999));
        host.advance(9_999);
        host.run().unwrap();
        let outputs = host.take_outputs();
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].value.as_deref(), Some(&br#"{"start":0,"end":10000,"count":2}"#[..]));
    }
}
