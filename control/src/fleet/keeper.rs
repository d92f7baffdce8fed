//! Keeps one pipeline as it is wanted: looks what is there, does the one next thing, and tells the state.
//!
//! Always: a process is started only by who holds the pipeline's lock, which it takes along; so none runs twice. What
//! is written of it is written before it starts; so none is forgotten.

use std::fs::File;
use std::io::{self, Write};
use std::process::ExitStatus;
use std::time::Duration;

use tokio::process::Child;
use tokio::sync::{broadcast, watch};
use tokio::time::{Instant, sleep_until};

use super::derive::{Seen, derive};
use super::ending::Ending;
use super::home::{PipelineHome, RunCard};
use super::meter::Meter;
use super::process::{self, ProcessStatus, StartOrder};
use super::saving::{SaveOrder, SaveOutcome};
use super::takeover::{BeginOrder, Takeover};
use crate::clock;
use crate::model::{State, Status, Wanted, WantedPipeline};

/// How often a pipeline is looked at that does what it should.
const LOOK: Duration = Duration::from_secs(2);
/// How often one is looked at that is about to change.
const LOOK_CLOSELY: Duration = Duration::from_millis(200);
/// The first pause before a start that follows a failure; each is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// Whoever ran so long before it failed begins with the first pause again.
const RAN_WELL_MS: i64 = 60_000;
/// A process that was asked to end has so long for its last checkpoint.
const END_MOST: Duration = Duration::from_secs(60);
/// So long a process has to answer for the first time: plugins are compiled, state is fetched.
const ANSWER_MOST_MS: i64 = 60_000;
/// So long the system takes at most to say how a process ended that let go of its lock.
const REAP: Duration = Duration::from_secs(1);
/// Bytes at the end of a log in which a process says how it ended.
const LAST_WORDS: u64 = 64 << 10;

/// What a keeper is told.
#[derive(Debug, Clone)]
pub(super) struct KeepOrder {
    /// The pipeline as it is wanted; `None`: it is to be gone.
    pub(super) pipeline: Option<WantedPipeline>,
    /// What is set over its file; or why it cannot be run.
    pub(super) start: Result<StartOrder, String>,
    /// The savepoint that is taken before the next start.
    pub(super) save: Option<SaveOrder>,
    /// How the version takes over from the one before.
    pub(super) takeover: Takeover,
    /// Grows when it is to be started although it ended for good.
    pub(super) again: u64,
}

/// Keeps one pipeline.
pub(super) struct Keeper {
    pub(super) home: PipelineHome,
    pub(super) orders: watch::Receiver<KeepOrder>,
    pub(super) status: watch::Sender<Status>,
    pub(super) changes: broadcast::Sender<Status>,
    meter: Meter,
    child: Option<Child>,
    exit: Option<ExitStatus>,
    /// Failures in a row.
    failures: u32,
    next_start: Option<Instant>,
    end_by: Option<Instant>,
    /// The `again` that was followed.
    followed: u64,
    /// When the process began that answered last.
    answered: i64,
}

impl Keeper {
    pub(super) fn new(
        home: PipelineHome,
        orders: watch::Receiver<KeepOrder>,
        status: watch::Sender<Status>,
        changes: broadcast::Sender<Status>,
        meter: Meter,
    ) -> Self {
        let followed = orders.borrow().again;
        Self {
            home,
            orders,
            status,
            changes,
            meter,
            child: None,
            exit: None,
            failures: 0,
            next_start: None,
            end_by: None,
            followed,
            answered: 0,
        }
    }

    /// Keeps it until it is to be gone, or the daemon ends: then its process goes on.
    pub(super) async fn keep(mut self) -> io::Result<()> {
        loop {
            let order = self.orders.borrow_and_update().clone();
            let look = match self.turn(&order).await {
                Ok(Turned::Gone) => return self.home.remove(),
                Ok(Turned::Look(after)) => after,
                Err(error) => {
                    tracing::error!(folder = %self.home.folder().display(), %error, "failed to keep a pipeline");
                    self.tell(
                        &order,
                        State::Failed,
                        format!("the daemon cannot keep it: {error}"),
                        None,
                        None,
                    );
                    LOOK
                }
            };
            let mut by = Instant::now() + look;
            by = self.next_start.map_or(by, |start| start.min(by));
            tokio::select! {
                told = self.orders.changed() => if told.is_err() { return Ok(()) },
                () = sleep_until(by) => {}
                exit = wait(&mut self.child) => {
                    self.exit = exit.ok();
                    self.child = None;
                }
            }
        }
    }

