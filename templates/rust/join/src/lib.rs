//! Pairs records of two inputs that have the same key and lie close in time.

use sandbar_sdk::join::{Join, JoinKind, Joined, Pair};
use sandbar_sdk::prelude::*;
use sandbar_sdk::window::Span;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Pairs {
    kind: String,
    within: Within,
    #[serde(skip)]
    join: Joined<String, String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Within {
    #[serde(default)]
    before: Span,
    #[serde(default)]
    after: Span,
}

impl Plugin for Pairs {
    fn describe(description: Description) -> Description {
        description.inputs(&["left", "right"]).outputs(&["out", "late"])
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.joined("join", "rows", |plugin| &mut plugin.join);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        if self.kind != "inner" {
            return Err(fail(format!("kind is \"inner\" here, not {:?}", self.kind)));
        }
        self.join.open(Join::within(self.within.before, self.within.after).kind(JoinKind::Inner))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let value = json::pointer(event.bytes()?, "")?.map(|whole| json::compact(whole.text())).unwrap_or_default();
        let put = |pair: &Pair<String, String>| put(event, pair, out);
        let is_in_time = match event.input() {
            0 => self.join.left(event, value, put)?,
            _ => self.join.right(event, Some(value), put)?,
        };
        if !is_in_time {
            out.pass(event).to(1);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.join.fire(fired, |pair| put(fired, pair, out))
    }
}

fn put(of: &impl Keyed, pair: &Pair<String, String>, out: &mut Outputs) -> Result<(), Refusal> {
    let (left, right) = (pair.left.map_or("null", String::as_str), pair.right.map_or("null", String::as_str));
    let text = format!("{{\"left\":{left},\"right\":{right}}}");
    out.emit_text(of.key(), text).timestamp(pair.time);
    Ok(())
}

sandbar_sdk::plugin!(Pairs);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_sdk::testing::{Host, Record};

    #[test]
    fn records_that_lie_close_in_time_are_a_pair() {
        let config = r#"{"kind":"inner","within":{"before":"5s","after":"5s"}}"#;
        let mut host: Host<Pairs> = Host::open(config).unwrap();
        host.push(Record::new("a", r#"{"order":1}"#, 10_000));
        host.push(Record::new("a", r#"{"paid":9}"#, 12_000).of_input(1));
        host.push(Record::new("a", r#"{"paid":8}"#, 15_001).of_input(1));
        host.run().unwrap();
        let outputs = host.take_outputs();
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].value.as_deref(), Some(&br#"{"left":{"order":1},"right":{"paid":9}}"#[..]));
    }
}
