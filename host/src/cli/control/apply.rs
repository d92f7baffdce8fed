//! `sandbar apply`: a pipeline of a daemon becomes what a file says.

use std::path::PathBuf;

use clap::Args;
use sandbar_control::Name;
use sandbar_control::client::{Application, Applied, Registries};
use serde_json::json;

use super::daemon::{InTenant, plain};
use crate::cli::output::Output;
use crate::error::Result;

/// Arguments of `sandbar apply`.
#[derive(Args, Debug)]
#[command(
    after_help = "The plugins that the file names are pushed first, those left out that are there already; then the \
        daemon checks the whole, and runs it. The same file with the same plugins again changes nothing. Nothing else \
        that the file names goes along: it reads and writes Kafka, and refers to no file. A plugin may be in a \
        registry, `plugin = \"oci://registry.example/team/count:1.0\"`: it is pulled from here, with the credentials \
        of `docker login`.\n\n\
        With --dry-run it tells what would change; plugins are pushed all the same, for the daemon checks with them.\
        \n\nExamples:\n  sandbar apply pipeline.toml\n  sandbar apply pipeline.toml --tenant team-a --dry-run"
)]
pub struct ApplyArgs {
    /// The pipeline file
    file: PathBuf,
    /// Tell what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: InTenant,
}

impl ApplyArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        // A file that is wrong is told before anybody is asked.
        let application = Application::read(&self.file)?;
        let (connection, tenant) = self.place.connect()?;
        let plugins = connection.push_all(&tenant, &application, &Registries::of_process())?;
        let whose = (&tenant, &application.name);
        let applied = connection.apply(whose, &application.file, &plugins, self.dry_run, None)?;
        let told = json!({
            "tenant": tenant,
            "name": application.name,
            "version": applied.version,
            "revision": applied.revision,
            "is-new": applied.is_new,
            "is-changed": applied.is_changed,
            "difference": applied.difference,
            "overtaken": applied.overtaken,
            "plugins": plugins,
            "dry-run": self.dry_run,
        });
        out.show(&told, || sentence(whose, &applied, self.dry_run))
    }
}

fn sentence((tenant, name): (&Name, &Name), applied: &Applied, dry_run: bool) -> String {
    let version = applied.version;
    let what = match (applied.is_new, applied.is_changed, dry_run) {
        (true, _, false) => format!("applied {name} of {tenant}: it is new"),
        (true, _, true) => format!("{name} of {tenant} would be new"),
        (false, true, false) => format!("applied {name} of {tenant}: version {version}"),
        (false, true, true) => format!("{name} of {tenant} would become version {version}"),
        (false, false, _) => format!("{name} of {tenant} is so already, since version {version}"),
    };
    let lines = applied.difference.iter().map(|line| plain(line));
    let ended = applied
        .overtaken
        .map(|version| format!("the upgrade to version {version} is not watched any more"));
    [what]
        .into_iter()
        .chain(ended)
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_came_of_it_is_told_with_the_difference() {
        let (tenant, name) = ("t".parse().unwrap(), "p".parse().unwrap());
        let told = |is_new, is_changed, dry_run: bool| {
            let applied = Applied {
                version: 2,
                revision: 3,
                is_new,
                is_changed,
                difference: vec!["-a\x1b".to_owned(), "+b".to_owned()],
                overtaken: dry_run.then_some(1),
            };
            sentence((&tenant, &name), &applied, dry_run)
        };
        assert_eq!(told(true, true, false), "applied p of t: it is new\n-a \n+b");
        assert!(told(true, true, true).starts_with("p of t would be new\nthe upgrade to version 1 is not watched"));
        assert!(told(false, true, false).starts_with("applied p of t: version 2\n"));
        assert!(told(false, true, true).contains("would become version 2"));
        assert!(told(false, false, false).contains("so already"));
    }
}
