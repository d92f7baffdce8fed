//! Logs a hundred thousand lines on records whose value is `shout`, a line of 8 MiB if it is `long`, and passes
//! every record.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct BigLog;

impl Plugin for BigLog {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        match event.bytes()? {
            b"shout" => (0..100_000).for_each(|line| log::info(&format!("line {line}\n\u{1b}[31mred"))),
            b"long" => log::info(&"x".repeat(8 << 20)),
            _ => log::debug("quiet"),
        }
        out.pass(event);
        Ok(())
    }
}

sandbar_sdk::plugin!(BigLog);
