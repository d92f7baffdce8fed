//! `sandbar upgrade` and `sandbar rollback`, and what a canary came to.

mod verbs;
mod canary;

pub(in crate::cli) use verbs::{RollbackArgs, UpgradeArgs};
