//! The session: one thread that hears of everything and decides what runs.

use std::fs::File;
use std::io::{BufRead, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use super::event::{DevEvent, DevObserver};
use super::local::local;
use super::plugins::{project_of, projects, ready};
use super::running::{DevRun, or_panicked};
use super::signal::Signal;
use super::topics::DevTopics;
use super::typed::{self, Typed};
use crate::broker::{Broker, BrokerSettings};
use crate::clock;
use crate::config::{Cluster, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::login::Login;
use crate::project::WatchedFiles;
use crate::spec;

/// How often the files are looked at.
const LOOK: Duration = Duration::from_millis(250);
/// Events that wait to be told: whoever sends more waits.
const SIGNALS: usize = 256;
/// Bytes of a line that is typed, at most.
const LINE_BYTES: u64 = 1 << 20;

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
    let (wakes, stop) = (to.clone(), Arc::new(AtomicBool::new(false)));
    let stopping = stop.clone();
    on_stop(Box::new(move || {
        stopping.store(true, Ordering::Relaxed);
        // Whoever asks must not wait: a channel that is full wakes the session anyway.
        let _ = wakes.try_send(Signal::Stop);
    }))?;
    let mut session = Session::begin(settings, observer, to)?;
    let heard = session.hear(&from, &stop);
    let ended = session.end(from);
    heard.and(ended)
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
    topics: DevTopics,
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
    /// Held so that no other session of the pipeline clears the folder.
    _lock: File,
    /// Tells this session's groups from those of others.
    id: u64,
}

impl<'a> Session<'a> {
    fn begin(settings: &'a DevSettings, observer: &'a mut dyn DevObserver, to: SyncSender<Signal>) -> Result<Self> {
        let text = text_of(&settings.pipeline);
        let pipeline = spec::load(&settings.pipeline, &settings.sets)?;
        let (folder, lock) = fresh_folder(&settings.pipeline, &pipeline.name)?;
        let broker = Broker::start(BrokerSettings {
            listen: settings.listen,
            data_dir: None,
        })?;
        let cluster = Cluster {
            brokers: broker.address().to_string(),
            properties: std::collections::BTreeMap::default(),
            login: Login::default(),
        };
        let id = clock::random();
        let (pipeline, topics) = local(pipeline, &cluster, &folder, settings.connect.then_some(id))?;
        let mut session = Self {
            settings,
            observer,
            topics: DevTopics::new(to.clone()),
            to,
            broker,
            cluster,
            folder,
            pipeline,
            watched: WatchedFiles::default(),
            text,
            is_reloaded: false,
            is_building: false,
            running: None,
            next: None,
            before: None,
            _lock: lock,
            id,
        };
        session.topics.open(topics)?;
        session.observer.tell(DevEvent::Listening {
            brokers: session.cluster.brokers.clone(),
            sources: session.sources(),
        });
        read_lines(session.to.clone())?;
        let seen = WatchedFiles::look(&session.places());
        session.build(seen)?;
        Ok(session)
    }

    /// Hears until it is told to end. Files are looked at however much there is to hear.
    fn hear(&mut self, from: &Receiver<Signal>, stop: &AtomicBool) -> Result<()> {
        let mut look = clock::now() + LOOK;
        while !stop.load(Ordering::Relaxed) {
            match from.recv_timeout(look.saturating_duration_since(clock::now())) {
                Ok(Signal::Event(event)) => self.observer.tell(event),
                Ok(Signal::Ready(pipeline)) => self.adopt(pipeline)?,
                Ok(Signal::Ended(result)) => self.ended(result)?,
                Ok(Signal::Typed(line)) => {
                    if self.typed(&line) {
                        return Ok(());
                    }
                }
                Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return Ok(()),
                Err(RecvTimeoutError::Timeout) => {}
            }
            if clock::now() >= look {
                self.look()?;
                look = clock::now() + LOOK;
            }
        }
        Ok(())
    }

    fn sources(&self) -> Vec<String> {
        let sources = self.pipeline.sources.iter();
        sources.map(|source| source.name().to_owned()).collect()
    }

    /// Begins to build what runs next; a session hears of it when it is ready.
    /// `seen` is how the files stand that it is built of, or stood before.
    fn build(&mut self, seen: WatchedFiles) -> Result<()> {
        self.is_building = true;
        self.watched = seen;
        let (pipeline, folder, to) = (self.pipeline.clone(), self.folder.clone(), self.to.clone());
        let tell = to.clone();
        let build = move || {
            let ready = or_panicked("the build", || {
                ready(pipeline, &folder, |event| drop(tell.send(Signal::Event(event))))
            });
            let _ = to.send(Signal::Ready(ready.map(Box::new)));
        };
        let thread = std::thread::Builder::new().name("build".to_owned()).spawn(build);
        thread
            .map(drop)
            .map_err(|why| Error::new(Kind::Failed, "failed to start a build", why))
    }

    /// The pipeline file first: however much lies beside it, it is looked at.
    fn places(&self) -> Vec<PathBuf> {
        let mut places = vec![self.settings.pipeline.clone()];
        let plugins = self.pipeline.operators.iter().map(|operator| &operator.plugin);
        // What a project makes is built here, and changes by that.
        let others = plugins.filter(|plugin| plugin.is_file() && project_of(plugin).is_none());
        places.extend(others.cloned());
        places.extend(projects(&self.pipeline));
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
            Ok(()) => self.build(now),
            Err(error) => {
                self.watched = now;
                self.fail(error);
                Ok(())
            }
        }
    }

    /// Takes the pipeline file as it is now, if it is another one and right; else all stays as it was.
    fn reload(&mut self) -> Result<()> {
        let text = text_of(&self.settings.pipeline);
        if text == self.text {
            return Ok(());
        }
        let pipeline = spec::load(&self.settings.pipeline, &self.settings.sets)?;
        let session = self.settings.connect.then_some(self.id);
        let (pipeline, topics) = local(pipeline, &self.cluster, &self.folder, session)?;
        self.topics.open(topics)?;
        (self.pipeline, self.text, self.is_reloaded) = (pipeline, text, true);
        Ok(())
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
        let is_same = |running: &DevRun| have_same_plugins(&running.pipeline, &pipeline);
        match &self.running {
            // A build writes files too: what comes of them is the same plugin.
            Some(running) if !is_reloaded && self.next.is_none() && is_same(running) => {
                self.observer.tell(DevEvent::Same);
                Ok(())
            }
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
                goes_on: before.is_some() || self.next.is_some(),
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
    fn typed(&mut self, line: &str) -> bool {
        let sources = self.sources();
        match typed::read(line, &sources, clock::wall_ms()) {
            Ok(Typed::Record(source, mut record)) => {
                if let Err(error) = self.topics.write(&self.pipeline.sources[source], &mut record) {
                    self.observer.tell(DevEvent::NotDone(error));
                }
            }
            Ok(Typed::State(key)) => {
                let running = self.running.as_ref().map(|running| &running.pipeline);
                self.observer.show_state(running.unwrap_or(&self.pipeline), &key);
            }
            Ok(Typed::Help) => self.observer.show_help(&sources),
            Ok(Typed::Quit) => return true,
            Ok(Typed::Nothing) => {}
            Err(why) => {
                let error = Error::new(Kind::Usage, format!("`{line}` was not understood"), why);
                let error = error.hint("`:help` tells what can be typed");
                self.observer.tell(DevEvent::NotDone(error));
            }
        }
        false
    }

    /// Waits for what runs, so that nothing of it is left.
    fn end(mut self, from: Receiver<Signal>) -> Result<()> {
        let mut ended = Ok(());
        if let Some(running) = self.running.take() {
            running.request_stop();
            while let Ok(signal) = from.recv() {
                if let Signal::Ended(result) = signal {
                    ended = result;
                    break;
                }
            }
            running.join();
        }
        // Whoever waits to tell something more is let go.
        drop(from);
        self.topics.close();
        // It goes with the process: clients are still being taken down, and would complain of a broker that is gone.
        std::mem::forget(self.broker);
        ended
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

/// The session's folder, empty, and what keeps another session out of it.
fn fresh_folder(file: &Path, pipeline: &str) -> Result<(PathBuf, File)> {
    let all = file.parent().unwrap_or(Path::new("")).join(".sandbar").join("dev");
    let folder = all.join(pipeline);
    let failed = |why: std::io::Error| Error::new(Kind::Failed, format!("failed to make {}", folder.display()), why);
    std::fs::create_dir_all(&all).map_err(failed)?;
    let lock = File::create(all.join(format!("{pipeline}.lock"))).map_err(failed)?;
    if lock.try_lock().is_err() {
        let what = format!("a session of pipeline `{pipeline}` runs already");
        return Err(Error::new(Kind::Usage, what, format!("it has {}", folder.display())));
    }
    match std::fs::remove_dir_all(&folder) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(failed(why)),
        _ => std::fs::create_dir_all(&folder).map_err(failed)?,
    }
    Ok((folder, lock))
}

/// Lines that are typed; without a terminal those of a pipe, until it ends. What is no text is shown as it can be.
fn read_lines(to: SyncSender<Signal>) -> Result<()> {
    let read = move || {
        let (mut input, mut line) = (std::io::stdin().lock(), Vec::new());
        loop {
            line.clear();
            match (&mut input).take(LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let typed = String::from_utf8_lossy(&line).into_owned();
            if to.send(Signal::Typed(typed)).is_err() {
                return;
            }
        }
    };
    let thread = std::thread::Builder::new().name("typed".to_owned()).spawn(read);
    thread
        .map(drop)
        .map_err(|why| Error::new(Kind::Failed, "failed to read what is typed", why))
}
