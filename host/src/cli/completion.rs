//! `sandbar completion`: the completion script of a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::args::CommandLine;
use super::output::Output;
use crate::error::Result;

/// Arguments of `sandbar completion`.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  sandbar completion bash > /etc/bash_completion.d/sandbar")]
pub struct Completion {
    /// The shell
    shell: Shell,
}

impl Completion {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut CommandLine::command(), "sandbar", &mut script);
        out.bytes(&script)
    }
}
