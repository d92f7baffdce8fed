//! A canary from its begin to its report.
//!
//! ```text
//! the state and the positions of now → records are gathered → the positions of then
//!   → the version before, and the new one, each by itself between the two → compared
//! ```
//!
//! Always: both versions begin with the same state, and read the same records with one thread.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep, sleep_until};

use super::super::asking::{Question, ask_program};
use super::super::grants::GrantedPipeline;
use super::super::keep::Fleet;
use super::super::process::StartOrder;
use super::compare::compare;
use super::outputs::KeptOutputs;
use super::place::{CanaryBegin, CanaryPlace};
use super::run::ShadowRun;
use crate::clock;
use crate::grant::{CanaryGrant, SourceOffsets};
use crate::means::TenantMeans;
use crate::model::canary::{CanaryReport, CanaryRun};
use crate::model::names::Digest;
use crate::model::{PartitionPosition, WantedPipeline};

/// How long a savepoint may take.
const SAVE: Duration = Duration::from_secs(300);
/// How long a look at the positions may take.
const LOOK: Duration = Duration::from_secs(30);
/// What cannot be had now is asked for again for so long: Kafka may be away.
const PATIENCE: Duration = Duration::from_secs(60);
/// From one such question to the next.
const AGAIN: Duration = Duration::from_secs(2);
/// Comparisons that are made at a time: each takes memory of the daemon, for a million keys.
static COMPARED_AT_ONCE: Semaphore = Semaphore::const_new(1);
/// Bytes of the outputs of a run, at most.
const OUTPUT_BYTES: u64 = 256 << 20;
/// A run may take so many times as long as records were gathered, with one thread and after a start.
const TIMES: u32 = 4;
/// And so long besides.
const BESIDES: Duration = Duration::from_secs(300);
/// The pipeline file of which a savepoint is taken, beside that of the pipeline: the folder of its state is the same.
const FILE: &str = "canary.toml";

/// A canary to be made.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CanaryOrder<'a> {
    /// The pipeline as it runs.
    pub(crate) pipeline: &'a WantedPipeline,
    /// What its tenant has.
    pub(crate) means: &'a TenantMeans,
    /// The number of the upgrade.
    pub(crate) number: i64,
    /// The new version's number.
    pub(crate) version: i64,
    /// The text of its file.
    pub(crate) file: &'a str,
    /// The plugin of each of its operators that has one.
    pub(crate) plugins: &'a BTreeMap<String, Digest>,
    /// Whether there is state that is kept, and both begin from a savepoint.
    pub(crate) saves: bool,
    /// Whether the new version may drop state.
    pub(crate) drops_state: bool,
    /// Seconds for which records are gathered.
    pub(crate) seconds: u64,
    /// Until when they are.
    pub(crate) until: i64,
}

/// Why a canary cannot be made, in a sentence.
type CanaryResult<T> = Result<T, String>;

