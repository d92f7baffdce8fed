//! Declares an empty name, a version of two lines, outputs without a name and with the same one, a metric with a name
//! of a mebibyte, and a schema that is no JSON.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct BadDescribe;

impl Plugin for BadDescribe {
    fn describe(_: Description) -> Description {
        Description::new("", "0.1.0\n\u{1b}[31m")
            .outputs(&["", "out", "out"])
            .inputs(&[])
            .counter(&"m".repeat(1 << 20), "")
            .config_schema("{")
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        out.pass(event);
        Ok(())
    }
}

sandbar_sdk::plugin!(BadDescribe);