    async fn turn(&mut self, order: &KeepOrder) -> io::Result<Turned> {
        let mut card = self.home.card();
        let is_alive = self.home.is_alive()?;
        if is_alive {
            return self.see_to_a_living(order, card).await;
        }
        self.end_by = None;
        // The lock goes a moment before the system says how its process ended.
        if let Some(child) = &mut self.child {
            self.exit = tokio::time::timeout(REAP, child.wait()).await.ok().and_then(Result::ok);
            self.child = None;
        }
        self.learn_how_it_ended(&mut card)?;
        let Some(pipeline) = &order.pipeline else {
            return Ok(Turned::Gone);
        };
        if pipeline.wanted != Wanted::Running {
            self.next_start = None;
        }
        if let Some(turned) = self.see_to_savepoint(order, pipeline, &mut card).await? {
            return Ok(turned);
        }
        if let (Wanted::Running, Err(why)) = (pipeline.wanted, &order.start) {
            self.next_start = None;
            self.tell(order, State::Failed, why.clone(), None, None);
            return Ok(Turned::Look(LOOK));
        }
        if pipeline.wanted == Wanted::Running && self.is_time_to_start(order, pipeline, &mut card) {
            self.tell(order, State::Starting, String::new(), None, None);
            self.check_and_start(order, pipeline, card).await?;
            return Ok(Turned::Look(LOOK_CLOSELY));
        }
        let seconds = self
            .next_start
            .map(|start| start.duration_since(Instant::now()).as_secs() + 1);
        let (state, reason) = derive(&Seen {
            wanted: pipeline.wanted,
            is_alive: false,
            says: None,
            is_to_answer: false,
            is_asked_to_end: false,
            ended: card.ended.as_ref(),
            next_start: seconds,
        });
        self.tell(order, state, reason, None, None);
        Ok(Turned::Look(LOOK))
    }

    /// The savepoint of the version before is taken first, whatever is wanted; without it nothing starts.
    async fn see_to_savepoint(
        &mut self,
        order: &KeepOrder,
        pipeline: &WantedPipeline,
        card: &mut RunCard,
    ) -> io::Result<Option<Turned>> {
        let is_due = order.save.as_ref().is_some_and(|save| card.saved != save.name);
        if !is_due {
            return Ok(None);
        }
        let (state, version) = (at_rest(pipeline.wanted), pipeline.version);
        let why = format!("a savepoint is taken before version {version} takes over");
        self.tell(order, state, why, None, None);
        match self.save(order, card).await? {
            SaveOutcome::Yes => Ok(None),
            SaveOutcome::No(why) => {
                self.tell(order, state, format!("no savepoint can be taken: {why}"), None, None);
                Ok(Some(Turned::Look(LOOK)))
            }
            SaveOutcome::Interrupted => Ok(Some(Turned::Look(LOOK_CLOSELY))),
        }
    }

    /// A process is there: it goes on if it is the one that is wanted, and is asked to end if not.
    async fn see_to_a_living(&mut self, order: &KeepOrder, mut card: RunCard) -> io::Result<Turned> {
        let is_wanted =
            |pipeline: &WantedPipeline| pipeline.wanted == Wanted::Running && pipeline.version == card.version;
        let is_granted = order.start.as_ref().is_ok_and(|start| start.mark == card.mark);
        let is_wanted = order.pipeline.as_ref().is_some_and(is_wanted) && is_granted;
        let said = process::ask(&self.home).await;
        if said.as_ref().is_some_and(|(_, says)| says.running) {
            self.has_begun(&mut card)?;
        }
        // What it says of its beginning is needed until it was read.
        if !card.is_to_begin()
            && let Err(error) = self.home.shorten_log()
        {
            tracing::warn!(folder = %self.home.folder().display(), %error, "failed to begin a log anew");
        }
        let is_to_be_ended = !is_wanted && !order.takeover.is_draining;
        if is_to_be_ended && !card.is_asked_to_end && process::ask_to_end(&self.home, self.child.as_ref()).await? {
            card.is_asked_to_end = true;
            self.home.write_card(&card)?;
        }
        if is_to_be_ended {
            let by = *self.end_by.get_or_insert_with(|| Instant::now() + END_MOST);
            if Instant::now() > by {
                tracing::warn!(folder = %self.home.folder().display(), "a process did not end; it is killed");
                process::kill(&self.home, self.child.as_ref()).await?;
            }
        }
        let (pid, says) = said.map_or((None, None), |(pid, says)| (Some(pid), Some(says)));
        if let (Some(pid), Some(says)) = (pid, &says) {
            self.answered = card.began;
            self.see_to_its_quotas(order, &mut card, pid, says).await?;
        }
        let has_had_time = clock::now().saturating_sub(card.began) > ANSWER_MOST_MS;
        let (state, reason) = derive(&Seen {
            wanted: order
                .pipeline
                .as_ref()
                .map_or(Wanted::Stopped, |pipeline| pipeline.wanted),
            is_alive: true,
            says: says.as_ref(),
            is_to_answer: self.answered == card.began || has_had_time,
            is_asked_to_end: card.is_asked_to_end,
            ended: None,
            next_start: None,
        });
        self.tell(order, state, reason, pid, says);
        let is_calm = is_wanted && state == State::Running;
        Ok(Turned::Look(if is_calm { LOOK } else { LOOK_CLOSELY }))
    }

