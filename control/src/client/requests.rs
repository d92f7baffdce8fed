//! A method for each request of the interface.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, IF_MATCH};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::connection::Connection;
use super::lines::{Changes, Lines};
use crate::clock;
use crate::fleet::{StateOutcome, StoreOutcome};
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::upgrade::PipelineUpgrade;
use crate::model::{
    AuditEntry, NewToken, PartitionPosition, PipelineVersion, PushedPlugin, Role, Status, Tenant, Token, WantedPipeline,
};

/// Items of a page, as many as a daemon gives.
const PAGE: &str = "500";

/// Who asks, as the daemon sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Whoami {
    /// The token's id.
    pub token: String,
    /// Its tenant; `None`: the platform's, which has every tenant.
    #[serde(default)]
    pub tenant: Option<Name>,
    /// What it allows.
    pub role: Role,
}

/// What came of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Applied {
    /// The pipeline's version, from 1.
    pub version: i64,
    /// Its revision.
    pub revision: i64,
    /// Whether there was none of that name.
    pub is_new: bool,
    /// Whether the version is a new one.
    pub is_changed: bool,
    /// From the version before, line by line: `-`, `+` or a space, and the line.
    #[serde(default)]
    pub difference: Vec<String>,
    /// The version whose upgrade was under way, and is not watched any more.
    #[serde(default)]
    pub overtaken: Option<i64>,
}

/// An upgrade to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpgradeRequest {
    /// The text of the new version's file; none: the one that there is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// The plugin of each operator that has one; without a file, of those that get another one.
    pub plugins: BTreeMap<String, Digest>,
    /// Seconds for which the new version is watched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub watch_seconds: Option<u64>,
    /// Seconds for which it runs beside the old one before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub canary_seconds: Option<u64>,
    /// Whether state that it does not declare is dropped.
    pub allow_dropped_state: bool,
    /// Whether it is only told what would happen.
    pub dry_run: bool,
}

/// A way back to ask for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct RollbackRequest {
    /// The version to go back to; none: the one before.
    pub to: Option<i64>,
    /// Whether state that it does not declare is dropped.
    pub allow_dropped_state: bool,
    /// Whether it is only told what would happen.
    pub dry_run: bool,
}

/// What is about to happen, or would.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct UpgradePlan {
    /// The version before.
    pub from_version: i64,
    /// The new version.
    pub version: i64,
    /// The pipeline's revision.
    pub revision: i64,
    /// Whether the version is a new one.
    pub is_changed: bool,
    /// From the version before, line by line: `-`, `+` or a space, and the line.
    pub difference: Vec<String>,
    /// What becomes of the state.
    pub state: StateOutcome,
    /// What becomes of each store of the plugins that differ.
    pub stores: Vec<StoreOutcome>,
    /// Where the new version begins, in words.
    pub begins: String,
    /// Seconds for which it is watched.
    pub watch_seconds: u64,
    /// Seconds for which records are gathered before, to compare the two versions.
    #[serde(default)]
    pub canary_seconds: Option<u64>,
    /// The version whose upgrade was under way, and is not watched any more.
    #[serde(default)]
    pub overtaken: Option<i64>,
}

/// A pipeline as it is wanted, and as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ShownPipeline {
    /// As it is wanted.
    pub pipeline: WantedPipeline,
    /// As it is.
    pub status: Status,
}

/// What a pipeline does that was stopped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Stopped {
    /// What it does.
    #[serde(flatten)]
    pub status: Status,
    /// The savepoint that was taken of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub savepoint: Option<String>,
}

/// What a pipeline is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// To end until it is resumed.
    Pause,
    /// To go on.
    Resume,
    /// To end.
    Stop,
    /// To run.
    Start,
}

/// A page of a list.
#[derive(Deserialize)]
struct Page<T> {
    items: Vec<T>,
    /// What `after` is for the next page; absent at the end.
    #[serde(default)]
    next: Option<Value>,
}

impl Order {
    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Stop => "stop",
            Self::Start => "start",
        }
    }
}

/// Each method fails with the daemon's problem; `Unavailable`: it cannot be reached, or does not answer; `Failed`: its
/// answer is none.
impl Connection {
    /// Who asks.
    ///
    /// # Errors
    /// As all.
    pub fn whoami(&self) -> Result<Whoami> {
        self.get(&["v1", "whoami"])
    }

