//! The session: one thread that hears of everything and decides what runs.

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;

use super::event::{DevEvent, DevObserver, Way};
use super::local::{LocalTopic, local};
use super::plugins::{project_of, projects, ready};
use super::running::DevRun;
use super::signal::Signal;
use super::tail;
use super::typed::{self, Typed};
use crate::broker::{Broker, BrokerSettings};
use crate::clock;
use crate::config::{Cluster, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::kafka::admin;
use crate::login::Login;
use crate::project::WatchedFiles;
use crate::record::Records;
use crate::sink::OneTopic;
use crate::source::FileReader;
use crate::spec;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Events that wait to be told: whoever sends more waits.
const SIGNALS: usize = 256;

/// What a person asks for.
#[derive(Debug)]
pub struct DevSettings {
    /// The pipeline file.
    pub pipeline: PathBuf,
    /// What wins over what stands in it.
    pub sets: Vec<String>,
    /// Read the topics of the cluster that the file names.
    pub connect: bool,
    /// Where the broker listens.
    pub listen: std::net::SocketAddr,
}

/// Runs a session until it is told to end. `on_stop` is given what to call when that is asked for.
///
/// # Errors
/// The pipeline file is wrong at the start, the broker cannot start, a file cannot be read. What fails later is told,
/// and the session goes on.
pub fn run(
    settings: &DevSettings,
    observer: &mut dyn DevObserver,
    on_stop: impl FnOnce(Box<dyn Fn() + Send>) -> Result<()>,
) -> Result<()> {
    let (to, from) = sync_channel(SIGNALS);
    let stopping = to.clone();
    on_stop(Box::new(move || drop(stopping.send(Signal::Stop))))?;
    let mut session = Session::begin(settings, observer, to)?;
    let ended = session.hear(&from);
    session.end(from);
    ended
}

struct Session<'a> {
    settings: &'a DevSettings,
    observer: &'a mut dyn DevObserver,
    to: SyncSender<Signal>,
    broker: Broker,
    cluster: Cluster,
    folder: PathBuf,
    /// As the file has it, with the session's topics.
    pipeline: Pipeline,
    topics: Vec<LocalTopic>,
    /// They show what goes through the topics.
    tails: Vec<JoinHandle<()>>,
    /// Where typed records go: a topic a source.
    written: Vec<(String, Option<OneTopic>)>,
    watched: WatchedFiles,
    /// The pipeline file's text, as it was read last.
    text: String,
    /// It was read anew since the run began.
    is_reloaded: bool,
    /// A build is under way.
    is_building: bool,
    running: Option<DevRun>,
    /// What runs as soon as the run has ended that is there.
    next: Option<Pipeline>,
    /// What ran before; it runs again if its successor cannot.
    before: Option<Pipeline>,
    ended: Arc<AtomicBool>,
}

impl<'a> Session<'a> {
    fn begin(settings: &'a DevSettings, observer: &'a mut dyn DevObserver, to: SyncSender<Signal>) -> Result<Self> {
        let pipeline = spec::load(&settings.pipeline, &settings.sets)?;
        let folder = fresh_folder(&settings.pipeline, &pipeline.name)?;
        let broker = Broker::start(BrokerSettings {
            listen: settings.listen,
            data_dir: None,
        })?;
        let cluster = Cluster {
            brokers: broker.address().to_string(),
            properties: std::collections::BTreeMap::default(),
            login: Login::default(),
        };
        let (pipeline, topics) = local(pipeline, &cluster, &folder, settings.connect)?;
        let mut session = Self {
            settings,
            observer,
            to,
            broker,
            cluster,
            folder,
            pipeline,
            topics: Vec::new(),
            tails: Vec::new(),
            written: Vec::new(),
            watched: WatchedFiles::default(),
            text: text_of(&settings.pipeline),
            is_reloaded: false,
            is_building: false,
            running: None,
            next: None,
            before: None,
            ended: Arc::default(),
        };
        session.open(topics)?;
        session.observer.tell(DevEvent::Listening {
            brokers: session.cluster.brokers.clone(),
            sources: session.sources(),
        });
        read_lines(session.to.clone())?;
        session.build()?;
        Ok(session)
    }

