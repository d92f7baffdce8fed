//! Shows the records of a topic as they come, as many as a person can read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::event::{DevEvent, Way};
use super::local::LocalTopic;
use super::signal::Signal;
use crate::clock;
use crate::error::{Error, Kind, Result};
use crate::json_lines;
use crate::kafka::topic_reader::{TopicPoll, TopicReader};
use crate::record::Records;

/// Lines of a topic that are shown within `WINDOW`; the rest is counted.
const LINES: u64 = 20;
const WINDOW: Duration = Duration::from_millis(250);
const WAIT: Duration = Duration::from_millis(100);
/// Bytes of a line that are shown.
const LINE_BYTES: usize = 4096;
/// Functions of a plugin's stack that are shown.
const FRAMES: usize = 6;

/// Reads a topic in a thread of its own until the session ends.
pub(super) fn follow(topic: LocalTopic, to: SyncSender<Signal>, ended: Arc<AtomicBool>) -> Result<JoinHandle<()>> {
    let reader = TopicReader::open(&topic.cluster, &topic.topic, &[], topic.from, true)?;
    let tail = Tail {
        reader,
        topic,
        to,
        begun: clock::now(),
        shown: 0,
        more: 0,
    };
    let thread = std::thread::Builder::new().name("tail".to_owned());
    thread
        .spawn(move || tail.run(&ended))
        .map_err(|why| Error::new(Kind::Failed, "failed to start reading a topic", why))
}

struct Tail {
    reader: TopicReader,
    topic: LocalTopic,
    to: SyncSender<Signal>,
    /// Of the window.
    begun: Instant,
    shown: u64,
    more: u64,
}

impl Tail {
    fn run(mut self, ended: &AtomicBool) {
        let mut record = Records::default();
        while !ended.load(Ordering::Relaxed) {
            let polled = self.reader.poll(WAIT, &mut record);
            if clock::now().duration_since(self.begun) >= WINDOW {
                self.close_window();
            }
            match polled {
                Ok(TopicPoll::Record(_)) if self.shown < LINES => {
                    self.shown += 1;
                    self.send(shown(&self.topic, &record));
                }
                Ok(TopicPoll::Record(_)) => self.more += 1,
                Ok(TopicPoll::Idle) => {}
                Ok(TopicPoll::Finished) => return,
                Err(error) => return self.send(DevEvent::NotDone(error)),
            }
        }
    }

    fn close_window(&mut self) {
        let records = std::mem::take(&mut self.more);
        (self.begun, self.shown) = (clock::now(), 0);
        if records > 0 {
            let (way, name) = (self.topic.way, self.topic.name.clone());
            self.send(DevEvent::More { way, name, records });
        }
    }

    /// A session that ended reads nothing any more.
    fn send(&self, event: DevEvent) {
        let _ = self.to.send(Signal::Event(event));
    }
}

fn shown(topic: &LocalTopic, record: &Records) -> DevEvent {
    let mut bytes = Vec::new();
    match topic.way {
        Way::Dead => json_lines::write(&as_it_was(record), 0, None, &mut bytes),
        Way::In | Way::Out => json_lines::write(record, 0, None, &mut bytes),
    }
    let mut line = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
    if line.len() > LINE_BYTES {
        line.truncate(line.floor_char_boundary(LINE_BYTES));
        line.push('…');
    }
    DevEvent::Record {
        way: topic.way,
        name: topic.name.clone(),
        line,
        reason: (topic.way == Way::Dead).then(|| reason(record)),
        stack: stack(record),
    }
}

/// A dead letter without the headers that say why it is one.
fn as_it_was(letter: &Records) -> Records {
    let mut record = Records::default();
    record.push_from(letter, 0);
    record.headers.clear();
    for (name, value) in letter.headers.of(0).filter(|(name, _)| !name.starts_with(b"sandbar-")) {
        record.headers.push(0, name, value);
    }
    record
}

/// Why the newest refusal was, and whose.
fn reason(record: &Records) -> String {
    let by = newest(record, "sandbar-operator")
        .or_else(|| newest(record, "sandbar-sink"))
        .unwrap_or_default();
    let reason = newest(record, "sandbar-reason").unwrap_or_default();
    format!("{by}: {}", on_one_line(&reason))
}

/// Where in its own sources the plugin was, the innermost function first; if the component has no lines, the functions.
fn stack(record: &Records) -> Vec<String> {
    let backtrace = newest(record, "sandbar-backtrace").unwrap_or_default();
    let mut frames: Vec<(String, Option<&str>)> = Vec::new();
    for line in backtrace
        .lines()
        .map(str::trim)
        .filter(|line| !line.starts_with("core dump: "))
    {
        match (line.strip_prefix("at "), frames.last_mut()) {
            (Some(place), Some((_, known))) => *known = Some(place),
            _ => frames.push((
                on_one_line(line.split_once('!').map_or(line, |(_, function)| function)),
                None,
            )),
        }
    }
    let own = frames.iter().filter_map(|(function, place)| {
        let place = place.filter(|place| is_own(place))?;
        Some(format!("{function} at {}", on_one_line(place)))
    });
    let own: Vec<_> = own.take(FRAMES).collect();
    match own.is_empty() {
        true => frames.into_iter().map(|(function, _)| function).take(FRAMES).collect(),
        false => own,
    }
}

/// Libraries come with absolute paths, or with paths below one of these.
fn is_own(place: &str) -> bool {
    let foreign = ["/", "sdk/", "guest-sdk/", "library/", "~lib/", "./", "main.zig:"];
    !foreign.iter().any(|begin| place.starts_with(begin))
}

/// The value of a header, the last if there are several.
fn newest(record: &Records, wanted: &str) -> Option<String> {
    let headers = record.headers.of(0).filter(|(name, _)| *name == wanted.as_bytes());
    let (_, value) = headers.last()?;
    Some(String::from_utf8_lossy(value.unwrap_or_default()).into_owned())
}

/// A plugin's text does nothing to a terminal.
fn on_one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dead(backtrace: &str) -> Records {
        let mut record = Records::default();
        record.values.push(Some(b"v"));
        record.headers.push(0, b"sandbar-backtrace", Some(backtrace.as_bytes()));
        record
    }

    #[test]
    fn of_a_stack_the_plugins_own_lines_are_shown_and_without_lines_its_functions() {
        let lined = [
            "    0: 0x1a - p.wasm!core::panicking::panic\n         at /rustc/59/core/panicking.rs:80:14",
            "    1: 0x1b - p.wasm!count::process\n         at src/lib.rs:9:6",
            "    2: 0x1c - p.wasm!sb_call\n         at sdk/sandbar.c:7:1",
            "    3: 0x1d - p.wasm!process",
        ]
        .join("\n");
        assert_eq!(stack(&dead(&lined)), ["count::process at src/lib.rs:9:6"]);
        let bare = "    0: 0x1a - p.wasm!abort\n    1: 0x1b - p.wasm!process\n  core dump: a.coredump";
        assert_eq!(stack(&dead(bare)), ["abort", "process"]);
        assert!(stack(&Records::default()).is_empty());
    }
}
