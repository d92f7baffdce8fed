//! How a process ended: from what the system says of it, if it was our child, and from the last that it said itself.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::problem::{ProblemKind, Result};

/// Exit codes that the same start would give again: the pipeline file, the plugin, the state, a record.
const LASTING: [u8; 4] = [3, 4, 6, 10];
/// The event with which the log of a process begins.
const MARKER: &str = "process";

/// The event that a process tells of each partition before it reads.
const START: &str = "start";

/// What a line of a log says of how far a process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LogLine {
    /// What follows is of the process that began at this time.
    Began(i64),
    /// It knows where it reads.
    Reads,
    /// Something else.
    Other,
}

impl LogLine {
    /// Of these bytes.
    pub(super) fn of(line: &[u8]) -> Self {
        let line: Value = serde_json::from_slice(line).unwrap_or_default();
        match (line["event"].as_str(), line["at"].as_i64()) {
            (Some(MARKER), at) => Self::Began(at.unwrap_or_default()),
            (Some(START), _) => Self::Reads,
            _ => Self::Other,
        }
    }
}

/// How a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ending {
    /// It came to the end of its input.
    Finished,
    /// It was asked to end, by us or by somebody else, and did.
    Stopped,
    /// It failed, in a way that may get better by itself, or not.
    Failed {
        /// Whether the same start would fail again.
        is_lasting: bool,
        /// Why, in a sentence.
        why: String,
    },
}

impl Ending {
    /// Of the process that began at this time: from the end of its log, and from the system's word, if there is one.
    pub(super) fn of(log: &str, began: i64, status: Option<ExitStatus>) -> Self {
        let signal = status.and_then(|status| status.signal());
        if let Some(signal) = signal {
            return Self::failed(
                false,
                format!("its process was ended by signal {signal}{}", likely(signal)),
            );
        }
        // The system's word counts for more: a process may have died while it said something else.
        let last_marker = log.lines().rev().find_map(marked);
        let of_this_process = log.lines().rev().take_while(|line| marked(line).is_none());
        // Without a marker all that was read is behind it.
        let is_its_own = last_marker.is_none_or(|at| at == began);
        let said = of_this_process.filter_map(said).next().filter(|_| is_its_own);
        match (said, status.and_then(|status| status.code())) {
            (Some(ending @ (Self::Finished | Self::Stopped)), None | Some(0)) => ending,
            (Some(ending @ Self::Failed { .. }), None) => ending,
            (Some(Self::Failed { why, .. }), Some(code)) => Self::of_code(code, why),
            (_, Some(code)) => Self::of_code(code, format!("its process ended with exit code {code}")),
            (None, None) => Self::failed(false, "its process is gone, and said nothing of why".to_owned()),
        }
    }

    /// The line that stands in a log before what a new process says.
    pub(super) fn marker(version: i64, at: i64) -> String {
        serde_json::json!({ "event": MARKER, "version": version, "at": at }).to_string()
    }

    /// Of one that could not be started.
    pub(super) fn not_started(why: &io::Error) -> Self {
        Self::failed(false, format!("its process could not be started: {why}"))
    }

    /// Of one that used more than it may.
    pub(super) fn of_excess(why: &str, is_lasting: bool) -> Self {
        Self::failed(is_lasting, why.to_owned())
    }

    /// Of one that was not started because its check was not passed; `None`: it was.
    pub(super) fn of_check(check: io::Result<Result<()>>) -> Option<Self> {
        match check {
            Ok(Ok(())) => None,
            Ok(Err(problem)) => {
                let is_lasting = matches!(problem.kind, ProblemKind::Invalid | ProblemKind::PluginRefused);
                Some(Self::failed(is_lasting, problem.to_string()))
            }
            Err(error) => Some(Self::failed(false, format!("it could not be checked: {error}"))),
        }
    }

    fn of_code(code: i32, why: String) -> Self {
        let is_lasting = u8::try_from(code).is_ok_and(|code| LASTING.contains(&code));
        Self::failed(is_lasting, why)
    }

    fn failed(is_lasting: bool, why: String) -> Self {
        Self::Failed { is_lasting, why }
    }
}

/// When the process began whose words follow this line.
fn marked(line: &str) -> Option<i64> {
    let line: Value = serde_json::from_str(line).ok()?;
    let is_marker = line["event"] == MARKER;
    is_marker.then(|| line["at"].as_i64().unwrap_or_default())
}

