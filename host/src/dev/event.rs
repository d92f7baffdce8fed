//! What a session tells the person in front of it.

use std::path::PathBuf;

use crate::config::Pipeline;
use crate::error::Error;

/// Which way a record goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// Into the pipeline, by a source.
    In,
    /// Out of it, by a sink.
    Out,
    /// To the dead letters.
    Dead,
}

impl Way {
    /// Its name in JSON.
    pub fn name(self) -> &'static str {
        match self {
            Way::In => "in",
            Way::Out => "out",
            Way::Dead => "dead-letter",
        }
    }
}

/// Something happened.
#[derive(Debug)]
pub enum DevEvent {
    /// The broker listens, and records go where a person may type them.
    Listening {
        /// Its address.
        brokers: String,
        /// The names of the sources.
        sources: Vec<String>,
    },
    /// A plugin is being built.
    Building {
        /// Its project.
        folder: PathBuf,
    },
    /// It was built.
    Built {
        /// Its file.
        plugin: PathBuf,
        /// Its size.
        bytes: u64,
        /// How long that took.
        seconds: f64,
    },
    /// What was built is compiled for this machine and checked; what runs goes on meanwhile.
    Loading,
    /// What was built is what runs already.
    Same,
    /// The pipeline runs.
    Running {
        /// It began where another version of it stopped.
        swapped: bool,
    },
    /// Something failed; what ran before goes on, if `goes_on`.
    Failed {
        /// What.
        error: Error,
        /// Whether a version of the pipeline runs.
        goes_on: bool,
    },
    /// A record went by.
    Record {
        /// Which way.
        way: Way,
        /// The source or sink.
        name: String,
        /// The record as JSON, without an end of line.
        line: String,
        /// Why it is a dead letter.
        reason: Option<String>,
        /// Where the plugin was that was at fault with it, as far as that is known: a function a line.
        stack: Vec<String>,
    },
    /// So many more went by than a person can read.
    More {
        /// Which way.
        way: Way,
        /// The source or sink.
        name: String,
        /// How many.
        records: u64,
    },
    /// What was typed came to nothing.
    NotDone(Error),
    /// A remark of the run's.
    Notice(String),
}

/// The person, or the program.
pub trait DevObserver {
    /// Something happened.
    fn tell(&mut self, event: DevEvent);
    /// Asked what the pipeline keeps of a key.
    fn show_state(&mut self, pipeline: &Pipeline, key: &str);
    /// Asked what can be typed.
    fn show_help(&mut self, sources: &[String]);
}
