//! The door for the fuzzers: a line of a pipeline's log, which its plugins write.

use serde_json::Value;

use super::logs::send;
use crate::fleet::PipelineLog;

/// Reads a line; it goes out as one object on one line, whatever it was.
pub(in crate::rest) fn line(bytes: &[u8]) {
    let mut sent = Vec::new();
    let log = PipelineLog {
        path: "/d/tenants/t/pipelines/p/log.jsonl".into(),
        tenant: "/d/tenants/t".into(),
    };
    send(&log, &mut sent, bytes);
    if let Some(line) = sent.strip_suffix(b"\n") {
        assert!(!line.contains(&b'\n'), "{}", String::from_utf8_lossy(line));
        assert!(serde_json::from_slice::<Value>(line).is_ok_and(|value| value.is_object()));
    }
}
