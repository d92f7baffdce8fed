//! What goes together: `[checkpoint]`, `delivery`, `offsets` and `commit-offsets`. Whatever the table of the contract does not list is refused.

use crate::config;

use super::file::{CommitOffsets, Delivery, Truth};

/// A combination that is refused: what, why, and what to write instead.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) what: &'static str,
    pub(super) why: &'static str,
    pub(super) hint: &'static str,
}

/// What a crash may do, given whether there are checkpoints. Never weaker than what was asked for.
pub(super) fn delivery(checkpoint: bool, wanted: Option<Delivery>) -> Result<config::Delivery, Refusal> {
    match (checkpoint, wanted) {
        (true, Some(Delivery::AtLeastOnce)) => Ok(config::Delivery::AtLeastOnce),
        (true, Some(Delivery::ExactlyOnce)) => Err(Refusal {
            what: "`delivery = \"exactly-once\"` is not built yet",
            why: "it comes with transactional output; until then outputs may repeat after a crash",
            hint: "set delivery = \"at-least-once\"",
        }),
        (true, None) => Err(Refusal {
            what: "`delivery` is \"exactly-once\" by default with `[checkpoint]`, which is not built yet",
            why: "it comes with transactional output; until then outputs may repeat after a crash",
            hint: "set delivery = \"at-least-once\"",
        }),
        (true, Some(Delivery::None)) => Err(Refusal {
            what: "`delivery = \"none\"` does not go with `[checkpoint]`",
            why: "a checkpoint makes state and positions agree, which is at least once",
            hint: "set delivery = \"at-least-once\", or remove [checkpoint]",
        }),
        (false, None | Some(Delivery::None)) => Ok(config::Delivery::None),
        (false, Some(Delivery::AtLeastOnce)) => Err(Refusal {
            what: "`delivery = \"at-least-once\"` needs `[checkpoint]`",
            why: "without checkpoints state is empty after a crash; outputs are still none lost, for a position is committed only after its outputs were acknowledged",
            hint: "add [checkpoint], or remove `delivery`",
        }),
        (false, Some(Delivery::ExactlyOnce)) => Err(Refusal {
            what: "`delivery = \"exactly-once\"` needs `[checkpoint]`, and is not built yet",
            why: "it comes with transactional output; until then outputs may repeat after a crash",
            hint: "add [checkpoint] and set delivery = \"at-least-once\", or remove `delivery`",
        }),
    }
}

/// When positions are committed, given whether there are checkpoints and where the truth is.
pub(super) fn commit_offsets(
    checkpoint: bool,
    truth: Truth,
    wanted: Option<CommitOffsets>,
) -> Result<config::CommitOffsets, Refusal> {
    match (checkpoint, truth, wanted) {
        (false, Truth::Checkpoint, _) => Err(Refusal {
            what: "`offsets = \"checkpoint\"` needs `[checkpoint]`, and is not built yet",
            why: "without checkpoints there is nothing that could hold the positions; it comes with checkpoints of state",
            hint: "set offsets = \"group\"",
        }),
        (true, _, Some(CommitOffsets::Periodic)) => Err(Refusal {
            what: "`commit-offsets = \"periodic\"` does not go with `[checkpoint]`",
            why: "a position that is committed between two checkpoints belongs to neither",
            hint: "set commit-offsets = \"on-checkpoint\"; how often is `interval` of [checkpoint]",
        }),
        (true, Truth::Checkpoint, _) => Err(Refusal {
            what: "`offsets = \"checkpoint\"` is not built yet",
            why: "it comes with checkpoints of state; until then positions are kept in the group",
            hint: "set offsets = \"group\"",
        }),
        (true, Truth::Group, Some(CommitOffsets::Never)) => Err(Refusal {
            what: "`commit-offsets = \"never\"` does not go with `[checkpoint]` and `offsets = \"group\"`",
            why: "the positions of a checkpoint would be kept nowhere",
            hint: "set commit-offsets = \"on-checkpoint\"",
        }),
        (true, Truth::Group, None | Some(CommitOffsets::OnCheckpoint)) => Ok(config::CommitOffsets::OnCheckpoint),
        (false, Truth::Group, Some(CommitOffsets::OnCheckpoint)) => Err(Refusal {
            what: "`commit-offsets = \"on-checkpoint\"` needs `[checkpoint]`",
            why: "without checkpoints no position would ever be committed",
            hint: "add [checkpoint], or set commit-offsets = \"periodic\"",
        }),
        (false, Truth::Group, None | Some(CommitOffsets::Periodic)) => Ok(config::CommitOffsets::Periodic),
        (false, Truth::Group, Some(CommitOffsets::Never)) => Ok(config::CommitOffsets::Never),
    }
}
