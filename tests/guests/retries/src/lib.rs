//! Asks for the call again as often as `times` says (by default 2), in each instance, and passes everything afterwards.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct Retries {
    #[serde(default = "twice")]
    times: u32,
}

fn twice() -> u32 {
    2
}

impl BatchPlugin for Retries {
    fn process_batch(&mut self, batch: Batch, out: &mut Outputs) -> Result<(), Failure> {
        if self.times > 0 {
            self.times -= 1;
            return Err(Failure::Retry(format!("{} more to come", self.times)));
        }
        out.pass_all(batch);
        Ok(())
    }
}

sandbar_sdk::plugin!(Retries);
