//! Routes of a pipeline's upgrades, and of the way back.
//!
//! Never changes anything before the difference is known and the new version is checked. Always: the phase is written
//! down before the fleet hears of it; what becomes of an upgrade from then on does not depend on who asked.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::catalog::{Applied, TakeBackOrder, UpgradeOrder};
use crate::fleet::{PluginComparison, StateOutcome, StoreOutcome};
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::upgrade::{PipelineUpgrade, UpgradePhase};
use crate::model::{PipelineVersion, Wanted, WantedPipeline};
use crate::rest::answers::{etag, expected, not_found};
use crate::rest::asked::{PipelinePath, Sent, invalid};
use crate::rest::audit::Noted;
use crate::rest::difference::{difference, of_plugins};
use crate::rest::pipelines::{as_expected, found, is_pushed};
use crate::rest::router::Rest;
use crate::rest::sign_in::{Caller, OPERATORS};

/// Seconds for which a new version is watched, if nobody says how long.
const USUAL_WATCH: u64 = 120;
/// The most: a day.
const MOST_WATCH: u64 = 86_400;

/// An upgrade to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::rest) struct UpgradeAsked {
    /// The text of the new version's file; without it, the one that there is.
    #[serde(default)]
    file: Option<String>,
    /// The plugin of each operator that has one of the tenant's, by digest. Without `file` they take the places of
    /// those that there are, and operators that are not named keep theirs.
    #[serde(default)]
    plugins: BTreeMap<String, Digest>,
    /// Seconds within which the version before comes back if the new one fails or lags: at most a day, 0 for none, 120
    /// if it is not given.
    #[serde(default)]
    #[schema(maximum = 86400)]
    watch_seconds: Option<u64>,
    /// Seconds for which records are gathered before, on which both versions are then compared, while the one before
    /// runs on: at most a day. It takes over if nothing differs; else it waits for a decision.
    #[serde(default)]
    #[schema(maximum = 86400)]
    canary_seconds: Option<u64>,
    /// Whether state that the new version does not declare is dropped.
    #[serde(default)]
    allow_dropped_state: bool,
    /// Whether nothing is to change, and it is only told what would.
    #[serde(default)]
    dry_run: bool,
}

/// A way back to make.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(in crate::rest) struct RollbackAsked {
    /// The version whose file and plugins are to be those of a new one; without it, the one before the current one that
    /// is not the same and was not taken back.
    #[serde(default)]
    #[schema(minimum = 1)]
    to: Option<i64>,
    /// Whether state that it does not declare is dropped, if it does not begin from a savepoint of its own.
    #[serde(default)]
    allow_dropped_state: bool,
    /// Whether nothing is to change, and it is only told what would.
    #[serde(default)]
    dry_run: bool,
}

/// What is about to happen, or would.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(in crate::rest) struct PlannedUpgrade {
    /// The version before.
    from_version: i64,
    /// The new version.
    version: i64,
    /// Grows with every change of what is wanted; its ETag. In a dry run the one that is.
    revision: i64,
    /// Whether a version was made, or would be: not of what is the same.
    is_changed: bool,
    /// From the version before, line by line: `-`, `+` or a space, and the line; of the file, then of the plugins.
    difference: Vec<String>,
    /// What becomes of the state: `same`, `restored`, `dropped` or `unreadable`.
    #[schema(value_type = String)]
    state: StateOutcome,
    /// What becomes of each store of the plugins that differ.
    stores: Vec<StoreOutcome>,
    /// Where the new version begins, in words.
    begins: String,
    /// Seconds for which it is watched.
    watch_seconds: u64,
    /// Seconds for which records are gathered before, to compare the two versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    canary_seconds: Option<u64>,
    /// The version whose upgrade was under way, and is not watched any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    overtaken: Option<i64>,
}

/// How a new version takes over; by default at once, without a watch.
#[derive(Debug, Clone, Copy, Default)]
struct UpgradeManner {
    watch_seconds: u64,
    canary_seconds: Option<u64>,
    drops_state: bool,
}

/// A version that is to be, and what differs.
pub(in crate::rest) struct PlannedVersion {
    current: WantedPipeline,
    file: String,
    plugins: BTreeMap<String, Digest>,
    compared: PluginComparison,
}

/// The routes of upgrades.
pub(in crate::rest) fn routes() -> OpenApiRouter<Rest> {
    OpenApiRouter::new()
        .routes(routes!(show, upgrade))
        .routes(routes!(rollback))
}

/// The newest upgrade of a pipeline: how far it is, and how it came there.
#[utoipa::path(get, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade", tag = "pipelines",
    operation_id = "pipeline-upgrade",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name.")),
    responses((status = 200, description = "The upgrade.", body = PipelineUpgrade)))]
