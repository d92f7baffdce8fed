//! `sandbar list`: the pipelines of a daemon.

use clap::Args;
use sandbar_control::Status;
use serde_json::json;

use super::daemon::{InTenant, plain};
use super::status::{number, word};
use crate::cli::checkpoint::moment;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar list`.
#[derive(Args, Debug)]
#[command(
    after_help = "Those of the tenant that is named, or of the token's; with a token of the platform and no --tenant, \
        those of all tenants. With -o json each has the keys of `sandbar status`.\n\n\
        Example:\n  sandbar list --tenant team-a"
)]
pub struct ListArgs {
    #[command(flatten)]
    place: InTenant,
}

impl ListArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect_to_all()?;
        let tenants = match tenant {
            Some(tenant) => vec![tenant],
            None => connection.tenants()?.into_iter().map(|tenant| tenant.name).collect(),
        };
        let mut all = Vec::new();
        for tenant in &tenants {
            all.extend(connection.pipelines(tenant)?);
        }
        out.rows(&json!(all), &table(&all))
    }
}

fn table(all: &[Status]) -> TextTable {
    let mut table = TextTable::new(&[
        Head::Text("tenant"),
        Head::Text("name"),
        Head::Text("state"),
        Head::Text("since"),
        Head::Number("version"),
        Head::Number("restarts"),
        Head::Number("records in"),
        Head::Number("records out"),
        Head::Number("lag"),
        Head::Text("reason"),
    ]);
    for status in all {
        table.row([
            status.tenant.to_string(),
            status.name.to_string(),
            word(status.state),
            moment(status.since),
            status.version.to_string(),
            status.restarts.to_string(),
            number(status.records_in),
            number(status.records_out),
            number(status.lag),
            plain(&status.reason),
        ]);
    }
    table
}