    /// Counts what it uses, and ends one that uses more than it may: in order if it can. What it used is no reason to
    /// lose what it did: its last commit stands either way.
    async fn see_to_its_quotas(
        &mut self,
        order: &KeepOrder,
        card: &mut RunCard,
        pid: u32,
        says: &ProcessStatus,
    ) -> io::Result<()> {
        let Ok(start) = &order.start else { return Ok(()) };
        let excess = self.meter.look(&self.home, card, start, (pid, says)).await;
        let Some(excess) = excess.filter(|_| card.excess.is_none() && !card.is_asked_to_end) else {
            return Ok(());
        };
        tracing::warn!(folder = %self.home.folder().display(), why = %excess.why, "a process uses more than it may");
        let is_in_order = excess.is_in_order;
        card.excess = Some(excess);
        self.home.write_card(card)?;
        match is_in_order {
            true => process::ask_to_end(&self.home, self.child.as_ref()).await?,
            false => process::kill(&self.home, self.child.as_ref()).await?,
        };
        Ok(())
    }

    /// Notes that the process began where it was told to, before it commits anything of its own: none begins there
    /// again.
    fn has_begun(&self, card: &mut RunCard) -> io::Result<()> {
        if !card.is_to_begin() {
            return Ok(());
        }
        card.begun = card.begins;
        self.home.write_card(card)
    }

    /// Notes how the newest process ended, once.
    fn learn_how_it_ended(&mut self, card: &mut RunCard) -> io::Result<()> {
        let exit = self.exit.take();
        if card.began == 0 || card.ended.is_some() {
            return Ok(());
        }
        if card.is_to_begin() && self.home.came_to_reading(card.began)? {
            card.begun = card.begins;
        }
        let ended = match &card.excess {
            // A disk that is full stays full; memory may not be needed again.
            Some(excess) => Ending::of_excess(&excess.why, excess.is_in_order),
            None => Ending::of(&self.home.end_of_log(LAST_WORDS)?, card.began, exit),
        };
        let ran = clock::now().saturating_sub(card.began);
        self.failures = if ran >= RAN_WELL_MS {
            1
        } else {
            self.failures.saturating_add(1)
        };
        card.ended = Some(ended);
        self.home.write_card(card)
    }

    fn is_time_to_start(&mut self, order: &KeepOrder, pipeline: &WantedPipeline, card: &mut RunCard) -> bool {
        let order_mark = order.start.as_ref().ok().map(|start| &start.mark);
        let again = order.again;
        // What came to its end is not begun again because its tenant has something else.
        let is_granted_more = order_mark.is_some_and(|mark| *mark != card.mark) && card.ended != Some(Ending::Finished);
        let is_new = card.began == 0 || card.version != pipeline.version || card.is_asked_to_end || is_granted_more;
        if is_new || again != self.followed {
            (self.failures, self.next_start) = (0, None);
            card.restarts = 0;
            return true;
        }
        match card.ended {
            None | Some(Ending::Finished | Ending::Failed { is_lasting: true, .. }) => return false,
            Some(Ending::Stopped | Ending::Failed { is_lasting: false, .. }) => {}
        }
        let start = *self
            .next_start
            .get_or_insert_with(|| Instant::now() + pause(self.failures));
        if Instant::now() < start {
            return false;
        }
        self.next_start = None;
        card.restarts += 1;
        true
    }

    /// Starts its process, after a check if none was passed with this program: the process itself compiles nothing.
    async fn check_and_start(
        &mut self,
        order: &KeepOrder,
        pipeline: &WantedPipeline,
        mut card: RunCard,
    ) -> io::Result<()> {
        let (Ok(start), Some(lock)) = (&order.start, self.home.lock()?) else {
            return Ok(());
        };
        self.home.write_file(&pipeline.file)?;
        let check = start.check_of(pipeline.version)?;
        let is_again = order.again != self.followed;
        // What the daemon checked just now need not be checked again while nothing runs.
        let is_checked = card.passed == check || order.takeover.is_checked && card.version != pipeline.version;
        if !is_checked || is_again {
            let said = tokio::select! {
                said = process::check(&start.program, self.home.folder(), &start.check) => said,
                // What is wanted now may be something else.
                _ = self.orders.changed() => {
                    self.orders.mark_changed();
                    return Ok(());
                }
            };
            let judged = said.map(|said| said.judge(&pipeline.name));
            self.followed = order.again;
            if let Some(ending) = Ending::of_check(judged) {
                return self.is_not_to_start(pipeline, &start.mark, card, ending);
            }
        }
        card.passed = check;
        self.start(order, pipeline, card, lock)
    }

