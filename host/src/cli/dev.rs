//! `sandbar dev`: a pipeline at work while its plugins are changed.

use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use serde_json::{Value, json, value::RawValue};

use super::output::{Output, error_json};
use super::{signals, state};
use crate::config::Pipeline;
use crate::dev::{self, DevEvent, DevObserver, DevSettings, Way};
use crate::error::{Error, Result};

/// What can be typed, with what it does.
const TYPED: &str = "  KEY VALUE            sends a record; VALUE is JSON or text
  {\"key\":…,\"value\":…}  the same, with \"timestamp\" and \"headers\" if you like
  :state KEY           what the pipeline keeps of the key
  :help                this list
  :quit                ends the session; so does Ctrl-C, but not the end of a pipe that lines come from";

/// Arguments of `sandbar dev`.
#[derive(Args, Debug)]
#[command(
    after_help = format!("Records of the file's sources go through topics of an embedded broker, so that all is as in \
        a run on Kafka; other programs reach it too, `sandbar produce` and `consume` among them. What goes in and \
        comes out is shown. A plugin whose folder is a project (plugin.toml) is built, and again at each change of a \
        file there; then it takes the place of the one before, and goes on from its last checkpoint: state and \
        positions stay. A build that fails changes nothing. A record that a plugin refuses, or traps on, is shown \
        with the reason, and the rest goes on, whatever `on-error` says.\n\n\
        Each session begins anew, in .sandbar/dev beside the pipeline file.\n\nTyped lines:\n{TYPED}\n\n\
        Examples:\n  sandbar dev\n  sandbar dev views/pipeline.toml\n  sandbar dev pipeline.toml --connect")
)]
pub struct Dev {
    /// The pipeline file
    #[arg(default_value = "pipeline.toml")]
    pipeline: PathBuf,
    /// Override a key of the file, such as source.views.start=earliest; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Read the topics of the cluster that the file names, in a group of the session's own; outputs stay here, and
    /// nothing is committed there
    #[arg(long)]
    connect: bool,
    /// Where the broker listens; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
}

impl Dev {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let settings = DevSettings {
            pipeline: self.pipeline,
            sets: self.sets,
            connect: self.connect,
            listen: self.listen,
        };
        let mut screen = DevScreen {
            out: *out,
            colours: stdout().is_terminal(),
        };
        dev::run(&settings, &mut screen, |stop| {
            let asked = AtomicBool::new(false);
            signals::listen(move || {
                stop();
                asked.swap(true, Ordering::Relaxed)
            })
        })
    }
}

/// A line for each event.
struct DevScreen {
    out: Output,
    colours: bool,
}

impl DevObserver for DevScreen {
    fn tell(&mut self, event: DevEvent) {
        match self.out.is_json() {
            true => self.line(&in_json(&event).to_string()),
            false => self.line(&self.for_a_person(event)),
        }
    }

    fn show_state(&mut self, pipeline: &Pipeline, key: &str) {
        if let Err(error) = state::show_key(pipeline, key, &self.out) {
            self.out.error(&error);
        }
    }

    fn show_help(&mut self, sources: &[String]) {
        let text = match sources {
            [_] => TYPED.to_owned(),
            several => format!(
                "{TYPED}\nA record begins with the name of its source: {}",
                several.join(", ")
            ),
        };
        match self.out.is_json() {
            true => self.line(&json!({ "event": "help", "text": text }).to_string()),
            false => self.line(&text),
        }
    }
}

impl DevScreen {
    /// A reader that went away does not end the session: its signal does.
    fn line(&self, text: &str) {
        let mut to = stdout().lock();
        let _ = writeln!(to, "{text}").and_then(|()| to.flush());
    }

    fn for_a_person(&self, event: DevEvent) -> String {
        match event {
            DevEvent::Listening { brokers, sources } => format!(
                "broker at {brokers}, sources {}; type a record as KEY VALUE, or :help",
                sources.join(", ")
            ),
            DevEvent::Building { folder } => format!("building {}", folder.display()),
            DevEvent::Built { plugin, bytes, seconds } => {
                let size = super::build::size(bytes);
                format!("built {}: {size}, {seconds:.1} s", plugin.display())
            }
            DevEvent::Loading => "compiling it for this machine; what runs goes on until that is done".to_owned(),
            DevEvent::Same => "it is what runs already".to_owned(),
            DevEvent::Running { swapped: false } => self.bold("running"),
            DevEvent::Running { swapped: true } => self.bold("running on: state and positions stay"),
            DevEvent::Failed { error, goes_on } => {
                let after = match goes_on {
                    true => "the version before goes on",
                    false => "nothing runs; change a file and it is tried again",
                };
                format!("{error}\n  {}", self.bold(after))
            }
            DevEvent::Record {
                way,
                name,
                line,
                reason,
                stack,
            } => {
                let mut text = format!("{}{line}", self.start(way, &name));
                reason
                    .iter()
                    .for_each(|reason| text.push_str(&format!("\n       {reason}")));
                stack
                    .iter()
                    .for_each(|frame| text.push_str(&format!("\n         in {frame}")));
                text
            }
            DevEvent::More { way, name, records } => format!("{}… and {records} more", self.start(way, &name)),
            DevEvent::NotDone(error) => error.to_string(),
            DevEvent::Notice(remark) => remark,
        }
    }

    /// `in   views  `, in the colour of the way.
    fn start(&self, way: Way, name: &str) -> String {
        let (word, colour) = match way {
            Way::In => ("in  ", 36),
            Way::Out => ("out ", 32),
            Way::Dead => ("dead", 31),
        };
        match self.colours {
            true => format!("\x1b[{colour}m{word}\x1b[0m  {name}  "),
            false => format!("{word}  {name}  "),
        }
    }

    fn bold(&self, text: &str) -> String {
        match self.colours {
            true => format!("\x1b[1m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }
}

fn in_json(event: &DevEvent) -> Value {
    match event {
        DevEvent::Listening { brokers, sources } => {
            json!({ "event": "listening", "brokers": brokers, "sources": sources })
        }
        DevEvent::Building { folder } => json!({ "event": "building", "folder": folder.display().to_string() }),
        DevEvent::Built { plugin, bytes, seconds } => {
            json!({ "event": "built", "plugin": plugin.display().to_string(), "bytes": bytes, "seconds": seconds })
        }
        DevEvent::Loading => json!({ "event": "loading" }),
        DevEvent::Same => json!({ "event": "same" }),
        DevEvent::Running { swapped } => json!({ "event": "running", "swapped": swapped }),
        DevEvent::Failed { error, goes_on } => {
            json!({ "event": "failed", "goes-on": goes_on, "error": of_error(error) })
        }
        DevEvent::Record {
            way,
            name,
            line,
            reason,
            stack,
        } => {
            // A line that was cut is no JSON.
            let record = RawValue::from_string(line.clone()).map_or_else(|_| json!(line), |whole| json!(whole));
            json!({ "event": way.name(), "name": name, "record": record, "reason": reason, "stack": stack })
        }
        DevEvent::More { way, name, records } => {
            json!({ "event": "more", "way": way.name(), "name": name, "records": records })
        }
        DevEvent::NotDone(error) => json!({ "event": "not-done", "error": of_error(error) }),
        DevEvent::Notice(remark) => json!({ "event": "notice", "text": remark }),
    }
}

fn of_error(error: &Error) -> Value {
    error_json(error)["error"].take()
}
