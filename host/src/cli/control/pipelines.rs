//! What a pipeline of a daemon is told to do: `sandbar pause`, `resume`, `delete`, and `stop` with the name of one.

use std::time::Duration;

use clap::Args;
use sandbar_control::client::{Connection, Order};
use sandbar_control::{Name, State, Status};
use serde_json::json;

use super::daemon::{InTenant, plain};
use super::status::word;
use crate::cli::output::Output;
use crate::clock;
use crate::error::{Error, Kind, Result};

/// How often is looked whether a pipeline has ended.
const LOOK: Duration = Duration::from_millis(250);

/// A pipeline of a daemon.
#[derive(Args, Debug)]
struct DaemonPipeline {
    /// The pipeline's name
    name: Name,
    #[command(flatten)]
    place: InTenant,
}

/// Arguments of `sandbar pause`.
#[derive(Args, Debug)]
#[command(
    after_help = "State and positions stay as the last checkpoint has them. The verb does not wait until the process \
        has ended.\n\nExample:\n  sandbar pause page-views"
)]
pub struct PauseArgs {
    #[command(flatten)]
    pipeline: DaemonPipeline,
}

/// Arguments of `sandbar resume`.
#[derive(Args, Debug)]
#[command(
    after_help = "A pipeline that was paused, stopped or failed runs on from its last checkpoint.\n\n\
        Example:\n  sandbar resume page-views"
)]
pub struct ResumeArgs {
    #[command(flatten)]
    pipeline: DaemonPipeline,
}

/// Arguments of `sandbar delete`.
#[derive(Args, Debug)]
#[command(
    after_help = "Its process is stopped first; then all that the daemon keeps of it goes, its versions, logs, state \
        and checkpoints. Topics, and the group's positions in Kafka, stay.\n\nExample:\n  sandbar delete page-views"
)]
pub struct DeleteArgs {
    #[command(flatten)]
    pipeline: DaemonPipeline,
}

impl PauseArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        self.pipeline.order(Order::Pause, out)
    }
}

impl ResumeArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        self.pipeline.order(Order::Resume, out)
    }
}

impl DeleteArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let DaemonPipeline { name, place } = self.pipeline;
        let (connection, tenant) = place.connect()?;
        connection.delete_pipeline(&tenant, &name)?;
        out.show(&json!({ "deleted": name, "tenant": tenant }), || {
            format!("deleted {name} of {tenant}")
        })
    }
}

impl DaemonPipeline {
    fn order(&self, order: Order, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect()?;
        let status = connection.order(&tenant, &self.name, order)?;
        out.show(&json!(status), || {
            format!(
                "told {} of {tenant} to {}; it is {} now",
                self.name,
                order.as_str(),
                word(status.state)
            )
        })
    }
}

/// How a pipeline of a daemon is stopped.
pub(in crate::cli) struct DaemonStop {
    /// Whether time is to end first.
    pub(in crate::cli) drain: bool,
    /// Whether a savepoint is taken then, and its name if it has one.
    pub(in crate::cli) savepoint: Option<Option<Name>>,
    /// How long it is waited for.
    pub(in crate::cli) limit: Duration,
}

/// Stops a pipeline of a daemon, and waits until its process has ended.
///
/// # Errors
/// `TimedOut`: it has not within the limit. Otherwise as the daemon says.
pub(in crate::cli) fn stop(name: &Name, place: &InTenant, how: &DaemonStop, out: &Output) -> Result<()> {
    let (connection, tenant) = place.connect().map_err(|error| explained(name, place, error))?;
    if how.drain || how.savepoint.is_some() {
        return stop_in_order(&connection, (&tenant, name), how, out);
    }
    let mut status = connection.order(&tenant, name, Order::Stop)?;
    let until = clock::now() + how.limit;
    while has_process(&status) {
        if clock::now() >= until {
            let why = format!("it has not ended within {:?}; it goes on stopping", how.limit);
            let what = format!("failed to stop {name} of {tenant} in time");
            return Err(Error::new(Kind::TimedOut, what, why).hint("--timeout waits longer"));
        }
        std::thread::sleep(LOOK);
        status = look(&connection, &tenant, name)?;
    }
    out.show(&json!(status), || {
        format!("{name} of {tenant} is {}", word(status.state))
    })
}

/// The daemon waits, and says what became of it.
fn stop_in_order(
    connection: &Connection,
    (tenant, name): (&Name, &Name),
    how: &DaemonStop,
    out: &Output,
) -> Result<()> {
    let savepoint = how.savepoint.as_ref().map(Option::as_ref);
    let stopped = connection.stop((tenant, name), how.drain, savepoint, how.limit)?;
    out.show(&json!(stopped), || {
        let state = word(stopped.status.state);
        let saved = stopped.savepoint.as_deref();
        let saved = saved.map_or_else(String::new, |saved| format!(", with savepoint {}", plain(saved)));
        format!("{name} of {tenant} is {state}{saved}")
    })
}

fn look(connection: &Connection, tenant: &Name, name: &Name) -> Result<Status> {
    Ok(connection.status(tenant, name)?)
}

/// Whoever meant a file hears why a daemon was looked for.
fn explained(name: &Name, place: &InTenant, error: Error) -> Error {
    match place.is_given() {
        true => error,
        false => Error {
            why: format!(
                "{}\n`{name}` is no file here, and so is taken for a pipeline of a daemon",
                error.why
            ),
            ..error
        },
    }
}

/// Whether a process of the pipeline is there, or about to be.
fn has_process(status: &Status) -> bool {
    let is_at_work = matches!(
        status.state,
        State::Starting | State::Running | State::Waiting | State::Restarting
    );
    is_at_work || status.pid.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipeline_has_ended_when_no_process_of_it_is_left() {
        let status = |state, pid| -> Status {
            serde_json::from_value(
                json!({ "name": "a", "tenant": "t", "state": state, "reason": "", "since": 0,
                "restarts": 0, "version": 1, "records-in": null, "records-out": null, "lag": null, "workers": null,
                "pid": pid }),
            )
            .unwrap()
        };
        for (state, pid, has) in [
            ("running", Some(1), true),
            ("restarting", None, true),
            ("stopped", Some(1), true),
            ("stopped", None, false),
            ("finished", None, false),
            ("failed", None, false),
        ] {
            assert_eq!(has_process(&status(state, pid)), has, "{state} {pid:?}");
        }
    }
}
