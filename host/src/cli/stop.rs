//! `sandbar stop`: ends a running pipeline from outside, one of this machine or of a daemon, and waits until it has
//! ended.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use sandbar_control::Name;
use serde_json::{Map, Value, json};

use super::control;
use super::granted;
use super::output::Output;
use super::savepoint;
use super::screen;
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::savepoint::SavepointPlace;
use crate::clock;
use crate::config::{Location, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::runtime::StoppedRun;
use crate::server::{self, Lives, RunEnd, RunningProcess, StopOrder};
use crate::spec;

/// How often is looked whether a process has ended.
const LOOK: Duration = Duration::from_millis(50);

/// Arguments of `sandbar stop`.
#[derive(Args, Debug)]
#[command(
    after_help = "Stops each process on this machine that runs the pipeline with the `state.dir` of the file; with \
        --http the one that listens there, which is told to stop from its own machine only. Processes of the pipeline \
        elsewhere go on, and take over what it had: to end them all, stop each.\n\n\
        Without --drain windows stay open and timers stay set, and the next start goes on as if nothing had happened. \
        --drain is the end of time: nothing is read any more, all windows close, all timers on event time fire, and \
        what comes of that is committed. That takes as long as it takes; a signal, or a `stop` without --drain, ends \
        it where it is. The next start goes on behind the last record that was read, with event time where the \
        records had brought it: a record for a window that the drain closed opens it anew, as behind a bounded run.\
        \n\n\
        What is no file here, or comes with a flag that names a daemon, is the name of a pipeline that `sandbar serve` \
        keeps: it stays stopped until `sandbar resume`. With --drain it goes on draining if the verb does not wait for \
        it any more.\n\n\
        With -o json it prints one object: `stopped` tells how each process ended, `savepoint` is what `sandbar run \
        --from` takes; for a pipeline of a daemon it is that of `sandbar status`, and `savepoint`.\n\n\
        Examples:\n  sandbar stop pipeline.toml\n  sandbar stop --drain pipeline.toml\n  \
        sandbar stop --savepoint pipeline.toml --http 127.0.0.1:9464\n  sandbar stop page-views --tenant team-a\n  \
        sandbar stop page-views --drain --savepoint=before-upgrade"
)]
pub struct StopArgs {
    /// The pipeline file, or the name of a pipeline of a daemon
    #[arg(value_name = "PIPELINE")]
    pipeline: PathBuf,
    /// Close all windows and fire all timers on event time before
    #[arg(long)]
    drain: bool,
    /// Take a savepoint of what is committed then, by default under a name that begins with the time
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true)]
    savepoint: Option<Option<String>>,
    /// Stop the process whose `run --http` is this
    #[arg(long, value_name = "ADDRESS:PORT")]
    http: Option<SocketAddr>,
    /// How long to wait until it has ended, such as 30s; exit code 9 if it has not, and it goes on stopping
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = duration)]
    timeout: Duration,
    /// Override a key of the file as `run` did, such as state.dir=/var/lib/views; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    #[command(flatten)]
    place: control::InTenant,
}

fn duration(text: &str) -> Result<Duration, String> {
    spec::duration(text).ok_or_else(|| "a duration is a number with ms, s, m, h or d, such as 30s".to_owned())
}

/// A process that has ended.
struct EndedProcess {
    /// Its pid, or its address.
    name: String,
    told: StoppedRun,
}

