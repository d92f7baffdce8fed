//! `sandbar context`: daemons by name, and which of them is asked.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use sandbar_control::Name;
use sandbar_control::client::{Contexts, Surroundings};
use serde_json::{Value, json};

use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar context`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Contexts are kept in the file that SANDBAR_CONFIG names, or in ~/.config/sandbar/contexts.toml; of a \
        token they hold the path alone. A verb asks the daemon of its flags --url and --token-file, or of --context; \
        else that of SANDBAR_URL and SANDBAR_TOKEN_FILE; else that of the current context.\n\n\
        Example:\n  sandbar context add here --url http://127.0.0.1:8620 --token-file data/admin.token"
)]
pub struct ContextArgs {
    #[command(subcommand)]
    action: ContextAction,
}

#[derive(Subcommand, Debug)]
enum ContextAction {
    /// Add a daemon, or put it in the place of the one of that name; the first one becomes current
    #[command(
        after_help = "Example:\n  sandbar context add here --url http://127.0.0.1:8620 --token-file data/admin.token"
    )]
    Add {
        /// The context's name
        name: Name,
        /// The daemon's address
        #[arg(long, value_name = "URL")]
        url: String,
        /// The file of the token that is shown there
        #[arg(long, value_name = "FILE")]
        token_file: PathBuf,
    },
    /// Ask the daemon of this context from now on
    #[command(after_help = "Example:\n  sandbar context use here")]
    Use {
        /// The context's name
        name: Name,
    },
    /// List the contexts
    #[command(after_help = "Example:\n  sandbar context list")]
    List,
}

impl ContextArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let around = Surroundings::of_process();
        let path = around.contexts()?;
        match self.action {
            ContextAction::Add { name, url, token_file } => {
                let before = Contexts::add(path, name.clone(), &url, &token_file)?;
                let current = Contexts::read(path)?.current.as_ref() == Some(&name);
                let told = json!({ "context": name, "replaced": before.is_some(), "current": current });
                out.show(&told, || {
                    let did = if before.is_some() { "replaced" } else { "added" };
                    let is = if current { "; it is the current one" } else { "" };
                    format!("{did} context {name}{is}")
                })
            }
            ContextAction::Use { name } => {
                Contexts::make_current(path, &name)?;
                out.show(&json!({ "current": name }), || {
                    format!("context {name} is the current one")
                })
            }
            ContextAction::List => list(&Contexts::read(path)?, out),
        }
    }
}

fn list(contexts: &Contexts, out: &Output) -> Result<()> {
    let heads = ["context", "current", "url", "token file"].map(Head::Text);
    let mut table = TextTable::new(&heads);
    let mut values = Vec::new();
    for (name, context) in &contexts.all {
        let current = contexts.current.as_ref() == Some(name);
        table.row([
            name.to_string(),
            if current { "yes" } else { "" }.to_owned(),
            context.url.clone(),
            context.token_file.display().to_string(),
        ]);
        values.push(json!({
            "context": name, "current": current, "url": context.url, "token-file": context.token_file
        }));
    }
    out.rows(&Value::Array(values), &table)
}
