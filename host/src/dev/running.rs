//! A version of the pipeline at work, in a thread of its own.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;

use super::event::DevEvent;
use super::signal::Signal;
use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::metrics::Progress;
use crate::runtime::{self, RunEvent, RunObserver, StopRequest};

pub(super) struct DevRun {
    pub(super) pipeline: Pipeline,
    stop: Arc<StopRequest>,
    thread: JoinHandle<()>,
}

impl DevRun {
    /// Starts it. When it has ended, the session hears so.
    pub(super) fn start(pipeline: Pipeline, to: SyncSender<Signal>) -> Result<Self> {
        let stop = Arc::new(StopRequest::default());
        let (of_run, asked) = (pipeline.clone(), stop.clone());
        let thread = std::thread::Builder::new().name("run".to_owned()).spawn(move || {
            let mut remarks = Remarks(to.clone());
            let ended = or_panicked("the run", || {
                runtime::run(of_run, None, asked, Arc::new(Progress::default()), &mut remarks)
            });
            // A session that is over waits for the thread, not for the word.
            let _ = to.send(Signal::Ended(ended.map(drop)));
        });
        let thread = thread.map_err(|why| Error::new(Kind::Failed, "failed to start the run's thread", why))?;
        Ok(Self { pipeline, stop, thread })
    }

    /// Asks it to finish its batch, commit and leave.
    pub(super) fn request_stop(&self) {
        self.stop.request();
    }

    /// Waits for the end that it was heard of.
    pub(super) fn join(self) -> Pipeline {
        if self.thread.join().is_err() {
            tracing::error!("the run's thread ended by a panic");
        }
        self.pipeline
    }
}

/// What comes of it; an error, if it panics: whoever waits for it must hear of its end.
pub(super) fn or_panicked<T>(what: &str, of: impl FnOnce() -> Result<T>) -> Result<T> {
    // What it had in hand is dropped with it.
    catch_unwind(AssertUnwindSafe(of)).unwrap_or_else(|_| {
        Err(Error::new(
            Kind::Bug,
            format!("{what} ended by a panic"),
            "its message is above",
        ))
    })
}

/// What a person has to know of a run.
struct Remarks(SyncSender<Signal>);

impl RunObserver for Remarks {
    fn notice(&mut self, notice: &RunEvent) {
        let remark = match notice {
            RunEvent::CommitFailed { reason, .. } => format!("a commit failed, the next one supersedes it: {reason}"),
            RunEvent::Disconnected { reason } => format!("waiting for Kafka: {reason}"),
            RunEvent::Connected => "Kafka is back".to_owned(),
            _ => return,
        };
        let _ = self.0.send(Signal::Event(DevEvent::Notice(remark)));
    }

    fn tick(&mut self, _progress: &Progress) {}
}