impl StopArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        if let Some(name) = self.of_daemon()? {
            let how = control::DaemonStop {
                drain: self.drain,
                savepoint: self.saved_as()?,
                limit: self.timeout,
            };
            return control::stop(&name, &self.place, &how, out);
        }
        let pipeline = granted::load(&self.pipeline, &self.sets)?;
        // Whatever could be in the way of a savepoint is told before anything ends.
        let place = match &self.savepoint {
            Some(name) => Some(place(name.as_deref(), location(&pipeline)?)?),
            None => None,
        };
        let order = StopOrder {
            pipeline: pipeline.name.clone(),
            drain: self.drain,
        };
        let ended = match self.http {
            Some(address) => {
                let end = server::ask(address, &order, self.timeout)?;
                vec![in_order(address.to_string(), Some(end))?]
            }
            None => stop_all(&running(&pipeline)?, &order, self.timeout)?,
        };
        let saved = match place {
            Some(place) => Some(savepoint::create(&pipeline, location(&pipeline)?, &place)?),
            None => None,
        };
        tell(&pipeline.name, &ended, saved, out)
    }

    /// The name of a daemon's pipeline, if one is meant: a flag names the daemon, or there is no such file.
    fn of_daemon(&self) -> Result<Option<Name>> {
        let text = self.pipeline.to_string_lossy();
        let failed = |why: &str| Error::new(Kind::Usage, format!("failed to stop `{text}` of a daemon"), why);
        let is_here = self.http.is_some() || !self.sets.is_empty() || self.pipeline.is_file();
        let name = match (text.parse::<Name>(), self.place.is_given()) {
            (Err(why), true) => return Err(failed(&why).hint("give the pipeline's name, and no file")),
            // A file that is missing is told as one.
            (Err(_), false) => return Ok(None),
            (Ok(_), false) if is_here => return Ok(None),
            (Ok(name), _) => name,
        };
        if self.http.is_some() || !self.sets.is_empty() {
            return Err(failed("--http and --set are for pipelines of this machine"));
        }
        Ok(Some(name))
    }

    /// Whether a savepoint of a daemon's pipeline is wanted, and its name if it has one: it is beside the checkpoints.
    fn saved_as(&self) -> Result<Option<Option<Name>>> {
        let named = |text: &String| {
            text.parse::<Name>().map_err(|why| {
                let what = format!("failed to take a savepoint `{text}` of a daemon's pipeline");
                Error::new(Kind::Usage, what, why)
            })
        };
        let each = |name: &Option<String>| name.as_ref().map(named).transpose();
        self.savepoint.as_ref().map(each).transpose()
    }
}

/// Where the savepoint is to be.
fn place(name: Option<&str>, beside: &Location) -> Result<SavepointPlace> {
    match name {
        Some(name) => savepoint::place(name, beside),
        None => Ok(SavepointPlace::Named(CheckpointStore::new_savepoint_name())),
    }
}

fn location(pipeline: &Pipeline) -> Result<&Location> {
    let checkpoint = pipeline.checkpoint.as_ref().ok_or_else(|| {
        let what = format!("failed to stop pipeline `{}` with a savepoint", pipeline.name);
        Error::new(Kind::Invalid, what, "its file has no [checkpoint]; nothing was stopped")
    })?;
    Ok(&checkpoint.location)
}

/// The processes that run the pipeline with its state folder.
fn running(pipeline: &Pipeline) -> Result<Vec<RunningProcess>> {
    let (mut found, others): (Vec<_>, Vec<_>) = RunningProcess::all(&pipeline.state_dir)?
        .into_iter()
        .partition(|process| process.pipeline == pipeline.name);
    if found.is_empty() {
        let what = format!("failed to stop pipeline `{}`: it does not run", pipeline.name);
        let dir = pipeline.state_dir.display();
        let why = match others.first() {
            Some(RunningProcess { pid, pipeline, .. }) => {
                format!("process {pid} has state.dir {dir}, and runs pipeline `{pipeline}`")
            }
            None => format!("no process on this machine has state.dir {dir}"),
        };
        let hint = "one that was started with another state.dir or elsewhere is reached with --set or --http";
        return Err(Error::new(Kind::Failed, what, why).hint(hint));
    }
    found.sort_by_key(|process| process.pid);
    Ok(found)
}

/// Asks all of them, then waits for each; the first failure is told once none runs any more.
fn stop_all(processes: &[RunningProcess], order: &StopOrder, limit: Duration) -> Result<Vec<EndedProcess>> {
    processes.iter().try_for_each(|process| process.ask(order))?;
    let until = clock::now() + limit;
    let ends = processes.iter().map(|process| {
        let name = format!("process {}", process.pid);
        loop {
            match process.lives() {
                Lives::No(end) => return Ok(in_order(name, end)),
                Lives::Yes if clock::now() >= until => {
                    let why = format!("it has not ended within {limit:?}; it goes on stopping");
                    let what = format!("failed to stop {name} in time");
                    return Err(Error::new(Kind::TimedOut, what, why).hint("--timeout waits longer"));
                }
                Lives::Yes => std::thread::sleep(LOOK),
            }
        }
    });
    let ends: Vec<Result<EndedProcess>> = ends.collect::<Result<_>>()?;
    ends.into_iter().collect()
}

