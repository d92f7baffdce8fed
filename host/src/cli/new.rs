//! `sandbar new`: makes a plugin's project.

use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::output::Output;
use crate::error::Result;
use crate::project::{self, Created};

/// Arguments of `sandbar new`.
#[derive(Args, Debug)]
#[command(
    after_help = "Languages: assemblyscript, c, cpp, go, javascript, python, rust, typescript, zig.\n\
        Templates: filter passes records by a number in them, count keeps a count of each key, window counts in \
        windows of time, join pairs records of two inputs. In each language they do the same: compare them.\n\n\
        A tool that the build needs and that is not here is told, with what installs it. Packages of a language are \
        fetched by the first build.\n\n\
        Examples:\n  sandbar new views --language python\n  sandbar new paid --language rust --template join"
)]
pub struct New {
    /// The folder to make; its last part is the project's name
    name: PathBuf,
    /// The language of the plugin
    #[arg(long, value_name = "LANGUAGE")]
    language: String,
    /// What it does at first: filter, count, window or join
    #[arg(long, value_name = "TEMPLATE", default_value = "count")]
    template: String,
}

impl New {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let created = project::create(&self.name, &self.language, &self.template)?;
        let value = json!({
            "name": created.name,
            "folder": self.name.display().to_string(),
            "language": self.language,
            "template": self.template,
            "files": created.files,
            "missing": created.missing,
        });
        out.show(&value, || self.told(&created))
    }

    fn told(&self, created: &Created) -> String {
        let folder = self.name.display();
        let mut text = format!(
            "made {folder}: a plugin in {}, template {}\n",
            self.language, self.template
        );
        if !created.missing.is_empty() {
            text.push_str("\nits build needs what is not on this machine:\n");
        }
        for tool in &created.missing {
            text.push_str(&format!("  {}: {}\n", tool.name, tool.install));
        }
        text.push_str(&format!(
            "\n  cd {folder}\n  sandbar build                # {}.wasm\n  sandbar test                 # its cases\n  \
             sandbar run pipeline.toml    # on the file beside it\n  sandbar dev                  # on a Kafka of its \
             own, built again at each change\n",
            created.name
        ));
        text
    }
}
