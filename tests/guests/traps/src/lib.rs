//! Panics on records whose value starts with `trap`, and passes the others.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct Traps;

impl Plugin for Traps {
    #[expect(clippy::panic, reason = "this is its sin")]
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        if event.bytes()?.starts_with(b"trap") {
            panic!("told to trap by {:?}", event.text());
        }
        out.pass(event);
        Ok(())
    }
}

sandbar_sdk::plugin!(Traps);