fn in_order(name: String, end: Option<RunEnd>) -> Result<EndedProcess> {
    let (what, why) = match end {
        Some(RunEnd::Stopped(told)) => return Ok(EndedProcess { name, told }),
        Some(RunEnd::Failed { what, why }) => (format!("{name} did not stop in order: it {what}"), why),
        None => (
            format!("{name} did not stop in order"),
            "it ended without a word, as one does that is killed".to_owned(),
        ),
    };
    Err(Error::new(Kind::Failed, what, why).hint("nothing is lost: the next start goes on at the last commit"))
}

fn tell(pipeline: &str, ended: &[EndedProcess], saved: Option<(Value, String)>, out: &Output) -> Result<()> {
    let stopped = ended.iter().map(|EndedProcess { name, told }| {
        let mut value = json!(told);
        value["process"] = json!(name.trim_start_matches("process "));
        value
    });
    let mut lines: Vec<String> = ended
        .iter()
        .map(|EndedProcess { name, told }| format!("{name} {}", screen::ended(told)))
        .collect();
    let mut object = Map::from_iter([("pipeline".to_owned(), json!(pipeline))]);
    object.insert("stopped".to_owned(), stopped.collect());
    if let Some((value, human)) = saved {
        lines.push(human);
        if let Value::Object(saved) = value {
            object.extend(saved);
        }
    }
    out.show(&Value::Object(object), || lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_did_not_end_in_order_is_a_failure() {
        let told = StoppedRun {
            reason: "drained".into(),
            records_in: 2,
            records_out: 1,
            seconds: 0.5,
        };
        let name = || "process 7".to_owned();
        let ended = in_order(name(), Some(RunEnd::Stopped(told.clone()))).unwrap();
        assert_eq!((ended.name, ended.told), (name(), told));
        let failed = RunEnd::Failed {
            what: "failed to commit".into(),
            why: "fenced".into(),
        };
        for (end, said) in [(Some(failed), "failed to commit"), (None, "killed")] {
            let error = in_order(name(), end).err().unwrap();
            assert!(
                error.kind == Kind::Failed && error.to_string().contains(said),
                "{error}"
            );
        }
    }

    #[test]
    fn a_file_is_of_this_machine_and_a_name_of_a_daemon() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            stop: StopArgs,
        }
        let asked = |words: &[&str]| {
            let words = [&["stop"], words].concat();
            <Line as clap::Parser>::try_parse_from(words).unwrap().stop.of_daemon()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pipeline.toml").display().to_string();
        std::fs::write(&file, "").unwrap();
        let name: Name = "page-views".parse().unwrap();
        assert_eq!(asked(&[&file]), Ok(None));
        assert_eq!(asked(&["none.toml", "--drain"]), Ok(None));
        assert_eq!(asked(&["page-views"]), Ok(Some(name.clone())));
        assert_eq!(asked(&["page-views", "--tenant", "a"]), Ok(Some(name)));
        assert_eq!(asked(&["page-views", "--http", "127.0.0.1:1"]), Ok(None));
        for wrong in [
            &[&*file, "--context", "a"][..],
            &["page-views", "--context", "a", "--set", "a=b"],
        ] {
            assert_eq!(asked(wrong).unwrap_err().kind, Kind::Usage, "{wrong:?}");
        }
        assert_eq!(
            asked(&["page-views", "--drain", "--savepoint"]).unwrap(),
            asked(&["page-views"]).unwrap()
        );
    }

    #[test]
    fn a_savepoint_of_a_daemon_has_a_name_or_none_and_is_no_place() {
        #[derive(clap::Parser)]
        struct Line {
            #[command(flatten)]
            stop: StopArgs,
        }
        let saved_as = |words: &[&str]| {
            let words = [&["stop"], words].concat();
            <Line as clap::Parser>::try_parse_from(words).unwrap().stop.saved_as()
        };
        assert_eq!(saved_as(&["a"]), Ok(None));
        assert_eq!(
            saved_as(&["--savepoint", "a"]),
            Ok(Some(None)),
            "the pipeline is no name of a savepoint"
        );
        assert_eq!(saved_as(&["a", "--savepoint=b"]), Ok(Some(Some("b".parse().unwrap()))));
        for place in ["./b", "s3://b/c", "B"] {
            let error = saved_as(&["a", &format!("--savepoint={place}")]).unwrap_err();
            assert_eq!(error.kind, Kind::Usage, "{place}");
        }
    }

    #[test]
    fn a_timeout_is_written_as_in_a_pipeline_file() {
        assert_eq!(duration("90s"), Ok(Duration::from_secs(90)));
        assert!(duration("90").unwrap_err().contains("30s"));
    }
}