    /// Hears until it is told to end.
    fn hear(&mut self, from: &Receiver<Signal>) -> Result<()> {
        loop {
            match from.recv_timeout(LOOK) {
                Ok(Signal::Event(event)) => self.observer.tell(event),
                Ok(Signal::Ready(pipeline)) => self.adopt(pipeline)?,
                Ok(Signal::Ended(result)) => self.ended(result)?,
                Ok(Signal::Typed(line)) => {
                    if self.typed(&line)? {
                        return Ok(());
                    }
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => self.look()?,
            }
        }
    }

    /// Makes topics that are new, fills them, and shows what goes through them.
    fn open(&mut self, topics: Vec<LocalTopic>) -> Result<()> {
        for topic in topics {
            let is_known = |known: &LocalTopic| known.topic == topic.topic && known.cluster == topic.cluster;
            if self.topics.iter().any(is_known) {
                continue;
            }
            if topic.partitions > 0 {
                admin::create(&topic.cluster, &topic.topic, topic.partitions, Some(1), &[])?;
            }
            if let Some(file) = &topic.feed {
                feed(FileReader::open(file)?, &topic)?;
            }
            let tail = tail::follow(topic.clone(), self.to.clone(), self.ended.clone())?;
            self.tails.push(tail);
            self.topics.push(topic);
        }
        self.written = self.sources().into_iter().map(|name| (name, None)).collect();
        Ok(())
    }

    fn sources(&self) -> Vec<String> {
        let sources = self.pipeline.sources.iter();
        sources.map(|source| source.name().to_owned()).collect()
    }

    /// Begins to build what runs next; a session hears of it when it is ready.
    fn build(&mut self) -> Result<()> {
        self.is_building = true;
        self.watched = WatchedFiles::look(&self.places());
        let (pipeline, folder, to) = (self.pipeline.clone(), self.folder.clone(), self.to.clone());
        let tell = to.clone();
        let build = move || {
            let ready = ready(pipeline, &folder, |event| drop(tell.send(Signal::Event(event))));
            let _ = to.send(Signal::Ready(ready.map(Box::new)));
        };
        let thread = std::thread::Builder::new().name("build".to_owned()).spawn(build);
        thread
            .map(drop)
            .map_err(|why| Error::new(Kind::Failed, "failed to start a build", why))
    }

    fn places(&self) -> Vec<PathBuf> {
        let mut places = projects(&self.pipeline);
        let plugins = self.pipeline.operators.iter().map(|operator| &operator.plugin);
        // What a project makes is built here, and changes by that.
        places.extend(
            plugins
                .filter(|plugin| plugin.is_file() && project_of(plugin).is_none())
                .cloned(),
        );
        places.push(self.settings.pipeline.clone());
        places
    }

    /// Whether something changed.
    fn look(&mut self) -> Result<()> {
        if self.is_building {
            return Ok(());
        }
        let now = WatchedFiles::look(&self.places());
        if now.changed_since(&self.watched).is_none() {
            return Ok(());
        }
        match self.reload() {
            Ok(()) => self.build(),
            Err(error) => {
                self.watched = now;
                self.fail(error);
                Ok(())
            }
        }
    }

    fn reload(&mut self) -> Result<()> {
        let text = text_of(&self.settings.pipeline);
        if text == self.text {
            return Ok(());
        }
        self.text = text;
        let pipeline = spec::load(&self.settings.pipeline, &self.settings.sets)?;
        let (pipeline, topics) = local(pipeline, &self.cluster, &self.folder, self.settings.connect)?;
        self.pipeline = pipeline;
        self.is_reloaded = true;
        self.open(topics)
    }

    /// Lets the new version run, when the old one has made its last checkpoint.
    fn adopt(&mut self, ready: Result<Box<Pipeline>>) -> Result<()> {
        self.is_building = false;
        let pipeline = match ready {
            Ok(pipeline) => *pipeline,
            Err(error) => {
                self.fail(error);
                return Ok(());
            }
        };
        let is_reloaded = std::mem::take(&mut self.is_reloaded);
        match &self.running {
            // A build writes files too: what comes of them is the same plugin.
            Some(running) if !is_reloaded && have_same_plugins(&running.pipeline, &pipeline) => Ok(()),
            Some(running) => {
                running.request_stop();
                self.next = Some(pipeline);
                Ok(())
            }
            None => self.start(pipeline, false),
        }
    }

    fn start(&mut self, pipeline: Pipeline, swapped: bool) -> Result<()> {
        self.running = Some(DevRun::start(pipeline, self.to.clone())?);
        self.observer.tell(DevEvent::Running { swapped });
        Ok(())
    }

    fn ended(&mut self, result: Result<()>) -> Result<()> {
        let Some(running) = self.running.take() else {
            return Ok(());
        };
        let ended = running.join();
        if let Err(error) = result {
            let cannot_run = matches!(error.kind, Kind::Corrupt | Kind::Plugin | Kind::Invalid);
            let before = self.before.take().filter(|_| cannot_run && self.next.is_none());
            self.observer.tell(DevEvent::Failed {
                error,
                goes_on: before.is_some(),
            });
            if let Some(before) = before {
                return self.start(before, true);
            }
        } else {
            self.before = Some(ended);
        }
        match self.next.take() {
            Some(next) => self.start(next, true),
            None => Ok(()),
        }
    }

    fn fail(&mut self, error: Error) {
        let goes_on = self.running.is_some();
        self.observer.tell(DevEvent::Failed { error, goes_on });
    }

    /// Does what was typed; whether the session is to end.
    fn typed(&mut self, line: &str) -> Result<bool> {
        let sources = self.sources();
        match typed::read(line, &sources, clock::wall_ms()) {
            Ok(Typed::Record(source, mut record)) => self.write(source, &mut record)?,
            Ok(Typed::State(key)) => {
                let pipeline = self
                    .running
                    .as_ref()
                    .map_or(&self.pipeline, |running| &running.pipeline);
                self.observer.show_state(pipeline, &key);
            }
            Ok(Typed::Help) => self.observer.show_help(&sources),
            Ok(Typed::Quit) => return Ok(true),
            Ok(Typed::Nothing) => {}
            Err(why) => {
                let error = Error::new(Kind::Usage, format!("`{line}` was not understood"), why);
                let error = error.hint("`:help` tells what can be typed");
                self.observer.tell(DevEvent::NotDone(error));
            }
        }
        Ok(false)
    }

    fn write(&mut self, source: usize, record: &mut Records) -> Result<()> {
        let (name, written) = &mut self.written[source];
        let Some(topic) = self
            .topics
            .iter()
            .find(|topic| topic.way == Way::In && topic.name == *name)
        else {
            return Ok(());
        };
        if topic.partitions == 0 {
            let what = format!("nothing is written to topic `{}`", topic.topic);
            let error = Error::new(Kind::Usage, what, "it is one of the cluster that --connect reads");
            self.observer.tell(DevEvent::NotDone(error));
            return Ok(());
        }
        if written.is_none() {
            *written = Some(OneTopic::open(topic.cluster.clone(), &topic.topic, "sandbar-dev")?);
        }
        if let Some(topic) = written {
            topic.hand_over(record)?;
            topic.drain()?;
        }
        Ok(())
    }

    /// Waits for what runs, so that nothing of it is left. The broker goes last: nobody misses it.
    fn end(mut self, from: Receiver<Signal>) {
        self.ended.store(true, Ordering::Relaxed);
        if let Some(running) = self.running.take() {
            running.request_stop();
            while let Ok(signal) = from.recv() {
                if matches!(signal, Signal::Ended(_)) {
                    break;
                }
            }
            running.join();
        }
        // Whoever waits to tell something more is let go.
        drop(from);
        self.written.clear();
        for tail in self.tails.drain(..) {
            if tail.join().is_err() {
                tracing::error!("a topic's thread ended by a panic");
            }
        }
        self.broker.stop();
    }
}

/// A file that is gone is told by whoever reads it.
fn text_of(file: &Path) -> String {
    std::fs::read_to_string(file).unwrap_or_default()
}

/// Copies are named after their bytes.
fn have_same_plugins(one: &Pipeline, other: &Pipeline) -> bool {
    let plugins = |of: &Pipeline| {
        of.operators
            .iter()
            .map(|operator| operator.plugin.clone())
            .collect::<Vec<_>>()
    };
    plugins(one) == plugins(other)
}

/// The session's folder, empty.
fn fresh_folder(file: &Path, pipeline: &str) -> Result<PathBuf> {
    let folder = file
        .parent()
        .unwrap_or(Path::new(""))
        .join(".sandbar")
        .join("dev")
        .join(pipeline);
    let cleared = match std::fs::remove_dir_all(&folder) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => Err(why),
        _ => std::fs::create_dir_all(&folder),
    };
    cleared.map_err(|why| Error::new(Kind::Failed, format!("failed to make {}", folder.display()), why))?;
    Ok(folder)
}

/// Puts the records of a file into its topic.
fn feed(mut lines: FileReader, topic: &LocalTopic) -> Result<()> {
    let mut written = OneTopic::open(topic.cluster.clone(), &topic.topic, "sandbar-dev")?;
    let mut batch = Records::default();
    while lines.poll(&mut batch)? {
        written.hand_over(&mut batch)?;
    }
    written.drain().map(drop)
}

/// Lines that are typed; without a terminal those of a pipe, until it ends.
fn read_lines(to: SyncSender<Signal>) -> Result<()> {
    let read = move || {
        for line in std::io::stdin().lock().lines().map_while(std::io::Result::ok) {
            if to.send(Signal::Typed(line)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("typed".to_owned()).spawn(read);
    thread
        .map(drop)
        .map_err(|why| Error::new(Kind::Failed, "failed to read what is typed", why))
}