async fn show(State(rest): State<Rest>, caller: Caller, path: PipelinePath) -> Result<Json<PipelineUpgrade>> {
    found(&rest, &path.tenant, &path.name).await?;
    let mut newest = rest.catalog.upgrade(&path.tenant, &path.name).await?;
    // Records stand in what differs, as in state and dead letters.
    if OPERATORS.contains(&caller.identity.role)
        && let Some(newest) = &mut newest
        && let Some(report) = newest.canary.as_mut().and_then(|canary| canary.report.as_mut())
    {
        report.shown = rest.fleet.shown(&path.tenant, &path.name, newest.number);
    }
    newest
        .map(Json)
        .ok_or_else(|| not_found("upgrade of the pipeline", path.name.as_str()))
}

/// Makes a new version, which takes over from the one that runs, and comes back to that one by itself if the new one
/// fails while it is watched.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/upgrade", tag = "pipelines",
    operation_id = "upgrade",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."),
        ("if-match" = Option<String>, Header, description = "The ETag of what is to be changed, or `*`.")),
    request_body = UpgradeAsked,
    responses((status = 200, description = "What would happen, or that nothing differs.", body = PlannedUpgrade),
        (status = 202, description = "What is about to happen.", body = PlannedUpgrade,
            headers(("etag" = String, description = "The revision, for `If-Match`.")))))]
async fn upgrade(
    State(rest): State<Rest>,
    caller: Caller,
    path: PipelinePath,
    headers: HeaderMap,
    Sent(asked): Sent<UpgradeAsked>,
) -> Result<Response> {
    let PipelinePath { tenant, name } = path;
    let what = format!("failed to upgrade the pipeline {name}");
    let watch_seconds = asked.watch_seconds.unwrap_or(USUAL_WATCH);
    if watch_seconds > MOST_WATCH {
        let why = format!("watch-seconds = {watch_seconds} is more than a day, {MOST_WATCH}");
        return Err(invalid(&what, why));
    }
    let canary_seconds = asked.canary_seconds.filter(|seconds| *seconds > 0);
    if canary_seconds.is_some_and(|seconds| seconds > MOST_WATCH) {
        return Err(invalid(
            &what,
            format!("canary-seconds is more than a day, {MOST_WATCH}"),
        ));
    }
    let _turn = rest.turns.turn(&tenant, &name).await;
    let current = found(&rest, &tenant, &name).await?;
    let expected = as_expected(&expected(&headers)?, Some(&current))?;
    let plugins = match asked.file {
        Some(_) => asked.plugins,
        None => current.plugins.clone().into_iter().chain(asked.plugins).collect(),
    };
    let file = asked.file.unwrap_or_else(|| current.file.clone());
    if file == current.file && plugins == current.plugins {
        return Ok(Json(unchanged(&current)).into_response());
    }
    if canary_seconds.is_some() && current.wanted != Wanted::Running {
        let why = "it does not run, and a canary compares the versions on the records that the one before reads";
        return Err(Problem::new(ProblemKind::Conflict, what, why).hint("resume it, or leave the canary out"));
    }
    let plan = planned(&rest, current, file, plugins).await?;
    is_fit(&what, &plan.compared, asked.allow_dropped_state)?;
    let manner = UpgradeManner {
        watch_seconds,
        canary_seconds,
        drops_state: asked.allow_dropped_state,
    };
    if asked.dry_run {
        return Ok(told(&plan.as_told(manner)));
    }
    plan.begin(&rest, &caller, expected, manner).await
}

/// Makes a version of before a new one, with its file and plugins.
#[utoipa::path(post, path = "/v1/tenants/{tenant}/pipelines/{pipeline}/rollback", tag = "pipelines",
    operation_id = "rollback",
    params(("tenant" = String, Path, description = "The tenant's name."),
        ("pipeline" = String, Path, description = "The pipeline's name."),
        ("if-match" = Option<String>, Header, description = "The ETag of what is to be changed, or `*`.")),
    request_body = RollbackAsked,
    responses((status = 200, description = "What would happen, or that nothing differs.", body = PlannedUpgrade),
        (status = 202, description = "What is about to happen.", body = PlannedUpgrade,
            headers(("etag" = String, description = "The revision, for `If-Match`.")))))]
