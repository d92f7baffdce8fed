//! Counts the records of a key in its own memory, and not in its state: a new instance begins at 1 again. A record
//! that says `when` gets the host's clock instead.

use sandbar_sdk::prelude::*;
use std::collections::HashMap;

#[derive(Deserialize)]
struct Remembers {
    #[serde(skip)]
    seen: HashMap<Vec<u8>, u64>,
}

impl Plugin for Remembers {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if event.text()? == "when" {
            out.emit_text(event.key(), event.processing_time());
            return Ok(());
        }
        let seen = self.seen.entry(event.key().unwrap_or_default().to_vec()).or_default();
        *seen += 1;
        out.emit_text(event.key(), *seen);
        Ok(())
    }
}

sandbar_sdk::plugin!(Remembers);
