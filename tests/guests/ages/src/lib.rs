//! Keeps by key which schema version wrote last, and emits what it found. Its own version, and the oldest that it
//! reads, stand in its file as `schema version 1, reads 1`: a test writes others over them, which makes another version
//! of the plugin of it.

use sandbar_sdk::prelude::*;

static TOLD: [u8; 25] = *b"schema version 1, reads 1";

#[derive(Deserialize)]
struct Ages {
    #[serde(skip)]
    written: Value<u32>,
}

impl Plugin for Ages {
    fn stores(stores: &mut Stores<Self>) {
        stores
            .add("written", |ages| &mut ages.written)
            .version(told(15))
            .readable_from(told(24));
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let found = self.written.get(event)?.unwrap_or_default();
        self.written.set(event, &told(15))?;
        out.emit_text(event.key(), found);
        Ok(())
    }
}

/// A digit of what the file says, which the compiler must not know.
fn told(at: usize) -> u32 {
    u32::from(std::hint::black_box(&TOLD)[at] - b'0')
}

sandbar_sdk::plugin!(Ages);
