//! Takes memory until there is none on records whose value starts with `eat`, and passes the others.

use std::hint::black_box;

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct EatsMemory;

const MOUTHFUL: usize = 1 << 20;

impl Plugin for EatsMemory {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let mut eaten = Vec::new();
        while event.bytes()?.starts_with(b"eat") {
            eaten.push(black_box(vec![1u8; MOUTHFUL]));
        }
        out.pass(event);
        Ok(())
    }
}

sandbar_sdk::plugin!(EatsMemory);