impl Fleet {
    /// Makes a canary, or goes on with it; what came of it. Dropped, its processes end; what it has on the disk stays.
    ///
    /// # Errors
    /// Why nothing could be compared, in a sentence.
    pub(crate) async fn canary(&self, order: &CanaryOrder<'_>) -> CanaryResult<CanaryReport> {
        let (tenant, name) = (&order.pipeline.tenant, &order.pipeline.name);
        let place = CanaryPlace::new(self.canary_folder(tenant, name));
        let begin = match place.begin(order.number) {
            Some(begin) => begin,
            None => patiently(|| self.begin_canary(order, &place)).await?,
        };
        let left = order.until.saturating_sub(clock::now());
        sleep(Duration::from_millis(u64::try_from(left).unwrap_or_default())).await;
        let stops = match place.end() {
            Some(stops) => stops,
            None => {
                let stops = patiently(|| self.positions(order)).await?;
                place
                    .write_end(&stops)
                    .map_err(failed("where it ends cannot be written down"))?;
                stops
            }
        };
        if stops.is_empty() {
            return Ok(CanaryReport::default());
        }
        // Those of a daemon that died would write into the same folders.
        self.end_runs(tenant, name)
            .await
            .map_err(failed("a run from before does not end"))?;
        let old = (
            order.pipeline.file.as_str(),
            &order.pipeline.plugins,
            order.pipeline.version,
        );
        let old = self.shadow(order, (&begin, &stops), "old", old).await?;
        let new = (order.file, order.plugins, order.version);
        let new = self.shadow(order, (&begin, &stops), "new", new).await?;
        let outputs = ["old", "new"].map(|of| KeptOutputs::new(place.outputs(of)));
        let [old_outputs, new_outputs] = outputs;
        let turn = COMPARED_AT_ONCE.acquire().await;
        let compared = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            compare(&old_outputs, &new_outputs)
        });
        let compared = compared.await;
        let compared = compared.map_err(failed("the comparison did not come to an end"))?;
        let report = compared.map_err(failed("what was kept back cannot be compared"))?;
        let run = |run: CanaryRun, counted: &CanaryRun| CanaryRun {
            outputs: counted.outputs,
            dead_letters: counted.dead_letters,
            ..run
        };
        Ok(CanaryReport {
            old: run(old, &report.old),
            new: run(new, &report.new),
            ..report
        })
    }

    /// Notes where the pipeline stands, and takes a savepoint of it while it runs on.
    async fn begin_canary(&self, order: &CanaryOrder<'_>, place: &CanaryPlace) -> CanaryResult<CanaryBegin> {
        let (tenant, name) = (&order.pipeline.tenant, &order.pipeline.name);
        let cleared = self.clear_canary(tenant, name).await;
        cleared.map_err(failed("what a canary before left cannot be removed"))?;
        let savepoint = place.savepoint();
        place.make(&savepoint).map_err(failed("its folder cannot be made"))?;
        let begin = CanaryBegin {
            number: order.number,
            starts: self.positions(order).await?,
            has_savepoint: match order.saves {
                true => self.save_for_canary(order, place).await?,
                false => false,
            },
        };
        place
            .write_begin(&begin)
            .map_err(failed("where it begins cannot be written down"))?;
        Ok(begin)
    }

    /// Whether something was committed, of which there is a savepoint now.
    async fn save_for_canary(&self, order: &CanaryOrder<'_>, place: &CanaryPlace) -> CanaryResult<bool> {
        const WHAT: &str = "no savepoint of the version that runs can be taken";
        let (of, savepoint) = (granted(order), place.savepoint());
        let home = self.home(of.tenant, of.name).map_err(failed(WHAT))?;
        home.write_beside(FILE, of.file).map_err(failed(WHAT))?;
        let mut grant = self.grants().to_look(&of).map_err(failed(WHAT))?;
        grant.folders.push(savepoint.clone());
        let words = ["savepoint", "create", FILE, "--name", &savepoint.display().to_string()];
        let said = ask_program(self.program(), &words, home.folder(), &grant, SAVE).await;
        let said = said.map_err(failed(WHAT))?;
        match (said.code(), said.value()) {
            (Some(0), Some(saved)) => Ok(saved["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty())),
            _ => {
                let problem = said.problem(WHAT);
                Err(format!("{WHAT}: {}: {}", problem.what, problem.why))
            }
        }
    }

    /// Where the pipeline stands in each partition that it committed something of.
    async fn positions(&self, order: &CanaryOrder<'_>) -> CanaryResult<SourceOffsets> {
        const WHAT: &str = "where the pipeline stands cannot be known";
        let question = Question::new(&["offsets", "show"]);
        let answered = self.ask(order.pipeline, order.means, &question, LOOK).await;
        let values = answered
            .and_then(super::super::asking::Answered::all)
            .map_err(failed(WHAT))?;
        let each = match values.as_slice() {
            [Value::Array(each)] => each.clone(),
            _ => values,
        };
        let positions = serde_json::from_value::<Vec<PartitionPosition>>(each.into());
        let mut offsets = SourceOffsets::new();
        for at in positions.map_err(failed(WHAT))? {
            if let Some(committed) = at.committed.filter(|committed| *committed >= 0 && at.partition >= 0) {
                let of_source = offsets.entry(at.source).or_default();
                of_source.entry(at.topic).or_default().insert(at.partition, committed);
            }
        }
        Ok(offsets)
    }

    /// Runs one version between the two positions.
    async fn shadow(
        &self,
        order: &CanaryOrder<'_>,
        (begin, stops): (&CanaryBegin, &SourceOffsets),
        of: &str,
        (file, plugins, version): (&str, &BTreeMap<String, Digest>, i64),
    ) -> CanaryResult<CanaryRun> {
        let what = format!("version {version} cannot be compared");
        let (tenant, name) = (&order.pipeline.tenant, &order.pipeline.name);
        let place = CanaryPlace::new(self.canary_folder(tenant, name));
        let outputs = place.outputs(of);
        place.make(&outputs).map_err(failed(&what))?;
        let home = self.canary_home(tenant, name, of).map_err(failed(&what))?;
        let granted = GrantedPipeline {
            file,
            plugins,
            ..granted(order)
        };
        let socket_folder = home.socket().parent().map(ToOwned::to_owned).unwrap_or_default();
        let mut grant = self.grants().to_run(&granted, &socket_folder).map_err(failed(&what))?;
        grant.folders.extend([outputs.clone(), place.savepoint()]);
        grant.canary = Some(CanaryGrant {
            starts: begin.starts.clone(),
            stops: stops.clone(),
            outputs,
            output_bytes: OUTPUT_BYTES,
        });
        let check = self.grants().to_check(&granted).map_err(failed(&what))?;
        let mut more = Vec::new();
        if begin.has_savepoint {
            more.extend(["--from".to_owned(), place.savepoint().display().to_string()]);
        }
        if order.drops_state {
            more.push("--allow-dropped-state".to_owned());
        }
        let run = ShadowRun {
            name,
            version,
            home,
            start: StartOrder {
                program: self.program().to_owned(),
                run: Arc::new(grant),
                check: Arc::new(check),
                mark: String::new(),
            },
            more,
            limit: Duration::from_secs(order.seconds)
                .saturating_mul(TIMES)
                .saturating_add(BESIDES),
            meter: self.new_meter(tenant, name),
        };
        let made = run.make(file).await.map_err(failed(&what))?;
        made.map_err(|why| format!("version {version} did not come to the end of the records: {why}"))
    }
}

fn granted<'a>(order: &CanaryOrder<'a>) -> GrantedPipeline<'a> {
    let pipeline = order.pipeline;
    GrantedPipeline {
        tenant: &pipeline.tenant,
        name: &pipeline.name,
        file: &pipeline.file,
        plugins: &pipeline.plugins,
        means: order.means,
    }
}

fn failed<E: Display>(what: &str) -> impl Fn(E) -> String {
    move |why| format!("{what}: {why}")
}

/// Asks again until it is had, or the patience is at its end.
async fn patiently<T, F: Future<Output = CanaryResult<T>>>(mut ask: impl FnMut() -> F) -> CanaryResult<T> {
    let end = Instant::now() + PATIENCE;
    loop {
        match ask().await {
            Err(why) if Instant::now() + AGAIN < end => {
                tracing::warn!(why, "a canary asks again");
                sleep_until(Instant::now() + AGAIN).await;
            }
            asked => return asked,
        }
    }
}
