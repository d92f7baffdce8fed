//! What reaches the session's thread from all others.

use super::event::DevEvent;
use crate::config::Pipeline;
use crate::error::Result;

/// What the session hears of.
pub(super) enum Signal {
    Event(DevEvent),
    /// The plugins are ready, or why not.
    Ready(Result<Box<Pipeline>>),
    /// The run ended.
    Ended(Result<()>),
    Typed(String),
    /// Somebody asked the process to stop.
    Stop,
}
