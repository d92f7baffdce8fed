//! Sees to the upgrades that are under way: looks at each, does the one next thing, and writes it down first.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;

use super::lag::LagRule;
use super::phases::{Next, WatchMoment, next};
use super::turns::{Turn, Turns};
use crate::catalog::{Catalog, TakeBackOrder};
use crate::clock;
use crate::fleet::{BeginOrder, Fleet, SavepointOrder, Takeover, TakeoverSeen};
use crate::model::names::Name;
use crate::model::problem::Result;
use crate::model::upgrade::{PipelineUpgrade, UpgradePhase};
use crate::model::{State, WantedPipeline};

/// From one look at an upgrade that is under way to the next.
const LOOK: Duration = Duration::from_millis(300);
/// The same of one that is over, but for a start that was not made yet.
const LOOK_LATER: Duration = Duration::from_secs(2);
/// So long somebody may take to decide about a version that differs.
const DECISION_MS: i64 = 3_600_000;
/// The note of a watch goes so long after its end at the latest, whoever was to take it away.
const NOTE_MS: i64 = 10_000;

/// The upgrades of a daemon. Clones are the same.
#[derive(Clone)]
pub struct Upgrades(pub(super) Arc<UpgradeParts>);

pub(super) struct UpgradeParts {
    pub(super) catalog: Catalog,
    pub(super) fleet: Fleet,
    turns: Turns,
    watchers: Mutex<HashMap<(Name, Name), JoinHandle<()>>>,
}

/// What is remembered from one look to the next.
#[derive(Debug, Default)]
struct WatchMemory {
    /// When it was looked at first.
    began: Option<i64>,
    has_run: bool,
    lag: LagRule,
    records_out: Option<u64>,
}

impl Upgrades {
    /// Of a catalog, and of the fleet that is to be as it says.
    pub fn new(catalog: Catalog, fleet: Fleet) -> Self {
        Self(Arc::new(UpgradeParts {
            catalog,
            fleet,
            turns: Turns::default(),
            watchers: Mutex::default(),
        }))
    }

    /// One change of a pipeline after the other, whoever makes it.
    pub(crate) fn turns(&self) -> Turns {
        self.0.turns.clone()
    }

    /// Waits until nothing else changes this pipeline.
    async fn turn(&self, tenant: &Name, name: &Name) -> Turn {
        self.0.turns.turn(tenant, name).await
    }

    /// From now on the fleet keeps a pipeline as it is wanted, with what its newest upgrade says of how it takes over;
    /// and that upgrade is seen to. `is_checked`: the version was checked just now. Whoever calls this has the turn.
    ///
    /// # Errors
    /// As of the catalog; `Failed`: the pipeline's folder cannot be made.
    pub async fn keep(&self, pipeline: &WantedPipeline, is_checked: bool) -> Result<()> {
        self.keep_as(pipeline, |takeover| takeover.is_checked = is_checked)
            .await
    }

    /// The same of one that is not wanted any more and ends by itself, because it was asked to drain: nothing cuts that
    /// short until it is kept in another way.
    ///
    /// # Errors
    /// As [`keep`](Self::keep).
    pub(crate) async fn keep_draining(&self, pipeline: &WantedPipeline) -> Result<()> {
        self.keep_as(pipeline, |takeover| takeover.is_draining = true).await
    }

    async fn keep_as(&self, pipeline: &WantedPipeline, set: impl FnOnce(&mut Takeover)) -> Result<()> {
        let (tenant, name) = (&pipeline.tenant, &pipeline.name);
        let newest = self.0.catalog.upgrade(tenant, name).await?;
        let mut takeover = Takeover::default();
        if let Some(upgrade) = &newest {
            takeover = self.takeover(pipeline, upgrade).await?;
        }
        set(&mut takeover);
        let means = self.0.catalog.means(tenant).await?;
        self.0.fleet.keep(pipeline, &means, takeover)?;
        if newest.is_some_and(|newest| newest.is_open()) {
            self.see_to(tenant, name);
        }
        Ok(())
    }

    async fn takeover(&self, pipeline: &WantedPipeline, upgrade: &PipelineUpgrade) -> Result<Takeover> {
        let (tenant, name) = (&pipeline.tenant, &pipeline.name);
        let is_current = upgrade.to_version == pipeline.version && upgrade.is_made();
        let is_back = upgrade.back_version == Some(pipeline.version);
        let saves = upgrade
            .saves
            .as_ref()
            .filter(|_| is_current && !upgrade.phase.is_over());
        let before = match saves {
            Some(_) => self.0.catalog.version(tenant, name, upgrade.from_version).await?,
            None => None,
        };
        let save = saves.zip(before).map(|(savepoint, before)| SavepointOrder {
            name: savepoint.clone(),
            file: before.file,
            plugins: before.plugins,
        });
        let begin = upgrade
            .to_begin
            .zip(upgrade.savepoint.as_ref().or(upgrade.saves.as_ref()));
        Ok(Takeover {
            save,
            begin: begin.map(|(order, savepoint)| BeginOrder {
                savepoint: savepoint.clone(),
                order,
            }),
            drops_state: is_current && upgrade.drops_state,
            is_checked: false,
            is_draining: false,
            note: (is_current || is_back || upgrade.is_canary())
                .then(|| note(upgrade))
                .flatten(),
        })
    }

