//! Refuses records by their value: `skip…`, `dead…` and `fail…` the record, `retry…` the whole call. An output is
//! emitted before each refusal, which must not come out.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct Refuses;

impl Plugin for Refuses {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        out.pass(event);
        match event.text()? {
            reason if reason.starts_with("skip") => Err(skip(reason)),
            reason if reason.starts_with("dead") => Err(dead_letter(reason)),
            reason if reason.starts_with("fail") => Err(fail(reason)),
            reason if reason.starts_with("retry") => Err(retry(reason)),
            _ => Ok(()),
        }
    }
}

sandbar_sdk::plugin!(Refuses);
