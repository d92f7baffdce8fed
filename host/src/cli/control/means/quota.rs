//! `sandbar quota`: how much a tenant may use.

use clap::{Args, Subcommand};
use sandbar_control::{Name, Quotas};
use serde_json::json;

use crate::cli::control::daemon::{DaemonArgs, InTenant};
use crate::cli::output::{Head, Output, TextTable};
use crate::error::{Error, Kind, Result};

/// Arguments of `sandbar quota`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "To set quotas takes a token of the platform; a tenant sees its own.\n\n\
        Example:\n  sandbar quota set team-a pipelines=20 pipeline-memory=512MiB"
)]
pub struct QuotaArgs {
    #[command(subcommand)]
    action: QuotaAction,
}

#[derive(Subcommand, Debug)]
enum QuotaAction {
    /// Show how much a tenant may use
    #[command(
        after_help = "With -o json figures are in bytes, thousandths of a core and seconds, and what is not limited \
        is not there.\n\nExample:\n  sandbar quota show team-a"
    )]
    Show {
        /// The tenant; by default the one of the token
        #[arg(value_name = "TENANT")]
        named: Option<Name>,
        #[command(flatten)]
        place: InTenant,
    },
    /// Say how much a tenant may use; what is not named stays as it is
    #[command(
        after_help = "Quotas: pipelines, versions (of a pipeline that are kept; 50 if it is not set), plugins, \
        plugin-bytes, pipeline-workers, pipeline-memory, pipeline-cpu (cores, such as 1.5), pipeline-state, bytes-in \
        and bytes-out (a second and pipeline), log-lines (a second), compile-time. NAME=none takes one away.\n\n\
        Examples:\n  sandbar quota set team-a pipelines=20 pipeline-memory=512MiB pipeline-cpu=1.5 compile-time=60s\n  \
        sandbar quota set team-a pipelines=none"
    )]
    Set {
        /// The tenant
        tenant: Name,
        /// The quotas
        #[arg(value_name = "NAME=FIGURE", required = true)]
        figures: Vec<String>,
        #[command(flatten)]
        daemon: DaemonArgs,
    },
}

impl QuotaArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            QuotaAction::Show { named, place } => {
                let (connection, tenant) = place.within(named)?.connect()?;
                show(&connection.quotas(&tenant)?, out)
            }
            QuotaAction::Set {
                tenant,
                figures,
                daemon,
            } => {
                // A word that is wrong is told before anybody is asked.
                changed(Quotas::default(), &figures)?;
                let connection = daemon.connect()?;
                let quotas = changed(connection.quotas(&tenant)?, &figures)?;
                connection.set_quotas(&tenant, &quotas)?;
                show(&quotas, out)
            }
        }
    }
}

fn changed(mut quotas: Quotas, figures: &[String]) -> Result<Quotas> {
    for figure in figures {
        let set = quotas.set(figure);
        set.map_err(|why| Error::new(Kind::Usage, format!("`{figure}` sets no quota"), why))?;
    }
    Ok(quotas)
}

fn show(quotas: &Quotas, out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[Head::Text("quota"), Head::Number("at most")]);
    for (name, figure) in quotas.shown() {
        let usual = if name == "versions" { "50" } else { "not limited" };
        table.row([name.to_owned(), figure.unwrap_or_else(|| usual.to_owned())]);
    }
    out.rows(&json!(quotas), &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_named_stays() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let first = changed(Quotas::default(), &words(&["pipelines=20", "pipeline-memory=512MiB"])).unwrap();
        let second = changed(first, &words(&["pipelines=none", "plugins=3"])).unwrap();
        assert_eq!((second.pipelines, second.plugins), (None, Some(3)));
        assert_eq!(second.pipeline_memory, Some(512 << 20));
        let error = changed(second, &words(&["pods=3"])).unwrap_err();
        assert!(
            error.kind == Kind::Usage && error.to_string().contains("pods"),
            "{error}"
        );
    }
}
