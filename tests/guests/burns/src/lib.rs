//! Spends nearly all of its time in one function, and passes the records.

use std::hint::black_box;

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct Burns;

impl Plugin for Burns {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        black_box(burn_the_time(event.bytes()?));
        out.pass(event);
        Ok(())
    }
}

#[inline(never)]
fn burn_the_time(bytes: &[u8]) -> u64 {
    (0..2_000).fold(bytes.len() as u64, |mixed, turn| black_box(mixed).rotate_left(7) ^ turn)
}

sandbar_sdk::plugin!(Burns);
