//! `sandbar status`: what a pipeline of a daemon does.

use clap::Args;
use sandbar_control::{Name, PartitionPosition, State, Status};
use serde_json::json;

use super::daemon::{InTenant, plain};
use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar status`.
#[derive(Args, Debug)]
#[command(
    after_help = "With -o json it prints one object: `name`, `tenant`, `state`, `reason`, `since` in milliseconds \
        since 1970, `restarts`, `version`, and, each null if there is no process that says so, `records-in`, \
        `records-out`, `lag`, `workers` and `pid`. The state is one of starting, running, waiting, restarting, paused, \
        finished, failed, stopped. With --positions it prints an array: each partition has `source`, `topic`, \
        `partition`, `committed`, `origin`, `begin`, `end`, `lag`, `watermark` and `idle`.\n\n\
        Examples:\n  sandbar status page-views\n  sandbar status page-views --positions"
)]
pub struct StatusArgs {
    /// The pipeline's name
    name: Name,
    /// Show where it stands in each partition of its inputs
    #[arg(long)]
    positions: bool,
    #[command(flatten)]
    place: InTenant,
}

impl StatusArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect()?;
        if self.positions {
            let positions = connection.positions(&tenant, &self.name)?;
            return out.rows(&json!(positions), &table(&positions));
        }
        let status = connection.status(&tenant, &self.name)?;
        out.show(&json!(status), || lines(&status))
    }
}

/// A line a partition.
fn table(positions: &[PartitionPosition]) -> TextTable {
    let mut table = TextTable::new(&[
        Head::Text("source"),
        Head::Text("partition"),
        Head::Number("committed"),
        Head::Text("origin"),
        Head::Number("begin"),
        Head::Number("end"),
        Head::Number("lag"),
    ]);
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    for at in positions {
        table.row([
            plain(&at.source),
            plain(&format!("{}/{}", at.topic, at.partition)),
            number(at.committed),
            plain(at.origin.as_deref().unwrap_or("-")),
            at.begin.to_string(),
            at.end.to_string(),
            number(at.lag),
        ]);
    }
    table
}

/// A state as the daemon writes it.
pub(super) fn word(state: State) -> String {
    json!(state).as_str().unwrap_or_default().to_owned()
}

/// A number, or nothing if nobody says it.
pub(super) fn number(number: Option<u64>) -> String {
    number.map(|number| number.to_string()).unwrap_or_default()
}

fn lines(status: &Status) -> String {
    let state = format!("{} since {}", word(status.state), moment(status.since));
    let lines = [
        ("name", status.name.to_string()),
        ("tenant", status.tenant.to_string()),
        ("state", state),
        ("reason", plain(&status.reason)),
        ("version", status.version.to_string()),
        ("restarts", status.restarts.to_string()),
        ("records in", number(status.records_in)),
        ("records out", number(status.records_out)),
        ("lag", number(status.lag)),
        ("workers", number(status.workers)),
        ("process", number(status.pid.map(u64::from))),
    ];
    let known = lines.iter().filter(|(_, value)| !value.is_empty());
    known.map(|(name, value)| format!("{name:<13}{value}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Status {
        Status {
            name: "views".parse().unwrap(),
            tenant: "t".parse().unwrap(),
            state: State::Waiting,
            reason: "no\x1bbroker".to_owned(),
            since: 1_700_000_000_000,
            restarts: 0,
            version: 3,
            records_in: Some(7),
            records_out: None,
            lag: None,
            workers: Some(2),
            pid: None,
        }
    }

    #[test]
    fn programs_find_exactly_the_keys_that_they_were_promised() {
        let mut promised = [
            "name",
            "tenant",
            "state",
            "reason",
            "since",
            "restarts",
            "version",
            "records-in",
            "records-out",
            "lag",
            "workers",
            "pid",
        ];
        promised.sort_unstable();
        let value = json!(status());
        let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, promised);
        assert_eq!((&value["state"], &value["lag"]), (&json!("waiting"), &json!(null)));
    }

    #[test]
    fn people_see_what_is_known() {
        let shown = "name         views\ntenant       t\nstate        waiting since 2023-11-14T22:13:20Z\n\
            reason       no broker\nversion      3\nrestarts     0\nrecords in   7\nworkers      2\n";
        assert_eq!(lines(&status()), shown);
    }
}
