//! Passes the records whose number at a JSON pointer is high enough, unchanged.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Filter {
    field: Pointer,
    at_least: f64,
}

impl Plugin for Filter {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let number = self.field.find(event.bytes()?)?.and_then(|value| value.number());
        if number.is_some_and(|number| number >= self.at_least) {
            out.pass(event);
        }
        Ok(())
    }
}

sandbar_sdk::plugin!(Filter);

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_sdk::testing::{Host, Record};

    #[test]
    fn what_is_high_enough_passes() {
        let mut host: Host<Filter> = Host::open(r#"{"field":"/ms","at-least":5}"#).unwrap();
        host.push(Record::new("a", r#"{"ms":7}"#, 0));
        host.push(Record::new("b", r#"{"ms":4}"#, 0));
        host.run().unwrap();
        let outputs = host.take_outputs();
        assert_eq!(outputs.len(), 1);
        assert_eq!(outputs[0].key.as_deref(), Some(&b"a"[..]));
    }
}
