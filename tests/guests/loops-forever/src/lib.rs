//! Never returns from records whose value starts with `loop`, and passes the others.

use std::hint::black_box;

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct LoopsForever;

impl Plugin for LoopsForever {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        while event.bytes()?.starts_with(black_box(b"loop")) {}
        out.pass(event);
        Ok(())
    }
}

sandbar_sdk::plugin!(LoopsForever);
