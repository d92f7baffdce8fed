//! `sandbar test`: runs cases, on Kafka too if asked, and tells how they came out.

mod verb;
mod topic_case;
mod case_report;
mod junit;

pub(super) use verb::TestArgs;
