//! The station `plugin`: user logic in its cage.
//!
//! Owns components and their instances: loading and checking them, compiling them once, calling them with a batch, and
//! what follows when a call goes wrong. Never talks to Kafka, never decides what becomes of a refused record, never
//! trusts a number that a guest gave. Always: a call's outcome is whole or nothing; an instance that trapped or broke a
//! limit is never called again; what a guest does costs at most its limits, and stops nobody but itself. What a plugin
//! keeps lies in the task's state, which a call reads as it stood before and changes only by what it returns.

mod load;
mod parts;
mod operator;
mod settle;
pub mod shown;
mod instance;
mod call;
mod turns;
mod fault;
mod limits;
mod guest_log;
mod host_calls;
mod wasi;
mod world;
#[cfg(fuzzing)]
pub mod fuzzing;
#[cfg(test)]
mod tests;

pub use call::{Advance, CallTime, Outcome, Refusal, Refused, RefusedTimer};
pub(crate) use limits::tame;
pub use load::{
    BuiltWith, Contents, Description, Engine, GuestProfile, GuestSample, GuestStack, Metric, MetricKind, Needs, Plugin,
    READY_MADE, Store, StoreKind, Stored, Timer, TimerClock, World, compatible, world_of,
};
pub use operator::{Call, Operator, Stats};
pub use parts::{CallError, Reached};
