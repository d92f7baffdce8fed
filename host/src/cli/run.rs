//! `sandbar run`: the main job, in the foreground.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;

use super::granted;
use super::output::Output;
use super::savepoint;
use super::screen::Screen;
use super::signals;
use crate::checkpoint::savepoint::SavepointPlace;
use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::metrics::{self, Progress};
use crate::runtime::{self, StopRequest};
use crate::server::http::Stoppable;
use crate::server::{Http, HttpAddress, RunEnd, RunningHere};

/// Arguments of `sandbar run`.
#[derive(Args, Debug)]
#[command(
    after_help = "SIGINT and SIGTERM finish the batch, commit, leave the group and end with 0; a second one ends at \
        once. `sandbar stop` does the same, and can close what is open before.\n\n\
        Examples:\n  sandbar run pipeline.toml\n  \
        sandbar run pipeline.toml --set source.views.start=earliest --http 127.0.0.1:9464\n  \
        sandbar run pipeline.toml --from before-upgrade"
)]
pub struct RunArgs {
    /// The pipeline file
    pub(super) pipeline: PathBuf,
    /// Override a key of the file, such as source.views.start=earliest; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub(super) sets: Vec<String>,
    /// Serve /metrics, /health, /ready, /status and /stop at this address, or at a socket (unix:PATH). Whoever reaches
    /// it may end the run: give one that only you and your tools reach
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub(super) http: Option<HttpAddress>,
    /// Tell this process from others of the same pipeline on this machine
    #[arg(long, value_name = "ID")]
    pub(super) instance: Option<String>,
    /// Begin with the state and positions of a savepoint: its name, or its place. Every start with it goes back there
    #[arg(long, value_name = "SAVEPOINT")]
    pub(super) from: Option<String>,
    /// Begin although the checkpoint holds state that the plugins no longer have; that state is dropped
    #[arg(long)]
    pub(super) allow_dropped_state: bool,
    /// Write a Wasm core dump of a plugin that traps, or runs out of time or memory, into this folder. The dead letter
    /// of the record names the file
    #[arg(long, value_name = "DIR")]
    pub(super) core_dump: Option<PathBuf>,
}

impl RunArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let mut pipeline = granted::load(&self.pipeline, &self.sets)?;
        let from = self.savepoint(&pipeline)?;
        pipeline.instance = self.instance.or(pipeline.instance);
        pipeline.allow_dropped_state = self.allow_dropped_state;
        pipeline.core_dumps = self.core_dump;
        let stop = Arc::new(StopRequest::default());
        let asked = stop.clone();
        signals::listen(move || asked.request())?;
        let progress = Arc::new(Progress::default());
        let mut screen = Screen::new(*out, &pipeline);
        let run = Stoppable {
            pipeline: pipeline.name.clone(),
            workers: pipeline.workers,
            stop: stop.clone(),
        };
        let http = match &self.http {
            Some(address) => metrics::install()
                .map(|metrics| Http::start(address, metrics, progress.clone(), run))
                .transpose()?,
            None => None,
        };
        granted::keep_doors_shut()?;
        screen.serves(http.as_ref().map(Http::address));
        let here = RunningHere::announce(&pipeline.state_dir, &pipeline.name, &stop)
            .inspect_err(|error| tracing::warn!(%error, "`sandbar stop` does not find this process in state.dir"));
        let ended = runtime::run(pipeline, from, stop, progress, &mut screen);
        let end = RunEnd::of(&ended);
        // First over HTTP: when the lock in the folder goes, the process is gone.
        http.into_iter().for_each(|http| http.tell(&end));
        here.into_iter().for_each(|here| here.tell(&end));
        ended.map(drop)
    }

    fn savepoint(&self, pipeline: &Pipeline) -> Result<Option<SavepointPlace>> {
        let Some(text) = &self.from else { return Ok(None) };
        match &pipeline.checkpoint {
            Some(checkpoint) => savepoint::place(text, &checkpoint.location).map(Some),
            None => Err(Error::new(
                Kind::Invalid,
                format!("failed to start from savepoint `{text}`"),
                "the pipeline has no [checkpoint], so there is nowhere to keep state and positions together",
            )
            .hint("add [checkpoint] with a store to the pipeline file")),
        }
    }
}
