//! A component of the world `record-processor`, which passes records unchanged.
#![expect(missing_docs, reason = "generated")]
#![allow(
    unsafe_code,
    clippy::too_many_arguments,
    reason = "generated: the canonical ABI passes pointers"
)]

wit_bindgen::generate!({ path: "../../../wit/v0.1", world: "sandbar:plugin/record-processor" });

use sandbar::plugin::output::{self, Message};
use sandbar::plugin::types::Needs;

struct RecordWorld;

impl Guest for RecordWorld {
    fn describe() -> Description {
        Description {
            name: "record-world".to_owned(),
            version: "0.1.0".to_owned(),
            inputs: vec!["in".to_owned()],
            outputs: vec!["out".to_owned()],
            stores: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
            config_schema: String::new(),
            needs: Needs::HEADERS,
        }
    }

    fn open(_: String) -> Result<(), String> {
        Ok(())
    }

    fn process(event: Event) -> Result<Verdict, Failure> {
        output::emit(&Message {
            output: 0,
            key: event.key,
            value: event.value,
            timestamp: None,
            headers: event.headers,
        });
        Ok(Verdict::Done)
    }

    fn fire(_: u8, _: Vec<u8>, _: i64) -> Result<(), Failure> {
        Ok(())
    }
}

export!(RecordWorld);