async fn rollback(
    State(rest): State<Rest>,
    caller: Caller,
    path: PipelinePath,
    headers: HeaderMap,
    Sent(asked): Sent<RollbackAsked>,
) -> Result<Response> {
    let PipelinePath { tenant, name } = path;
    let _turn = rest.turns.turn(&tenant, &name).await;
    let current = found(&rest, &tenant, &name).await?;
    let expected = as_expected(&expected(&headers)?, Some(&current))?;
    let newest = rest.catalog.upgrade(&tenant, &name).await?;
    let target = target(&rest, &current, asked.to, newest.as_ref()).await?;
    if target.file == current.file && target.plugins == current.plugins {
        return Ok(Json(unchanged(&current)).into_response());
    }
    let plan = planned(&rest, current, target.file, target.plugins).await?;
    let is_of = |one: &PipelineUpgrade| {
        let is_there = !matches!(one.phase, UpgradePhase::TakenBack | UpgradePhase::Overtaken) && one.is_made();
        is_there && one.to_version == plan.current.version && one.from_version == target.version
    };
    let Some(undone) = newest.filter(is_of) else {
        let what = format!("failed to roll back the pipeline {name} to version {}", target.version);
        let manner = UpgradeManner {
            drops_state: asked.allow_dropped_state,
            ..UpgradeManner::default()
        };
        is_fit(&what, &plan.compared, manner.drops_state)?;
        return match asked.dry_run {
            true => Ok(told(&plan.as_told(manner))),
            false => plan.begin(&rest, &caller, expected, manner).await,
        };
    };
    let from_savepoint = plan.has_other_state() && undone.savepoint.is_some();
    let planned = PlannedUpgrade {
        begins: match from_savepoint {
            true => format!(
                "at the savepoint of the upgrade: what version {} put out since stays in its topics, and what it read \
                 since is read again",
                plan.current.version
            ),
            false => "at the last commit".to_owned(),
        },
        ..plan.as_told(UpgradeManner::default())
    };
    if asked.dry_run {
        return Ok(told(&planned));
    }
    let who = caller.identity.token.as_str();
    let order = TakeBackOrder {
        why: "somebody asked for the version before",
        who: Some(who),
        from_savepoint,
        records_out: rest.fleet.status(&tenant, &name).and_then(|status| status.records_out),
    };
    let taken = rest.catalog.take_back(&tenant, &name, undone.number, &order).await?;
    let Some(applied) = taken else {
        let why = "another version took its place meanwhile";
        return Err(Problem::new(
            ProblemKind::Changed,
            format!("failed to roll back the pipeline {name}"),
            why,
        ));
    };
    let kept = rest.upgrades.keep(&found(&rest, &tenant, &name).await?, true).await;
    kept.map(|()| accepted(planned, applied))
}

/// The version to go back to.
async fn target(
    rest: &Rest,
    current: &WantedPipeline,
    to: Option<i64>,
    newest: Option<&PipelineUpgrade>,
) -> Result<PipelineVersion> {
    let (tenant, name) = (&current.tenant, &current.name);
    let what = format!("failed to roll back the pipeline {name}");
    if let Some(to) = to {
        let found = rest.catalog.version(tenant, name, to).await?;
        return found.ok_or_else(|| {
            let why = format!("there is no version {to}, and the current one is {}", current.version);
            Problem::new(ProblemKind::NotFound, what, why)
        });
    }
    let taken_back = newest.filter(|one| one.phase == UpgradePhase::TakenBack);
    let is_earlier = |one: &PipelineVersion| {
        let is_same = one.file == current.file && one.plugins == current.plugins;
        let is_taken_back = taken_back.is_some_and(|upgrade| upgrade.to_version == one.version);
        one.version < current.version && !is_same && !is_taken_back
    };
    let versions = rest.catalog.versions(tenant, name).await?;
    versions.into_iter().find(is_earlier).ok_or_else(|| {
        let why = "no version before the current one is another";
        Problem::new(ProblemKind::Conflict, what, why)
    })
}

/// Compares and checks what is to be.
async fn planned(
    rest: &Rest,
    current: WantedPipeline,
    file: String,
    plugins: BTreeMap<String, Digest>,
) -> Result<PlannedVersion> {
    let (tenant, name) = (&current.tenant, &current.name);
    for (operator, digest) in &plugins {
        is_pushed(rest, tenant, operator, digest).await?;
    }
    let compared = rest.fleet.compare(tenant, name, &current.plugins, &plugins).await?;
    let means = rest.catalog.means(tenant).await?;
    rest.fleet.check(tenant, name, &file, &plugins, &means).await?;
    Ok(PlannedVersion {
        current,
        file,
        plugins,
        compared,
    })
}

/// Refuses a version whose plugins do not take the state that there is.
fn is_fit(what: &str, compared: &PluginComparison, allow_dropped_state: bool) -> Result<()> {
    let is_dropped = compared.state == StateOutcome::Dropped;
    if compared.state < StateOutcome::Dropped || is_dropped && allow_dropped_state {
        return Ok(());
    }
    let problem = Problem::new(ProblemKind::PluginRefused, what, compared.sentences.join("; "));
    Err(problem.hint(match is_dropped {
        true => "--allow-dropped-state drops it (`allow-dropped-state` in the request)",
        false => "a store whose entries mean something else needs another name, or a plugin that reads the old ones",
    }))
}