    /// Whoever calls this has the turn.
    fn see_to(&self, tenant: &Name, name: &Name) {
        let mut watchers = self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (tenant.clone(), name.clone());
        if watchers.get(&key).is_none_or(JoinHandle::is_finished) {
            let watcher = self.clone().watch(tenant.clone(), name.clone());
            watchers.insert(key, tokio::spawn(watcher));
        }
    }

    /// Sees to the upgrades of a pipeline until none is under way.
    async fn watch(self, tenant: Name, name: Name) {
        let mut remembered = (0, WatchMemory::default());
        loop {
            let pause = match self.look(&tenant, &name, &mut remembered).await {
                Ok(Some(pause)) => pause,
                Ok(None) => return,
                Err(problem) => {
                    tracing::warn!(%tenant, pipeline = %name, %problem, "failed to see to an upgrade");
                    LOOK_LATER
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// One look; how long until the next, or none if nothing is under way any more.
    async fn look(
        &self,
        tenant: &Name,
        name: &Name,
        (of, seen_so_far): &mut (i64, WatchMemory),
    ) -> Result<Option<Duration>> {
        let catalog = &self.0.catalog;
        let (Some(upgrade), Some(pipeline)) = (
            catalog.upgrade(tenant, name).await?,
            catalog.pipeline(tenant, name).await?,
        ) else {
            return Ok(self.leave(tenant, name).await?.then_some(LOOK));
        };
        if !upgrade.is_open() {
            return Ok(self.leave(tenant, name).await?.then_some(LOOK));
        }
        if *of != upgrade.number {
            (*of, *seen_so_far) = (upgrade.number, WatchMemory::default());
        }
        if upgrade.phase == UpgradePhase::Canary {
            self.see_to_canary(&pipeline, &upgrade).await?;
            return Ok(Some(Duration::ZERO));
        }
        let Some(seen) = self.0.fleet.takeover(tenant, name)? else {
            return Ok(Some(LOOK_LATER));
        };
        if self.settle(tenant, name, &upgrade, &seen).await? {
            return Ok(Some(Duration::ZERO));
        }
        if upgrade.phase.is_over() {
            return Ok(Some(LOOK_LATER));
        }
        let now = clock::now();
        let lags = seen_so_far.see(&upgrade, &seen, now);
        let moment = WatchMoment {
            now,
            wanted: pipeline.wanted,
            has_run: seen_so_far.has_run,
            lags,
            looked_ms: now.saturating_sub(*seen_so_far.began.get_or_insert(now)),
        };
        let records_out = seen_so_far.records_out;
        self.come_to(tenant, name, &upgrade, next(&upgrade, &seen, moment), records_out)
            .await?;
        Ok(Some(LOOK))
    }

    /// Whether there is something to see to after all: only whoever has the turn can tell.
    async fn leave(&self, tenant: &Name, name: &Name) -> Result<bool> {
        let _turn = self.turn(tenant, name).await;
        let is_open = self
            .0
            .catalog
            .upgrade(tenant, name)
            .await?
            .is_some_and(|one| one.is_open());
        if !is_open {
            let mut watchers = self.0.watchers.lock().unwrap_or_else(PoisonError::into_inner);
            watchers.remove(&(tenant.clone(), name.clone()));
        }
        Ok(is_open)
    }

    /// Writes down that the savepoint is taken, and that the version began from it; whether there was something.
    async fn settle(&self, tenant: &Name, name: &Name, upgrade: &PipelineUpgrade, seen: &TakeoverSeen) -> Result<bool> {
        let (saved, tasks) = &seen.saved;
        let is_saved = upgrade.saves.as_ref() == Some(saved);
        let has_begun = upgrade.to_begin == Some(seen.begun);
        if !is_saved && !has_begun {
            return Ok(false);
        }
        let (saved, tasks) = (saved.clone(), *tasks);
        let change = move |upgrade: &mut PipelineUpgrade| {
            if is_saved && upgrade.saves.take().is_some() && tasks > 0 {
                upgrade.savepoint = Some(saved);
            }
            let is_of_nothing = upgrade.saves.is_none() && upgrade.savepoint.is_none();
            if has_begun || is_of_nothing {
                upgrade.to_begin = None;
            }
            true
        };
        self.0
            .catalog
            .change_upgrade(tenant, name, upgrade.number, change)
            .await
    }

    /// Writes the next phase down, and tells the fleet.
    pub(super) async fn come_to(
        &self,
        tenant: &Name,
        name: &Name,
        upgrade: &PipelineUpgrade,
        next: Next,
        records_out: Option<u64>,
    ) -> Result<()> {
        if next == Next::Stay {
            return Ok(());
        }
        let (catalog, _turn) = (&self.0.catalog, self.turn(tenant, name).await);
        let (number, phase) = (upgrade.number, upgrade.phase);
        let enter = |to: UpgradePhase, why: String| {
            move |upgrade: &mut PipelineUpgrade| {
                let is_there = upgrade.phase == phase;
                if is_there {
                    let now = clock::now();
                    let watch_ms = i64::try_from(upgrade.watch_seconds.saturating_mul(1000)).unwrap_or(i64::MAX);
                    match to {
                        UpgradePhase::Watched => upgrade.until = Some(now.saturating_add(watch_ms)),
                        UpgradePhase::Compared => upgrade.until = Some(now.saturating_add(DECISION_MS)),
                        _ => {}
                    }
                    upgrade.enter(to, now, why);
                }
                is_there
            }
        };
        let is_promoted = matches!(next, Next::Promote(_));
        match next {
            Next::Stay => false,
            Next::Promote(why) => catalog.promote(tenant, name, number, (&why, None)).await?.is_some(),
            Next::Ask(why) => {
                let enter = enter(UpgradePhase::Compared, why);
                catalog.change_upgrade(tenant, name, number, enter).await?
            }
            Next::Drop(why) => {
                tracing::info!(%tenant, pipeline = %name, version = upgrade.to_version, why, "a version is dropped");
                let enter = enter(UpgradePhase::Dropped, why);
                catalog.change_upgrade(tenant, name, number, enter).await?
            }
            Next::Watch => {
                let enter = enter(UpgradePhase::Watched, String::new());
                catalog.change_upgrade(tenant, name, number, enter).await?
            }
            Next::Done(why) => {
                let enter = enter(UpgradePhase::Done, why);
                catalog.change_upgrade(tenant, name, number, enter).await?
            }
            Next::TakeBack(why) => {
                tracing::info!(%tenant, pipeline = %name, version = upgrade.to_version, why, "a version is taken back");
                let order = TakeBackOrder {
                    why: &why,
                    who: None,
                    from_savepoint: true,
                    records_out,
                };
                catalog.take_back(tenant, name, number, &order).await?.is_some()
            }
        };
        match catalog.pipeline(tenant, name).await? {
            // What is promoted was checked for its run in the canary.
            Some(pipeline) => self.keep(&pipeline, is_promoted).await,
            None => Ok(()),
        }
    }
}

impl WatchMemory {
    /// Looks at the process of the new version; whether it lags.
    fn see(&mut self, upgrade: &PipelineUpgrade, seen: &TakeoverSeen, now: i64) -> bool {
        let status = &seen.status;
        if status.version != upgrade.to_version || upgrade.phase != UpgradePhase::Watched {
            return false;
        }
        self.records_out = status.records_out.or(self.records_out);
        if status.state != State::Running {
            return false;
        }
        self.has_run = true;
        let before = upgrade.lag.unwrap_or_default();
        status.lag.is_some_and(|lag| self.lag.look(now, lag, before))
    }
}

/// What the status says of an upgrade as long as nothing else is to be said.
fn note(upgrade: &PipelineUpgrade) -> Option<(String, Option<i64>)> {
    let version = upgrade.to_version;
    match upgrade.phase {
        UpgradePhase::Watched => {
            let until = upgrade.until?;
            let text = format!("upgrade to version {version} is watched until {}", time(until));
            Some((text, Some(until.saturating_add(NOTE_MS))))
        }
        UpgradePhase::TakenBack => Some((taken_back(upgrade), None)),
        UpgradePhase::Canary => {
            let until = time(upgrade.until?);
            Some((
                format!("canary: version {version} is compared with this one on the records until {until}"),
                None,
            ))
        }
        UpgradePhase::Compared => {
            let (why, until) = (upgrade.why(), time(upgrade.until?));
            let text = format!(
                "canary of version {version}: {why}; `sandbar upgrade --promote` or `--drop`, at {until} it is dropped"
            );
            Some((text, None))
        }
        UpgradePhase::Dropped | UpgradePhase::Swapping | UpgradePhase::Done | UpgradePhase::Overtaken => None,
    }
}

/// That a version was taken back, why, and what it left.
pub(crate) fn taken_back(upgrade: &PipelineUpgrade) -> String {
    let (version, old, at) = (upgrade.to_version, upgrade.from_version, time(upgrade.since()));
    let put_out = match upgrade.records_out {
        None => "what it had put out".to_owned(),
        Some(1) => "the record that it had put out, when it was looked at last,".to_owned(),
        Some(records) => format!("the {records} records that it had put out, when it was looked at last,"),
    };
    let left = match upgrade.savepoint.is_some() {
        true => format!("{put_out} if any, stay in their topics, and version {old} went on from its savepoint"),
        false => format!("{put_out} if any, stay in their topics, and version {old} went on at the last commit"),
    };
    format!("version {version} was taken back at {at}: {}; {left}", upgrade.why())
}

/// A moment as a person reads it, in UTC.
fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms)
        .map_or_else(|_| ms.to_string(), |time| time.strftime("%H:%M:%S UTC").to_string())
}
