//! Which errors of a cluster pass by themselves: the one list that sources and sinks judge Kafka's errors by.
//!
//! Numbers are those of Kafka's protocol; negative ones are librdkafka's own.

/// Errors after which the same question may be answered a little later: the broker is away, moves, or has just come.
///
/// librdkafka takes leave of a broker that the metadata no longer lists, and of the questions to it: -137.
const PASSING: [i32; 20] = [
    -195, // the connection broke
    -193, // a host's name was not found
    -187, // all brokers are down
    -185, // timed out
    -180, // waiting for a coordinator
    -166, // timed out before it was asked
    -137, // the handle of the broker was destroyed
    5,    // no leader
    6,    // not the leader
    7,    // a broker's request timed out
    8,    // the broker is not available
    13,   // the connection broke, as brokers say it
    14,   // the coordinator is loading
    15,   // no coordinator
    16,   // not the coordinator
    56,   // the broker's disk failed
    74,   // an old leader epoch
    75,   // a leader epoch that the broker has not heard of yet
    78,   // an offset that is not available yet
    88,   // offsets that a transaction is about to move
];

/// In librdkafka's words: a connection that ended before its log-in did. A broker that restarts cuts connections in any
/// state, and librdkafka calls that "authentication" as it calls a wrong password.
const CUT_OFF: [&str; 4] = [
    "Disconnected",
    "Local: Broker transport failure",
    "Local: Timed out",
    "Local: Broker handle destroyed without termination",
];

/// Whether an error passes by itself.
pub fn passes(code: i32) -> bool {
    PASSING.contains(&code)
}

/// Whether a log-in or its encryption failed only because the connection did.
pub fn is_cut_off(reason: &str) -> bool {
    CUT_OFF.iter().any(|words| reason.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_in_that_was_cut_off_is_told_from_one_that_was_refused() {
        let of_restarts = [
            "sasl_plaintext://b:1/1: SASL PLAIN mechanism handshake failed: Local: Broker transport failure: \
             broker's supported mechanisms: ",
            "sasl_plaintext://b:1/1: SaslAuthenticateRequest failed: Local: Broker transport failure (after 3ms in \
             state AUTH_REQ)",
            "sasl_plaintext://b:1/1: SaslAuthenticateRequest failed: Local: Timed out (after 60000ms in state \
             AUTH_REQ)",
            "sasl_plaintext://b:1/1: Disconnected: hung up from peer in state AUTH_LEGACY",
        ];
        assert!(of_restarts.iter().all(|reason| is_cut_off(reason)));
        let refused = [
            "sasl_plaintext://b:1/1: SASL authentication error: Authentication failed: Invalid username or password \
             (after 5ms in state AUTH_REQ)",
            "sasl_plaintext://b:1/1: SASL GSSAPI mechanism handshake failed: Broker: Unsupported SASL mechanism: \
             broker's supported mechanisms: PLAIN",
        ];
        assert!(!refused.iter().any(|reason| is_cut_off(reason)));
    }
}
