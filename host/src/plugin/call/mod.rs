//! What crosses the sandbox's wall in a call, both ways.
//!
//! Owns the columns that a guest is sent, what it reads and what it gave back: grouping by key, the values that travel,
//! checks, and what becomes of outputs and changes. Never calls a guest. Always: nothing of a guest's is used before it
//! was checked.

mod declared;
mod keys;
mod time;
mod timers;
mod portion;
pub(in crate::plugin) mod chance;
mod batch;
mod refused;
mod returned;
mod column;
mod outcome;
mod changes;
mod reader;
#[cfg(fuzzing)]
pub(in crate::plugin) mod fuzzing;

pub(in crate::plugin) use batch::{Events, Lent, Origin, Sent};
pub(in crate::plugin) use changes::{ChangeKind, apply, check_lists};
pub(in crate::plugin) use declared::Declared;
pub(in crate::plugin) use keys::{NO_KEY, entry};
pub use outcome::Outcome;
pub(in crate::plugin) use outcome::{Asked, check, memory};
pub(in crate::plugin) use reader::StateReader;
pub use refused::{Refusal, Refused, RefusedTimer};
pub(in crate::plugin) use returned::{Changes, Declined, Emitted, Measured, RefusedEvent, Returned, TimerChange};
pub use time::{Advance, CallTime};
pub(in crate::plugin) use time::{BEFORE_ALL, BY_ADVANCE};
pub(in crate::plugin) use timers::{DeclaredTimers, Due, DueTimers, change_timers};