/// What a line of a log says of the end, if it does.
fn said(line: &str) -> Option<Ending> {
    let line: Value = serde_json::from_str(line).ok()?;
    if let Some(error) = line.get("error") {
        let text = |name: &str| error[name].as_str().unwrap_or_default();
        let hint = match text("hint") {
            "" => String::new(),
            hint => format!(" ({hint})"),
        };
        let code = error["exit"].as_i64().and_then(|code| i32::try_from(code).ok());
        return Some(Ending::of_code(
            code.unwrap_or(1),
            format!("{}: {}{hint}", text("what"), text("why")),
        ));
    }
    match (line["event"].as_str()?, line["reason"].as_str()) {
        ("stopped", Some("finished")) => Some(Ending::Finished),
        ("stopped", _) => Some(Ending::Stopped),
        _ => None,
    }
}

/// What sends a signal that nobody asked for.
fn likely(signal: i32) -> &'static str {
    match signal {
        9 => " (SIGKILL: the system had no memory left, or somebody killed it)",
        11 => " (SIGSEGV)",
        6 => " (SIGABRT)",
        24 => " (SIGXCPU: it used up its CPU time)",
        31 => " (SIGSYS: it asked the system for what it may not)",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAILED: &str =
        r#"{"error":{"exit":4,"hint":"build it","kind":"plugin","what":"failed to load","why":"gone"}}"#;
    const AWAY: &str = r#"{"error":{"exit":5,"hint":null,"kind":"kafka","what":"failed to start","why":"no broker"}}"#;
    const DONE: &str = r#"{"event":"stopped","reason":"finished","records-in":3}"#;
    const ASKED: &str = r#"{"event":"stopped","reason":"signal","records-in":3}"#;

    const BEGAN: i64 = 1_700_000_000_000;

    fn failed(is_lasting: bool, why: &str) -> Ending {
        Ending::failed(is_lasting, why.to_owned())
    }

    #[test]
    fn a_process_that_nobody_waited_for_tells_its_end_itself() {
        let of = |log: &str| Ending::of(log, BEGAN, None);
        assert_eq!(of(&format!("{{}}\nnoise\n{DONE}\n")), Ending::Finished);
        assert_eq!(of(ASKED), Ending::Stopped);
        assert_eq!(of(FAILED), failed(true, "failed to load: gone (build it)"));
        assert_eq!(of(AWAY), failed(false, "failed to start: no broker"));
        let next = format!("{DONE}\n{}\n", Ending::marker(2, BEGAN));
        assert_eq!(of(&next), failed(false, "its process is gone, and said nothing of why"));
        assert_eq!(
            of("{\"event\":\"checkpoint\"}"),
            failed(false, "its process is gone, and said nothing of why")
        );
    }

    #[test]
    fn what_an_older_process_said_is_not_the_end_of_this_one() {
        let log = format!("{}\n{DONE}\n", Ending::marker(1, BEGAN - 1));
        assert_eq!(Ending::of(&log, BEGAN - 1, None), Ending::Finished);
        let gone = failed(false, "its process is gone, and said nothing of why");
        assert_eq!(Ending::of(&log, BEGAN, None), gone);
    }

    #[test]
    fn what_the_system_says_counts_for_more() {
        let of = |log: &str, raw: i32| Ending::of(log, BEGAN, Some(ExitStatus::from_raw(raw)));
        assert!(matches!(of(DONE, 9), Ending::Failed { is_lasting: false, why } if why.contains("SIGKILL")));
        assert_eq!(of(DONE, 0), Ending::Finished);
        assert_eq!(of(FAILED, 4 << 8), failed(true, "failed to load: gone (build it)"));
        assert_eq!(of(AWAY, 6 << 8), failed(true, "failed to start: no broker"));
        assert_eq!(of(DONE, 1 << 8), failed(false, "its process ended with exit code 1"));
    }

    /// A plugin writes into the same log, in lines that begin in another way, and cannot end its process by that.
    #[test]
    fn a_line_of_a_plugins_log_is_no_ending() {
        let log = "2026-11-30T18:43:38Z ERROR sandbar::plugin::log: {\"event\":\"stopped\",\"reason\":\"finished\"}\n";
        assert_eq!(
            Ending::of(log, BEGAN, None),
            failed(false, "its process is gone, and said nothing of why")
        );
    }
}
