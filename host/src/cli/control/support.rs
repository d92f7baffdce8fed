//! `sandbar support`: all that helps to find out what is wrong with a pipeline of a daemon.

use clap::Args;
use sandbar_control::Name;
use serde_json::Value;

use super::daemon::InTenant;
use crate::cli::output::Output;
use crate::error::Result;

/// Arguments of `sandbar support`.
#[derive(Args, Debug)]
#[command(
    after_help = "Prints one JSON document, whatever -o says: the pipeline's file and versions, its status, the last \
        200 lines of its log, its checkpoints, its positions, and what the daemon's machine has. There is no secret in \
        it beyond what the log and the file have themselves. What could not be found out is {\"problem\": \"…\"}.\n\n\
        Example:\n  sandbar support page-views > page-views.json"
)]
pub struct SupportArgs {
    /// The pipeline's name
    name: Name,
    #[command(flatten)]
    place: InTenant,
}

impl SupportArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect()?;
        let bundle = connection.support(&tenant, &self.name)?;
        out.show(&bundle, || text(&bundle))
    }
}

/// A line for each thing. What a log has of control characters stays escaped.
fn text(bundle: &Value) -> String {
    serde_json::to_string_pretty(bundle).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_does_nothing_to_a_terminal() {
        let shown = text(&serde_json::json!({ "log": ["a\u{1b}[2J"] }));
        assert!(shown.contains("\\u001b[2J") && !shown.contains('\u{1b}'), "{shown}");
    }
}
