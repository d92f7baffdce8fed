//! Passes records unchanged: key, value, headers and timestamp.

use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
struct PassThrough;

impl BatchPlugin for PassThrough {
    fn describe(description: Description) -> Description {
        description.keeps_key()
    }

    fn process_batch(&mut self, batch: Batch, out: &mut Outputs) -> Result<(), Failure> {
        out.pass_all(batch);
        Ok(())
    }
}

sandbar_sdk::plugin!(PassThrough);
