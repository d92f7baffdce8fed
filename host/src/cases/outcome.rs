//! What came of a case, and what a run of it found.

use serde_json::{Map, Value};

/// Fields in the order in which a person reads them; others stand behind these.
const ORDER: &[&str] = &[
    "record",
    "how",
    "reason",
    "store",
    "timer",
    "clock",
    "at",
    "key",
    "key-base64",
    "user-key",
    "value",
    "value-base64",
    "timestamp",
    "headers",
];

/// A line that came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CameOut {
    /// What it says.
    pub(super) line: Value,
    /// As it is written: a value's fields are in the order in which the plugin has them.
    pub(super) text: String,
    /// The line of the input after which it came, from 1; of a batch the last.
    pub(super) after: usize,
    /// Where the plugin was, if this is its fault; empty else. It is not compared: it depends on how the plugin was
    /// built and called.
    pub(super) backtrace: String,
}

impl CameOut {
    /// The line for a person, and below it where the plugin was.
    pub(super) fn shown(&self) -> String {
        match self.backtrace.as_str() {
            "" => self.text.clone(),
            backtrace => format!("{}\n{backtrace}", self.text),
        }
    }
}

/// See the file's header.
#[derive(Debug, Clone, Default)]
pub(super) struct CaseOutcome {
    /// What each sink got, in the order of the pipeline's.
    pub(super) outputs: Vec<Vec<CameOut>>,
    /// What was refused, and what was at fault.
    pub(super) refused: Vec<CameOut>,
    /// What is kept in the end, timers too, in order.
    pub(super) state: Vec<Value>,
    /// Where event time stands behind each step.
    pub(super) watermarks: Vec<i64>,
    /// Why the plugin stopped the run, if it did, and behind which line.
    pub(super) stopped: Option<(String, usize)>,
}

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// The file and its line, or what else differs.
    pub place: String,
    /// How.
    pub what: String,
    /// What is expected, or what came record by record.
    pub expected: Option<String>,
    /// What came.
    pub got: Option<String>,
    /// The line of the input after which it came.
    pub after: Option<usize>,
}

/// A line of the runner's own as it is written, its fields in order.
pub(super) fn ordered(line: &Value) -> String {
    let none = Map::new();
    let object = line.as_object().unwrap_or(&none);
    let known = ORDER.iter().filter_map(|name| object.get_key_value(*name));
    let others = object.iter().filter(|(name, _)| !ORDER.contains(&name.as_str()));
    let fields = known
        .chain(others)
        .map(|(name, value)| format!("{}:{value}", Value::from(name.as_str())));
    format!("{{{}}}", fields.collect::<Vec<_>>().join(","))
}
