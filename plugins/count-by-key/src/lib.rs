//! Counts the records of each key: for every record the number of those that its key has had.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountByKey {
    #[serde(skip)]
    total: Value<u64>,
}

impl Plugin for CountByKey {
    fn describe(description: Description) -> Description {
        description.keeps_key().without_headers()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.add("total", |count| &mut count.total);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let total = self.total.get(event)?.unwrap_or(0) + 1;
        self.total.set(event, &total)?;
        out.emit_text(event.key(), total);
        Ok(())
    }
}

sandbar_sdk::plugin!(CountByKey);
