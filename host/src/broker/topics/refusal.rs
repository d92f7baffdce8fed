//! Why a request is refused that concerns a topic or its settings; the first reason is the topic's name.

use kafka_protocol::error::ResponseError;

/// A refusal and the sentence that goes with it.
pub(in crate::broker) type RequestRefusal = (ResponseError, String);

/// Kafka's own rule for names.
pub(in crate::broker) fn check_name(name: &str) -> Result<(), RequestRefusal> {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    let why = match name {
        "" | "." | ".." => "the name must not be empty, '.' or '..'",
        _ if name.len() > 249 => "the name is longer than 249 characters",
        _ if !name.bytes().all(is_legal) => {
            "the name has characters other than ASCII letters and digits, '.', '_' and '-'"
        }
        _ => return Ok(()),
    };
    Err((ResponseError::InvalidTopicException, why.to_owned()))
}
