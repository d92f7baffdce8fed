//! `sandbar build`: makes the component of a plugin.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::json;

use super::output::Output;
use super::signals::StopSignal;
use crate::error::{Error, Kind, Result};
use crate::project::{self, Built, WatchedFiles};

/// How often --watch looks at the files.
const LOOK: Duration = Duration::from_millis(250);

/// Arguments of `sandbar build`.
#[derive(Args, Debug)]
#[command(
    after_help = "A project is a folder with a plugin.toml, as `sandbar new` makes it. Its `build` is run there by sh; \
        the core module that it leaves becomes a component, and that is checked.\n\n\
        Examples:\n  sandbar build\n  sandbar build plugins/views --release\n  \
        sandbar build target/wasm32-unknown-unknown/release/views.wasm --to views.wasm"
)]
pub struct Build {
    /// The project's folder; or a core module, of which --to becomes a component
    #[arg(value_name = "DIR", default_value = ".")]
    place: PathBuf,
    /// Build it as small and fast as the language can, without names and source lines
    #[arg(long, conflicts_with = "to")]
    release: bool,
    /// Build it again whenever a file of the project changes, until it is told to stop
    #[arg(long, conflicts_with = "to")]
    watch: bool,
    /// Where the component of a core module goes
    #[arg(long, value_name = "FILE")]
    to: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        if let Some(to) = &self.to {
            return tell(&project::wrap_file(&self.place, to)?, out);
        }
        if self.place.is_file() {
            let what = format!("{} is a file and no project", self.place.display());
            let why = "a core module is made a component of if --to says where it goes";
            return Err(Error::new(Kind::Usage, what, why).hint("add --to plugin.wasm"));
        }
        match self.watch {
            true => self.watch(out),
            false => tell(&self.build(out)?, out),
        }
    }

    /// It may take minutes, for the first time.
    fn build(&self, out: &Output) -> Result<Built> {
        // Standard output has the result alone.
        if !out.is_json() {
            out.tell(&json!(null), || format!("building {}", self.place.display()), true)?;
        }
        project::build(&self.place, self.release)
    }

    /// A build that fails is told, and the next change is waited for.
    fn watch(&self, out: &Output) -> Result<()> {
        let stop = StopSignal::on_signal()?;
        let places = [self.place.clone()];
        loop {
            let before = WatchedFiles::look(&places);
            if let Err(error) = self.build(out).and_then(|built| tell(&built, out)) {
                out.error(&error);
            }
            loop {
                if stop.wait(LOOK) {
                    return Ok(());
                }
                if let Some(path) = WatchedFiles::look(&places).changed_since(&before) {
                    tracing::info!(path = %path.display(), "changed");
                    break;
                }
            }
        }
    }
}

fn tell(built: &Built, out: &Output) -> Result<()> {
    let plugin = built.plugin.display().to_string();
    let value = json!({
        "plugin": plugin,
        "bytes": built.bytes,
        "language": built.language,
        "world": built.world.map(|world| world.to_string()),
    });
    out.show(&value, || {
        let language = built.language.as_ref().map_or_else(String::new, |of| format!(", {of}"));
        let same = if built.is_new { "" } else { ", as before" };
        let world = built
            .world
            .map_or_else(|| "no plugin".to_owned(), |world| format!("world {world}"));
        format!("{plugin}: {}{language}, {world}{same}", size(built.bytes))
    })
}

/// A size for a person.
pub(super) fn size(bytes: u64) -> String {
    match bytes {
        0..10_240 => format!("{bytes} bytes"),
        10_240..10_485_760 => format!("{} KiB", bytes >> 10),
        _ => format!("{} MiB", bytes >> 20),
    }
}
