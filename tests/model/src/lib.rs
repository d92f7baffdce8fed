//! The model of the commit protocol: the host's own state machine, against a broker, a store and workers that crash.
//!
//! The state machine is the host's source file itself, so that it is the one that runs.

#[path = "../../../host/src/checkpoint/protocol.rs"]
pub mod protocol;
