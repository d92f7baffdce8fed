//! Accepts no configuration whatever it is.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct BadConfig;

impl Plugin for BadConfig {
    fn open(&mut self) -> Result<(), Refusal> {
        Err(fail("no configuration is good enough"))
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        out.pass(event);
        Ok(())
    }
}

sandbar_sdk::plugin!(BadConfig);
