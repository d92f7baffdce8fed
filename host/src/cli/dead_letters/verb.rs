//! Arguments of `sandbar dead-letters`, and what they ask for.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{local, sent, shown};
use crate::cli::consume::place;
use crate::cli::granted;
use crate::cli::output::Output;
use crate::config::Pipeline;
use crate::error::Result;
use crate::inspect::dead_letters::{FoundLetter, LetterBox, LetterPlace};
use crate::kafka::topic_reader::ReadFrom;
use crate::plugin::Engine;

/// Arguments of `sandbar dead-letters`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar dead-letters list pipeline.toml"
)]
pub struct DeadLettersArgs {
    #[command(subcommand)]
    action: DeadLettersAction,
}

#[derive(Subcommand, Debug)]
enum DeadLettersAction {
    /// List the dead letters of a pipeline, the newest last
    #[command(after_help = "Letters of other pipelines that share the topic are left out.\n\n\
        Examples:\n  sandbar dead-letters list pipeline.toml\n  \
        sandbar dead-letters list pipeline.toml --from 2026-11-22T00:00:00Z --max 1000")]
    List {
        #[command(flatten)]
        pipeline: DeadPipeline,
        /// Show so many: the newest, or with --from the first ones
        #[arg(long, value_name = "N", default_value_t = 50)]
        max: usize,
        /// Begin there: earliest, latest, an offset, or a time such as 2026-11-22T00:00:00Z
        #[arg(long, value_name = "WHERE", value_parser = place)]
        from: Option<ReadFrom>,
    },
    /// Show a dead letter whole: why, where the plugin was, key, headers and value
    #[command(after_help = "Example:\n  sandbar dead-letters show pipeline.toml 0/17")]
    Show {
        #[command(flatten)]
        pipeline: DeadPipeline,
        /// The letter's partition and offset, as `list` has them
        #[arg(value_name = "PARTITION/OFFSET")]
        letter: LetterPlace,
    },
    /// Send the records of dead letters again, to the partitions that they came from
    #[command(
        after_help = "A record is sent as it was: it is read from its topic again; if it is gone from there, the \
        letter's copy is sent, if that is whole. The header `sandbar-replayed` names the letter. It is a new record: \
        whatever reads the topic sees it, other operators and pipelines too.\n\n\
        With --local nothing is sent: each record goes alone, and with no state, through the operator that it died in, \
        with the plugin that the pipeline file names now. Exit code 7 if one dies again.\n\n\
        Exit code 1 if a letter was not replayed.\n\n\
        Examples:\n  sandbar dead-letters replay pipeline.toml 0/17 0/18\n  \
        sandbar dead-letters replay pipeline.toml --all --dry-run\n  \
        sandbar dead-letters replay pipeline.toml --all --local"
    )]
    Replay {
        #[command(flatten)]
        pipeline: DeadPipeline,
        /// The letters' partitions and offsets, as `list` has them
        #[arg(
            value_name = "PARTITION/OFFSET",
            required_unless_present = "all",
            conflicts_with = "all"
        )]
        letters: Vec<LetterPlace>,
        /// All letters that were not replayed yet; they are held in memory
        #[arg(long)]
        all: bool,
        /// Tell what would be sent, and send nothing
        #[arg(long)]
        dry_run: bool,
        /// Also what was replayed before
        #[arg(long)]
        again: bool,
        /// Run the records through the plugin here, and tell what comes of each
        #[arg(long, conflicts_with_all = ["dry_run", "again"])]
        local: bool,
        /// With --local: write a Wasm core dump of a plugin that traps, or runs out of time or memory, into this folder
        #[arg(long, value_name = "DIR", requires = "local")]
        core_dump: Option<PathBuf>,
        /// With --local, for `gdb --args sandbar dead-letters replay …`: compile the plugins so that a debugger stops
        /// at lines of their sources, and give them all the time that they need
        #[arg(long, requires = "local", conflicts_with = "core_dump")]
        debugger: bool,
    },
}

/// A pipeline that has dead letters.
#[derive(Args, Debug)]
struct DeadPipeline {
    /// The pipeline file
    pipeline: PathBuf,
    /// Override a key of the file, such as kafka.brokers=127.0.0.1:9092; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl DeadPipeline {
    fn load(&self) -> Result<(Pipeline, LetterBox)> {
        let pipeline = granted::load(&self.pipeline, &self.sets)?;
        let letters = LetterBox::of(&pipeline)?;
        Ok((pipeline, letters))
    }
}

impl DeadLettersArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            DeadLettersAction::List { pipeline, max, from } => {
                let (_, dead) = pipeline.load()?;
                let list = match from {
                    Some(from) => dead.from(from, max)?,
                    None => dead.newest(max)?,
                };
                shown::list(&list, out)
            }
            DeadLettersAction::Show { pipeline, letter } => {
                let (_, dead) = pipeline.load()?;
                let letters = dead.at(&[letter])?;
                letters
                    .iter()
                    .try_for_each(|letter| shown::whole(&dead.name(), letter, out))
            }
            DeadLettersAction::Replay {
                pipeline,
                letters,
                all,
                dry_run,
                again,
                local,
                core_dump,
                debugger,
            } => {
                let (mut pipeline, dead) = pipeline.load()?;
                pipeline.core_dumps = core_dump;
                let letters = match all {
                    true => all_of(&dead, again)?,
                    false => dead.at(&letters)?,
                };
                if !local {
                    return sent::run(&pipeline, &dead, &letters, sent::ReplayAsked { again, dry_run }, out);
                }
                let engine = match debugger {
                    true => Engine::debugged()?,
                    false => Engine::of(&pipeline)?,
                };
                local::run(pipeline, &engine, &letters, out)
            }
        }
    }
}

/// The letters of a pipeline, those left out that were replayed before, unless they are wanted again.
fn all_of(dead: &LetterBox, again: bool) -> Result<Vec<FoundLetter>> {
    let mut letters = dead.from(ReadFrom::Earliest, usize::MAX)?.letters;
    letters.retain(|letter| again || !letter.is_replayed);
    Ok(letters)
}