impl PlannedVersion {
    /// Whether a file keeps state and positions together. It passed its check.
    pub(in crate::rest) fn has_checkpoint(file: &str) -> bool {
        toml::from_str::<toml::Table>(file).is_ok_and(|table| table.contains_key("checkpoint"))
    }

    /// The plugins of operators that come with Sandbar, which nothing compares.
    pub(in crate::rest) fn ready_made(file: &str) -> BTreeMap<String, String> {
        let table = toml::from_str::<toml::Table>(file).unwrap_or_default();
        let operators = table
            .get("operator")
            .and_then(toml::Value::as_table)
            .into_iter()
            .flatten();
        let named = operators.filter_map(|(operator, keys)| Some((operator.clone(), keys.get("plugin")?.as_str()?)));
        let ready_made = named.filter(|(_, plugin)| !plugin.contains(['/', '\\', '.']));
        ready_made
            .map(|(operator, plugin)| (operator, plugin.to_owned()))
            .collect()
    }

    /// Whether the stores are others than those of the current version, as far as that is known.
    fn has_other_state(&self) -> bool {
        let are_others = Self::ready_made(&self.file) != Self::ready_made(&self.current.file);
        are_others || self.compared.state != StateOutcome::Same
    }

    fn saves(&self) -> bool {
        Self::has_checkpoint(&self.current.file)
    }

    /// Whether the new version begins from the savepoint: its stores, or its file, are others. The group may be, too.
    fn changes_state(&self) -> bool {
        let is_same = self.compared.state == StateOutcome::Same && self.file == self.current.file;
        !is_same && self.saves() && Self::has_checkpoint(&self.file)
    }

    fn as_told(&self, manner: UpgradeManner) -> PlannedUpgrade {
        let mut lines = difference(&self.current.file, &self.file);
        lines.extend(of_plugins(&self.current.plugins, &self.plugins));
        lines.extend(self.compared.lines.iter().cloned());
        PlannedUpgrade {
            from_version: self.current.version,
            version: self.current.version.saturating_add(1),
            revision: self.current.revision,
            is_changed: true,
            difference: lines,
            state: self.compared.state,
            stores: self.compared.stores.clone(),
            begins: match self.changes_state() {
                true => "at a savepoint of the last commit".to_owned(),
                false => "at the last commit".to_owned(),
            },
            watch_seconds: manner.watch_seconds,
            canary_seconds: manner.canary_seconds,
            overtaken: None,
        }
    }

    async fn begin(
        self,
        rest: &Rest,
        caller: &Caller,
        expected: Option<i64>,
        manner: UpgradeManner,
    ) -> Result<Response> {
        let (tenant, name): (&Name, &Name) = (&self.current.tenant, &self.current.name);
        let order = UpgradeOrder {
            file: &self.file,
            plugins: &self.plugins,
            author: &caller.identity.token,
            // What was compared is what is changed.
            expected: expected.or(Some(self.current.revision)),
            watch_seconds: manner.watch_seconds,
            canary_seconds: manner.canary_seconds,
            saves: self.saves(),
            changes_state: self.changes_state(),
            drops_state: manner.drops_state,
            lag: rest.fleet.status(tenant, name).and_then(|status| status.lag),
        };
        let applied = rest.catalog.begin_upgrade(tenant, name, &order).await?;
        rest.upgrades.keep(&found(rest, tenant, name).await?, true).await?;
        Ok(accepted(self.as_told(manner), applied))
    }
}

fn unchanged(current: &WantedPipeline) -> PlannedUpgrade {
    PlannedUpgrade {
        from_version: current.version,
        version: current.version,
        revision: current.revision,
        is_changed: false,
        difference: Vec::new(),
        state: StateOutcome::Same,
        stores: Vec::new(),
        begins: "it goes on".to_owned(),
        watch_seconds: 0,
        canary_seconds: None,
        overtaken: None,
    }
}

/// The answer of a dry run.
fn told(planned: &PlannedUpgrade) -> Response {
    let noted = Noted {
        verb: Some("dry-run"),
        ..Noted::default()
    };
    (Extension(noted), Json(planned)).into_response()
}

fn accepted(planned: PlannedUpgrade, applied: Applied) -> Response {
    let planned = PlannedUpgrade {
        version: applied.version,
        revision: applied.revision,
        overtaken: applied.overtaken,
        ..planned
    };
    (StatusCode::ACCEPTED, etag(applied.revision), Json(planned)).into_response()
}
