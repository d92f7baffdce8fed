//! What turns put out, gathered in the columns of a whole batch.

use crate::plugin::call::Emitted;

/// An output of a turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plugin) struct TurnMessage {
    pub(in crate::plugin) output: u8,
    pub(in crate::plugin) key: Option<Vec<u8>>,
    pub(in crate::plugin) value: Option<Vec<u8>>,
    /// None: that of the turn.
    pub(in crate::plugin) timestamp: Option<i64>,
    pub(in crate::plugin) headers: Vec<(String, Option<Vec<u8>>)>,
}

impl TurnMessage {
    /// The host's memory that it takes, about.
    pub(super) fn bytes(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers = self.headers.iter();
        let headers = headers.map(|(name, value)| HEADER_BYTES + name.len() + length(value));
        MESSAGE_BYTES + length(&self.key) + length(&self.value) + headers.sum::<usize>()
    }
}

/// What a message takes beside its bytes: ends, a timestamp, a cause, an offset.
const MESSAGE_BYTES: usize = 32;
const HEADER_BYTES: usize = 12;

/// Adds a message that `cause` put out.
pub(super) fn push(into: &mut Emitted, message: &TurnMessage, cause: u32, timestamp: i64) {
    let row = into.output.len() as u32;
    into.output.push(message.output);
    into.key.push(message.key.as_deref());
    into.value.push(message.value.as_deref());
    into.timestamp.push(message.timestamp.unwrap_or(timestamp));
    into.cause.push(cause);
    for (name, value) in &message.headers {
        into.headers.push(row, name.as_bytes(), value.as_deref());
    }
}

/// Takes back what was put out behind so many messages.
pub(super) fn truncate(emitted: &mut Emitted, messages: usize) {
    emitted.output.truncate(messages);
    emitted.key.truncate(messages);
    emitted.value.truncate(messages);
    emitted.timestamp.truncate(messages);
    emitted.cause.truncate(messages);
    emitted.headers.truncate(messages as u32);
}