    /// All tenants.
    ///
    /// # Errors
    /// As all.
    pub fn tenants(&self) -> Result<Vec<Tenant>> {
        self.all(&["v1", "tenants"], &[])
    }

    /// A tenant.
    ///
    /// # Errors
    /// As all.
    pub fn tenant(&self, tenant: &Name) -> Result<Tenant> {
        self.get(&of(tenant, &[]))
    }

    /// Makes a tenant, if it is not there.
    ///
    /// # Errors
    /// As all.
    pub fn create_tenant(&self, tenant: &Name) -> Result<()> {
        self.tell(self.request(Method::PUT, &of(tenant, &[]), &[]))
    }

    /// Deletes a tenant that has no pipelines.
    ///
    /// # Errors
    /// As all; `Conflict`: it has pipelines.
    pub fn delete_tenant(&self, tenant: &Name) -> Result<()> {
        self.tell(self.request(Method::DELETE, &of(tenant, &[]), &[]))
    }

    /// Makes a token that is taken for so long, or until it is revoked. Its secret is answered this once.
    ///
    /// # Errors
    /// As all.
    pub fn create_token(
        &self,
        tenant: &Name,
        role: Role,
        note: Option<&str>,
        lifetime: Option<Duration>,
    ) -> Result<NewToken> {
        let mut body = json!({ "role": role });
        if let Some(note) = note {
            body["note"] = json!(note);
        }
        if let Some(lifetime) = lifetime {
            let span = i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX);
            body["expires"] = json!(clock::now().saturating_add(span));
        }
        self.ask(self.request(Method::POST, &of(tenant, &["tokens"]), &[]).json(&body))
    }

    /// A tenant's tokens, without their secrets.
    ///
    /// # Errors
    /// As all.
    pub fn tokens(&self, tenant: &Name) -> Result<Vec<Token>> {
        self.all(&of(tenant, &["tokens"]), &[])
    }

    /// Ends a token.
    ///
    /// # Errors
    /// As all.
    pub fn revoke_token(&self, tenant: &Name, id: &str) -> Result<()> {
        self.tell(self.request(Method::DELETE, &of(tenant, &["tokens", id]), &[]))
    }

    /// Pushes a plugin, with the text of its signature if it is signed; what it is called, its name and version, is
    /// shown and means nothing else.
    ///
    /// # Errors
    /// As all; `TooLarge`, `Invalid`, `PluginRefused`: it is none that is taken.
    pub fn push_plugin(
        &self,
        tenant: &Name,
        (name, version): (&str, &str),
        signature: Option<&str>,
        bytes: Vec<u8>,
    ) -> Result<PushedPlugin> {
        let signature = signature.unwrap_or_default();
        let mut parameters = vec![("name", name), ("version", version), ("signature", signature)];
        parameters.retain(|(_, value)| !value.is_empty());
        let request = self.request(Method::POST, &of(tenant, &["plugins"]), &parameters);
        self.ask_with_plugin(request.header(CONTENT_TYPE, "application/wasm").body(bytes))
    }

    /// A tenant's plugins.
    ///
    /// # Errors
    /// As all.
    pub fn plugins(&self, tenant: &Name) -> Result<Vec<PushedPlugin>> {
        self.all(&of(tenant, &["plugins"]), &[])
    }

    /// A plugin.
    ///
    /// # Errors
    /// As all.
    pub fn plugin(&self, tenant: &Name, digest: &Digest) -> Result<PushedPlugin> {
        self.get(&of(tenant, &["plugins", digest.as_str()]))
    }

    /// Applies a pipeline file with the plugins of its operators. With `dry_run` it is only told what would come of it.
    ///
    /// # Errors
    /// As all; `Changed`: its revision is another than `expected`.
    pub fn apply(
        &self,
        (tenant, name): (&Name, &Name),
        file: &str,
        plugins: &BTreeMap<String, Digest>,
        dry_run: bool,
        expected: Option<i64>,
    ) -> Result<Applied> {
        let parameters: &[_] = if dry_run { &[("dry-run", "true")] } else { &[] };
        let mut request = self.request(Method::PUT, &of(tenant, &["pipelines", name.as_str()]), parameters);
        if let Some(revision) = expected {
            request = request.header(IF_MATCH, format!("\"{revision}\""));
        }
        self.ask(request.json(&json!({ "file": file, "plugins": plugins })))
    }

    /// What each of a tenant's pipelines does.
    ///
    /// # Errors
    /// As all.
    pub fn pipelines(&self, tenant: &Name) -> Result<Vec<Status>> {
        self.all(&of(tenant, &["pipelines"]), &[])
    }

    /// A pipeline as it is wanted, and as it is.
    ///
    /// # Errors
    /// As all.
    pub fn pipeline(&self, tenant: &Name, name: &Name) -> Result<ShownPipeline> {
        self.get(&of(tenant, &["pipelines", name.as_str()]))
    }

    /// What a pipeline does.
    ///
    /// # Errors
    /// As all.
    pub fn status(&self, tenant: &Name, name: &Name) -> Result<Status> {
        self.get(&of(tenant, &["pipelines", name.as_str(), "status"]))
    }

    /// The versions of a pipeline, the newest first.
    ///
    /// # Errors
    /// As all.
    pub fn versions(&self, tenant: &Name, name: &Name) -> Result<Vec<PipelineVersion>> {
        self.all(&of(tenant, &["pipelines", name.as_str(), "versions"]), &[])
    }

    /// Tells a pipeline what to do; what it does right then, which may not be that yet.
    ///
    /// # Errors
    /// As all.
    pub fn order(&self, tenant: &Name, name: &Name, order: Order) -> Result<Status> {
        let segments = of(tenant, &["pipelines", name.as_str(), order.as_str()]);
        self.ask(self.request(Method::POST, &segments, &[]))
    }

    /// Stops a pipeline, and waits until that is done, so long at most: time ends first if it is to drain, and a
    /// savepoint is taken then, if one is wanted, of this name if it has one.
    ///
    /// # Errors
    /// As all; `Conflict`: it does not run, or it does not end in order.
    pub fn stop(
        &self,
        (tenant, name): (&Name, &Name),
        drain: bool,
        savepoint: Option<Option<&Name>>,
        limit: Duration,
    ) -> Result<Stopped> {
        let segments = of(tenant, &["pipelines", name.as_str(), Order::Stop.as_str()]);
        let savepoint = match savepoint {
            None => json!(false),
            Some(None) => json!(true),
            Some(Some(name)) => json!(name),
        };
        let body = json!({ "drain": drain, "savepoint": savepoint });
        self.ask_within(self.request(Method::POST, &segments, &[]).json(&body), limit)
    }

    /// Where a pipeline stands in each partition of its inputs.
    ///
    /// # Errors
    /// As all.
    pub fn positions(&self, tenant: &Name, name: &Name) -> Result<Vec<PartitionPosition>> {
        let page: Page<_> = self.get(&of(tenant, &["pipelines", name.as_str(), "positions"]))?;
        Ok(page.items)
    }

    /// All that helps to find out what is wrong with a pipeline.
    ///
    /// # Errors
    /// As all.
    pub fn support(&self, tenant: &Name, name: &Name) -> Result<Value> {
        self.get(&of(tenant, &["pipelines", name.as_str(), "support"]))
    }

    /// Makes a new version that takes over from the one that runs, or tells what would happen.
    ///
    /// # Errors
    /// As all; `PluginRefused`: the new version does not take the state; `Conflict`: another one is about to begin.
    pub fn upgrade(&self, tenant: &Name, name: &Name, asked: &UpgradeRequest) -> Result<UpgradePlan> {
        let segments = of(tenant, &["pipelines", name.as_str(), "upgrade"]);
        self.ask_with_plugin(self.request(Method::POST, &segments, &[]).json(asked))
    }

    /// Makes a version of before a new one, or tells what would happen.
    ///
    /// # Errors
    /// As all; `NotFound`, `Conflict`: there is no such version.
    pub fn roll_back(&self, tenant: &Name, name: &Name, asked: &RollbackRequest) -> Result<UpgradePlan> {
        let segments = of(tenant, &["pipelines", name.as_str(), "rollback"]);
        self.ask_with_plugin(self.request(Method::POST, &segments, &[]).json(asked))
    }

    /// The newest upgrade of a pipeline, and how far it is.
    ///
    /// # Errors
    /// As all; `NotFound`: there was none.
    pub fn newest_upgrade(&self, tenant: &Name, name: &Name) -> Result<PipelineUpgrade> {
        self.get(&of(tenant, &["pipelines", name.as_str(), "upgrade"]))
    }

    /// Lets the new version of a canary take over although it differs.
    ///
    /// # Errors
    /// As all; `Conflict`: no canary waits for a decision.
    pub fn promote(&self, tenant: &Name, name: &Name) -> Result<PipelineUpgrade> {
        let segments = of(tenant, &["pipelines", name.as_str(), "upgrade", "promote"]);
        self.ask(self.request(Method::POST, &segments, &[]))
    }

    /// Ends a canary: the version before runs on.
    ///
    /// # Errors
    /// As all; `Conflict`: there is none.
    pub fn drop_canary(&self, tenant: &Name, name: &Name) -> Result<PipelineUpgrade> {
        let segments = of(tenant, &["pipelines", name.as_str(), "upgrade", "drop"]);
        self.ask(self.request(Method::POST, &segments, &[]))
    }

    /// Stops and deletes a pipeline.
    ///
    /// # Errors
    /// As all.
    pub fn delete_pipeline(&self, tenant: &Name, name: &Name) -> Result<()> {
        self.tell(self.request(Method::DELETE, &of(tenant, &["pipelines", name.as_str()]), &[]))
    }

    /// The last lines of a pipeline's log, JSON each; with `follow` those that come from then on, too.
    ///
    /// # Errors
    /// As all; the lines fail as `Unavailable` if the daemon goes away.
    pub fn logs(&self, tenant: &Name, name: &Name, last: u32, follow: bool) -> Result<Lines<'_>> {
        let last = last.to_string();
        let mut parameters = vec![("last", last.as_str())];
        if follow {
            parameters.push(("follow", "true"));
        }
        let segments = of(tenant, &["pipelines", name.as_str(), "logs"]);
        let request = self.request(Method::GET, &segments, &parameters);
        Ok(Lines::new(self, self.begin(request)?))
    }

    /// What a pipeline does, at each change from now on.
    ///
    /// # Errors
    /// As [`Self::logs`].
    pub fn changes(&self, tenant: &Name, name: &Name) -> Result<Changes<'_>> {
        let segments = of(tenant, &["pipelines", name.as_str(), "events"]);
        let request = self.request(Method::GET, &segments, &[]);
        Ok(Changes::new(Lines::new(self, self.begin(request)?)))
    }

    /// Entries of the audit log with a greater number than `after`: a tenant's, or all of the platform.
    ///
    /// # Errors
    /// As all.
    pub fn audit(&self, tenant: Option<&Name>, after: i64, most: u32) -> Result<Vec<AuditEntry>> {
        let segments = tenant.map_or_else(|| vec!["v1", "audit"], |tenant| of(tenant, &["audit"]));
        let (after, most) = (after.to_string(), most.to_string());
        let page: Page<_> = self.ask(self.request(
            Method::GET,
            &segments,
            &[("after", after.as_str()), ("most", most.as_str())],
        ))?;
        Ok(page.items)
    }

    fn get<T: DeserializeOwned>(&self, segments: &[&str]) -> Result<T> {
        self.ask(self.request(Method::GET, segments, &[]))
    }

    /// All items of a list, page by page.
    pub(super) fn all<T: DeserializeOwned>(&self, segments: &[&str], asked: &[(&str, &str)]) -> Result<Vec<T>> {
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let mut parameters = [&[("most", PAGE)], asked].concat();
            parameters.extend(after.as_deref().map(|after| ("after", after)));
            let page: Page<T> = self.ask(self.request(Method::GET, segments, &parameters))?;
            items.extend(page.items);
            let next = match page.next {
                None | Some(Value::Null) => return Ok(items),
                Some(Value::String(next)) => next,
                Some(next) => next.to_string(),
            };
            if after.as_ref() == Some(&next) {
                let what = format!("failed to list what the daemon at {} has", self.address());
                let why = format!("its page after {next:?} leads to itself");
                return Err(Problem::new(ProblemKind::Failed, what, why));
            }
            after = Some(next);
        }
    }
}

/// The path of what a tenant has.
pub(super) fn of<'a>(tenant: &'a Name, below: &[&'a str]) -> Vec<&'a str> {
    [&["v1", "tenants", tenant.as_str()], below].concat()
}
