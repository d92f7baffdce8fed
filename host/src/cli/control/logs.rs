//! `sandbar logs`: what the process of a pipeline of a daemon prints.

use clap::Args;
use sandbar_control::Name;

use super::daemon::{InTenant, plain};
use crate::cli::output::Output;
use crate::error::Result;

/// Arguments of `sandbar logs`.
#[derive(Args, Debug)]
#[command(
    after_help = "Each line is what `sandbar run -o json` prints, or a line of its log.\n\n\
        Examples:\n  sandbar logs page-views\n  sandbar logs page-views -f --last 1000"
)]
pub struct LogsArgs {
    /// The pipeline's name
    name: Name,
    /// Go on with each line that comes
    #[arg(short, long)]
    follow: bool,
    /// Begin with so many of the lines that are there
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(..=10_000))]
    last: u32,
    #[command(flatten)]
    place: InTenant,
}

impl LogsArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect()?;
        for line in connection.logs(&tenant, &self.name, self.last, self.follow)? {
            let line = line?;
            match out.is_json() {
                true => out.line(&line)?,
                false => out.line(&plain(&line))?,
            }
        }
        Ok(())
    }
}
