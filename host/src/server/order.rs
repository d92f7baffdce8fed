//! What a running process is asked, and what it answers when it has ended.

use crate::error::{Error, Result};
use crate::runtime::{StopRequest, StoppedRun};
use serde::{Deserialize, Serialize};

/// What somebody asks of a running process: to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopOrder {
    /// The pipeline that is meant: a process that runs another one does nothing.
    pub pipeline: String,
    /// Whether time is to end first: windows close, timers on event time fire.
    pub drain: bool,
}

impl StopOrder {
    /// Passes it on to the run of `pipeline`. The error says why it was not.
    pub(super) fn carry_out(&self, pipeline: &str, stop: &StopRequest) -> Result<(), String> {
        if self.pipeline != pipeline {
            return Err(format!(
                "this process runs pipeline `{pipeline}`, not `{}`",
                self.pipeline
            ));
        }
        match self.drain {
            true => stop.request_drain(),
            // Who asks twice is in no hurry: a second signal is.
            false => {
                let _asked_before = stop.request();
            }
        }
        Ok(())
    }
}

/// How a run ended, as whoever asked it to is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RunEnd {
    /// In order.
    Stopped(StoppedRun),
    /// With an error.
    Failed {
        /// What failed.
        what: String,
        /// Why.
        why: String,
    },
}

impl RunEnd {
    /// That of a run that gave this.
    pub fn of(ended: &Result<StoppedRun>) -> Self {
        match ended {
            Ok(stopped) => RunEnd::Stopped(stopped.clone()),
            Err(Error { what, why, .. }) => RunEnd::Failed {
                what: what.clone(),
                why: why.clone(),
            },
        }
    }

    /// As JSON.
    pub(super) fn to_json(&self) -> String {
        serde_json::json!(self).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[test]
    fn an_order_reaches_the_pipeline_that_it_names_and_no_other() {
        let (stop, order) = (StopRequest::default(), |drain| StopOrder {
            pipeline: "views".into(),
            drain,
        });
        let why = order(true).carry_out("clicks", &stop).unwrap_err();
        assert!(why.contains("`clicks`, not `views`") && !stop.is_draining(), "{why}");
        assert_eq!(order(true).carry_out("views", &stop), Ok(()));
        assert!(stop.is_draining() && !stop.is_requested());
        assert_eq!(order(false).carry_out("views", &stop), Ok(()));
        assert!(stop.is_requested());
    }

    #[test]
    fn how_a_run_ended_is_read_as_it_was_written() {
        let ends = [
            RunEnd::Stopped(StoppedRun {
                reason: "drained".into(),
                records_in: 2,
                records_out: 1,
                seconds: 0.5,
            }),
            RunEnd::of(&Err(Error::new(Kind::Kafka, "failed to x", "y"))),
        ];
        for end in ends {
            assert_eq!(serde_json::from_str::<RunEnd>(&end.to_json()).unwrap(), end);
        }
    }
}
