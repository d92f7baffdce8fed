//! A profile as Firefox's profiler (<https://profiler.firefox.com>) reads it: tables whose columns name rows of each
//! other.
//!
//! Written here, for the crate that writes it has the whole compiler of plugins built anew: it takes another feature of
//! a crate that both use. The format has a version, which its reader brings up to date by itself.

use crate::plugin::GuestProfile;
use serde_json::{Value, json};

/// The version that is written.
const VERSION: u32 = 55;

/// The profile of a plugin of this name; a sample stands for so many milliseconds.
pub(super) fn profile(name: &str, interval_ms: f64, profile: &GuestProfile) -> Value {
    json!({
        "meta": meta(interval_ms),
        "libs": [],
        "threads": [thread(name, interval_ms, profile)],
        "pages": [],
        "profilerOverhead": [],
        "counters": [],
    })
}

fn meta(interval_ms: f64) -> Value {
    json!({
        "categories": [{ "name": "Other", "color": "grey", "subcategories": ["Other"] }],
        "debug": false,
        "extensions": { "length": 0, "baseURL": [], "id": [], "name": [] },
        "interval": interval_ms,
        "preprocessedProfileVersion": VERSION,
        "processType": 0,
        "product": "sandbar bench",
        "sampleUnits": { "time": "ms", "eventDelay": "ms", "threadCPUDelta": "µs" },
        "startTime": 0.0,
        "symbolicated": true,
        "pausedRanges": [],
        // The recorder's own, which its reader does not look at.
        "version": 24,
        "usesOnlyOneStackType": true,
        "sourceCodeIsNotOnSearchfox": true,
        "markerSchema": [],
    })
}

fn thread(name: &str, interval_ms: f64, profile: &GuestProfile) -> Value {
    let end = profile.samples.last().map_or(0.0, |last| last.at.as_secs_f64() * 1e3);
    json!({
        "name": name,
        "isMainThread": true,
        "processType": "default",
        "processName": name,
        "processStartupTime": 0.0,
        "processShutdownTime": end,
        "registerTime": 0.0,
        "unregisterTime": end,
        "pausedRanges": [],
        "showMarkersInTimeline": false,
        "pid": "0",
        "tid": "0",
        "samples": samples(interval_ms, profile),
        "stackTable": {
            "length": profile.stacks.len(),
            "prefix": profile.stacks.iter().map(|stack| stack.caller).collect::<Vec<_>>(),
            "frame": profile.stacks.iter().map(|stack| stack.function).collect::<Vec<_>>(),
        },
        // A frame is a function here, and its name is the text of the same number.
        "frameTable": frames(profile.functions.len()),
        "funcTable": functions(profile.functions.len()),
        "stringArray": profile.functions,
        "resourceTable": { "length": 0, "lib": [], "name": [], "host": [], "type": [] },
        "nativeSymbols": { "length": 0, "address": [], "functionSize": [], "libIndex": [], "name": [] },
        "markers": {
            "length": 0, "category": [], "data": [], "endTime": [], "name": [], "phase": [], "startTime": [],
        },
    })
}

fn samples(interval_ms: f64, profile: &GuestProfile) -> Value {
    let mut before = 0.0;
    let since_last = profile.samples.iter().map(|sample| {
        let at = sample.at.as_secs_f64() * 1e3;
        at - std::mem::replace(&mut before, at)
    });
    let count = profile.samples.len();
    json!({
        "length": count,
        "weightType": "samples",
        "weight": vec![1; count],
        "stack": profile.samples.iter().map(|sample| sample.stack).collect::<Vec<_>>(),
        "timeDeltas": since_last.collect::<Vec<_>>(),
        // The guest had the processor: what the host does is not looked at.
        "threadCPUDelta": vec![interval_ms * 1e3; count],
    })
}

fn frames(count: usize) -> Value {
    json!({
        "length": count,
        "address": vec![-1; count],
        "inlineDepth": vec![0; count],
        "category": vec![0; count],
        "subcategory": vec![0; count],
        "func": (0..count).collect::<Vec<_>>(),
        "nativeSymbol": vec![Value::Null; count],
        "innerWindowID": vec![0; count],
        "line": vec![Value::Null; count],
        "column": vec![Value::Null; count],
    })
}

fn functions(count: usize) -> Value {
    json!({
        "length": count,
        "name": (0..count).collect::<Vec<_>>(),
        "isJS": vec![false; count],
        "relevantForJS": vec![false; count],
        "resource": vec![-1; count],
        "fileName": vec![Value::Null; count],
        "lineNumber": vec![Value::Null; count],
        "columnNumber": vec![Value::Null; count],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::{GuestSample, GuestStack};
    use std::time::Duration;

    #[test]
    fn the_columns_of_a_table_are_as_long_as_it_and_name_rows_that_are_there() {
        let stack = |caller, function| GuestStack { caller, function };
        let sample = |ms, stack| GuestSample {
            at: Duration::from_millis(ms),
            stack,
        };
        let taken = GuestProfile {
            functions: vec!["process".to_owned(), "burn".to_owned()],
            stacks: vec![stack(None, 0), stack(Some(0), 1)],
            samples: vec![sample(2, 1), sample(5, 0), sample(9, 1)],
        };
        let written = profile("plugin", 1.0, &taken);
        let thread = &written["threads"][0];
        let tables = thread.as_object().unwrap().iter();
        let mut checked = 0;
        for (name, table) in tables.filter(|(_, table)| table["length"].is_u64()) {
            let columns = table.as_object().unwrap().iter();
            for (column, values) in columns.filter(|(_, values)| values.is_array()) {
                assert_eq!(table["length"], values.as_array().unwrap().len(), "{name}.{column}");
                checked += 1;
            }
        }
        assert!(checked > 30);
        assert_eq!(thread["samples"]["timeDeltas"], json!([2.0, 3.0, 4.0]));
        assert_eq!(thread["stackTable"]["prefix"], json!([null, 0]));
        assert_eq!(thread["stringArray"], json!(["process", "burn"]));
    }
}
