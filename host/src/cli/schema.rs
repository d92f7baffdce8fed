//! `sandbar schema`: the JSON schema of a file that a person writes.

use clap::{Args, Subcommand};

use super::output::Output;
use crate::error::Result;
use crate::spec;

/// Arguments of `sandbar schema`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar schema pipeline > pipeline.schema.json"
)]
pub struct SchemaArgs {
    #[command(subcommand)]
    of: Of,
}

#[derive(Subcommand, Debug)]
enum Of {
    /// The schema of a pipeline file
    #[command(after_help = "Example:\n  sandbar schema pipeline > pipeline.schema.json")]
    Pipeline,
}

impl SchemaArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        match self.of {
            Of::Pipeline => out.line(&format!("{:#}", spec::schema())),
        }
    }
}
