//! A round of checkpoints, carried out: the commands of `checkpoint::protocol` for one worker, over all its lanes and
//! tasks.
//!
//! ```text
//! seal: bundle begun → drain → bundle durable → members as before → offsets and pointer committed → overlays applied
//! ```
//!
//! Always: nothing is processed while a round is under way, and what is committed is what the bundle says, to the
//! offset.

mod rounds;
mod seal;
mod commit;
mod recovery;

pub(super) use rounds::{Rounds, transaction_timeout};
