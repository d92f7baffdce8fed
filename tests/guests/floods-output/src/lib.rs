//! Emits 32 MiB in one output on records whose value is `flood`, four million empty outputs where it is `flood-records`, and passes the others.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct FloodsOutput;

impl Plugin for FloodsOutput {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        match event.bytes()? {
            b"flood" => {
                out.emit(event.key(), vec![b'x'; 32 << 20]);
            }
            b"flood-records" => {
                for _ in 0..4_000_000 {
                    out.emit(NULL, NULL);
                }
            }
            _ => {
                out.pass(event);
            }
        }
        Ok(())
    }
}

sandbar_sdk::plugin!(FloodsOutput);
