//! Passes the records whose number at a JSON pointer is high enough, unchanged.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Filter {
    field: Pointer,
    at_least: f64,
}

impl Plugin for Filter {
    fn describe(description: Description) -> Description {
        description
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let number = self.field.find(event.bytes()?)?.and_then(|value| value.number());
        if number.is_some_and(|number| number >= self.at_least) {
            out.pass(event);
        }
        Ok(())
    }
}

sandbar_sdk::plugin!(Filter);
