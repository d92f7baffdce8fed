//! What `count-by-key` would be in a later version: it forgets a count an hour after the key's last record.

use sandbar_sdk::expiring::{ExpiringValue, Refresh};
use sandbar_sdk::prelude::*;
use sandbar_sdk::window::Span;

#[derive(Deserialize)]
struct Forgets {
    #[serde(skip)]
    total: ExpiringValue<u64>,
}

impl Plugin for Forgets {
    fn stores(stores: &mut Stores<Self>) {
        stores.expiring("total", |forgets| &mut forgets.total);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.total.open(Span::of_ms(3_600_000), Refresh::OnWrite)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let total = self.total.get(event)?.unwrap_or(0) + 1;
        self.total.set(event, &total)?;
        out.emit_text(event.key(), total);
        Ok(())
    }
}

sandbar_sdk::plugin!(Forgets);