    /// Notes that a version cannot be started.
    fn is_not_to_start(
        &mut self,
        pipeline: &WantedPipeline,
        mark: &str,
        mut card: RunCard,
        ending: Ending,
    ) -> io::Result<()> {
        self.failures = self.failures.saturating_add(1);
        (card.version, card.began, card.is_asked_to_end) = (pipeline.version, clock::now(), false);
        card.mark = mark.to_owned();
        card.ended = Some(ending);
        self.home.write_card(&card)
    }

    fn start(&mut self, order: &KeepOrder, pipeline: &WantedPipeline, card: RunCard, lock: File) -> io::Result<()> {
        let Ok(start) = &order.start else { return Ok(()) };
        let began = clock::now();
        // Before the card: what an older process said is not taken for what this one says.
        let marker = Ending::marker(pipeline.version, began);
        self.home.open_log()?.write_all(format!("{marker}\n").as_bytes())?;
        // Of a savepoint without tasks: nothing was committed, so the last commit is what it would begin with.
        let is_saved = |begin: &&BeginOrder| card.saved != begin.savepoint || card.saved_tasks > 0;
        let begin = order.takeover.begin.as_ref().filter(is_saved);
        let begin = begin.filter(|begin| begin.order != card.begun);
        let mut card = RunCard {
            version: pipeline.version,
            began,
            begins: begin.map_or(0, |begin| begin.order),
            mark: start.mark.clone(),
            counted: Some(self.meter.begin()),
            excess: None,
            is_asked_to_end: false,
            ended: None,
            ..card
        };
        let mut more = Vec::new();
        if let Some(begin) = begin {
            more.extend(["--from".to_owned(), begin.savepoint.clone()]);
        }
        if order.takeover.drops_state {
            more.push("--allow-dropped-state".to_owned());
        }
        self.home.write_card(&card)?;
        self.followed = order.again;
        match process::start(&self.home, start, &more, lock) {
            Ok(child) => self.child = Some(child),
            Err(error) => {
                card.ended = Some(Ending::not_started(&error));
                self.failures = self.failures.saturating_add(1);
                self.home.write_card(&card)?;
            }
        }
        Ok(())
    }

    fn tell(&self, order: &KeepOrder, state: State, reason: String, pid: Option<u32>, says: Option<ProcessStatus>) {
        let (card, mut before) = (self.home.card(), self.status.borrow().clone());
        let reason = match state {
            State::Running if reason.is_empty() => order.takeover.said(clock::now()),
            _ => reason,
        };
        let version = order
            .pipeline
            .as_ref()
            .map_or(before.version, |pipeline| pipeline.version);
        let since = if before.state == state {
            before.since
        } else {
            clock::now()
        };
        let status = Status {
            state,
            reason,
            since,
            restarts: card.restarts,
            version: if pid.is_some() { card.version } else { version },
            records_in: says.as_ref().map(|says| says.records_in),
            records_out: says.as_ref().map(|says| says.records_out),
            lag: says.as_ref().map(|says| says.lag),
            workers: says.as_ref().map(|says| says.workers),
            pid,
            ..before.clone()
        };
        self.status.send_replace(status.clone());
        // Who follows the changes is told of states, not of each record.
        let is_change = before.state != status.state || before.reason != status.reason || before.pid != status.pid;
        before = status;
        if is_change {
            let _nobody_may_follow = self.changes.send(before);
        }
    }
}

/// The state of a pipeline without a process that is about to be as it is wanted.
fn at_rest(wanted: Wanted) -> State {
    match wanted {
        Wanted::Running => State::Starting,
        Wanted::Paused => State::Paused,
        Wanted::Stopped => State::Stopped,
    }
}

/// What came of a turn.
enum Turned {
    /// Nothing is there any more, as was wanted.
    Gone,
    /// It is looked at again, after so long at the latest.
    Look(Duration),
}

/// The pause after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = FIRST_PAUSE.saturating_mul(1 << failures.saturating_sub(1).min(6));
    doubled.min(LONGEST_PAUSE)
}

/// The end of our child; never, if there is none.
async fn wait(child: &mut Option<Child>) -> io::Result<ExitStatus> {
    match child {
        Some(child) => child.wait().await,
        None => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_from_a_second_to_a_minute() {
        let seconds: Vec<_> = (1..9).map(|failures| pause(failures).as_secs()).collect();
        assert_eq!(seconds, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!(pause(0), FIRST_PAUSE);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }
}
