//! A new version of `count-by-key` that has its state, and traps on each record.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountsAndTraps {
    #[serde(skip)]
    total: Value<u64>,
}

impl Plugin for CountsAndTraps {
    fn describe(description: Description) -> Description {
        description.keeps_key().without_headers()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("total", |count| &mut count.total);
    }

    #[expect(clippy::panic, reason = "this is its sin")]
    fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
        let total = self.total.get(event)?.unwrap_or(0);
        panic!("it traps on each record, and here behind {total}");
    }
}

sandbar_sdk::plugin!(CountsAndTraps);
