//! The arguments of `sandbar inspect`, and which of its questions is asked.

use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::{plugin, upgrade};
use crate::cli::output::Output;
use crate::error::{Error, Kind, Result};
use crate::inspect::{ConfigOutlook, Upgrade};
use crate::plugin::{Engine, READY_MADE};

const HELP: &str = r#"With --diff it tells what changes from OLD to PLUGIN, and whether a pipeline could go on with its
state: yes, only with --allow-dropped-state, or no, by the rules of a restore. Exit code 0 if the files are the same, 8
if anything differs.

Examples:
  sandbar inspect count.wasm
  sandbar inspect window
  sandbar inspect --ready-made
  sandbar inspect new/count.wasm --diff count.wasm
  sandbar inspect new/count.wasm --diff count.wasm --config pipeline.toml"#;

/// Arguments of `sandbar inspect`.
#[derive(Args, Debug)]
#[command(after_help = HELP)]
pub struct Inspect {
    /// The component's file, or the name of a plugin that comes with Sandbar
    #[arg(required_unless_present = "ready_made")]
    plugin: Option<PathBuf>,
    /// List the plugins that come with Sandbar
    #[arg(long, conflicts_with = "plugin")]
    ready_made: bool,
    /// Tell what changes from this plugin, the one that runs now
    #[arg(long, value_name = "OLD", conflicts_with = "ready_made")]
    diff: Option<PathBuf>,
    /// Also tell whether both take the configurations of this pipeline file, or this one in JSON
    #[arg(long, value_name = "FILE", requires = "diff")]
    config: Option<PathBuf>,
}

impl Inspect {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let Some(plugin) = &self.plugin else {
            return list_ready_made(out);
        };
        if let Some(old) = &self.diff {
            return self.compare(old, plugin, out);
        }
        let plugin = Engine::new(None)?.load(plugin)?;
        out.show(&plugin::as_json(&plugin), || plugin::as_text(&plugin))
    }

    fn compare(&self, old_path: &Path, new_path: &Path, out: &Output) -> Result<()> {
        let engine = Engine::new(None)?;
        let (old, new) = (engine.load(old_path)?, engine.load(new_path)?);
        let configs = match &self.config {
            Some(file) => ConfigOutlook::all(file, (&old, old_path), (&new, new_path))?,
            None => Vec::new(),
        };
        let compared = upgrade::Compared {
            old: &old,
            new: &new,
            upgrade: &Upgrade::between(&old, &new),
            configs: &configs,
        };
        out.show(&compared.as_json(), || compared.as_text())?;
        match compared.differences() {
            0 => Ok(()),
            count => {
                let (old, new) = (old_path.display(), new_path.display());
                let what = format!("{count} differences from `{old}` to `{new}`");
                let why = format!(
                    "a pipeline could go on with its state: {}",
                    compared.upgrade.goes_on.as_str()
                );
                Err(Error::new(Kind::Different, what, why))
            }
        }
    }
}

fn list_ready_made(out: &Output) -> Result<()> {
    let each = READY_MADE.iter();
    let rows = each.map(|of| json!({ "name": of.name, "does": of.does }));
    let width = READY_MADE.iter().map(|of| of.name.len()).max().unwrap_or(0);
    out.show(&json!({ "ready-made": rows.collect::<Vec<_>>() }), || {
        let lines = READY_MADE
            .iter()
            .map(|of| format!("{:<width$}  {}\n", of.name, of.does));
        lines.collect()
    })
}
