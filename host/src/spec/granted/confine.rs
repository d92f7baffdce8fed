//! What the pipeline file of a tenant may say, and what is written into it in the tenant's name.
//!
//! Always: nothing in it reaches a file of the machine, a program, or another tenant's group, state or topics. It looks
//! at what the reader read, so that the two cannot differ; and it names each key of the file's tables, so that nothing
//! compiles with a new key before somebody has decided what a tenant may do with it.

use std::path::PathBuf;

use crate::config;
use crate::error::{Error, Result};
use crate::process::grant::{Grant, is_allowed_property};

use super::kept_back;
use crate::spec::file::{CheckpointTable, DeadLetters, File, Kafka, OperatorTable, SinkTable, SourceTable, StateTable};
use crate::spec::position::{StartKey, StopKey};
use crate::spec::property::{Property, Reference};
use crate::spec::text::document::Span;
use crate::spec::text::scope::Scope;
use crate::spec::text::secrets::is_secret;
use crate::spec::text::values::{At, Name, Topic, Whole, is_name};

/// The folder of the working copy, beside the file.
const STATE: &str = "state";
/// What the groups begin with that pipelines have by default: of all tenants.
const DEFAULT_GROUPS: &str = "sandbar";
/// What the topics begin with that are Kafka's own.
const INTERNAL_TOPICS: &str = "__";
/// Properties that are no secrets by their names, and may be kept as such.
const CREDENTIALS: [&str; 5] = [
    "sasl.username",
    "ssl.ca.pem",
    "ssl.certificate.pem",
    "https.ca.pem",
    "sasl.oauthbearer.client.id",
];
/// Properties by which a client shows who it is, and knows who the brokers are.
const SECURITY: [&str; 5] = ["security.", "sasl.", "ssl.", "https.", "enable."];

/// Refuses what a tenant may not say, and writes down what is the daemon's to say.
pub(in crate::spec) fn confine(file: &mut File, grant: &Grant, scope: &Scope<'_>) -> Result<()> {
    let wall = Confinement { grant, scope };
    let File {
        name,
        delivery: _,
        workers,
        instance: _,
        queue_memory: _,
        batch_memory: _,
        kafka,
        source,
        operator,
        sink,
        dead_letters,
        checkpoint,
        state,
    } = file;
    wall.name(name)?;
    wall.workers(workers)?;
    wall.kafka("kafka", kafka)?;
    for (name, table) in &source.0 {
        wall.source(&name.value, table)?;
    }
    for (name, table) in &mut operator.0 {
        wall.operator(&name.value, table)?;
    }
    wall.plugins_have_operators(&operator.0)?;
    for (name, table) in &sink.0 {
        wall.sink(&name.value, table)?;
    }
    if let Some(dead_letters) = dead_letters {
        wall.dead_letters(&dead_letters.value)?;
    }
    if let Some(checkpoint) = checkpoint {
        wall.checkpoint(&checkpoint.value)?;
    }
    wall.state(state)?;
    match &grant.canary {
        Some(canary) => kept_back::keep_back(file, canary, scope),
        None => Ok(()),
    }
}

struct Confinement<'a> {
    grant: &'a Grant,
    scope: &'a Scope<'a>,
}

impl Confinement<'_> {
    fn refuse(&self, span: Option<&Span>, key: &str, why: &str) -> Error {
        self.scope.refuse(span, format!("`{key}` is not granted"), why)
    }

    /// A key that a tenant may not have at all.
    fn refuse_key<T>(&self, value: Option<&At<T>>, key: &str, why: &str) -> Result<()> {
        match value {
            None => Ok(()),
            Some(at) => Err(self.refuse(at.span.as_ref(), key, why)),
        }
    }

    /// The whole name, so that the group that it has by default, its transactional ids and its state are the tenant's.
    fn name(&self, name: &mut At<Name>) -> Result<()> {
        let whole = self.grant.whole_name();
        if !is_name(&whole) {
            let why = format!("with its tenant's it is `{whole}`, and 64 letters are the most");
            return Err(self.scope.refuse(name.span.as_ref(), "`name` is too long", why));
        }
        name.value = Name(whole);
        Ok(())
    }

    fn workers(&self, workers: &mut Option<At<Whole<1, 512>>>) -> Result<()> {
        let Some(most) = self.grant.limits.workers else {
            return Ok(());
        };
        let most = i64::try_from(most).unwrap_or(i64::MAX).clamp(1, 512);
        match workers {
            Some(asked) if asked.value.0 > most => {
                let why = format!(
                    "it is {}, and the tenant's quota `pipeline-workers` is {most}",
                    asked.value.0
                );
                Err(self.refuse(asked.span.as_ref(), "workers", &why))
            }
            Some(_) => Ok(()),
            None => {
                let usual = std::thread::available_parallelism().map_or(1, usize::from);
                *workers = Some(Whole(most.min(i64::try_from(usual).unwrap_or(1))).into());
                Ok(())
            }
        }
    }

    fn source(&self, name: &str, table: &SourceTable) -> Result<()> {
        let SourceTable {
            topics,
            topic_pattern,
            partitions,
            file,
            format: _,
            kafka,
            group,
            start,
            otherwise: _,
            stop,
            on_out_of_range: _,
            offsets: _,
            commit_offsets: _,
            auto_commit_interval: _,
            session_timeout: _,
            max_batch: _,
            discovery_interval: _,
            event_time: _,
            max_out_of_orderness: _,
            idle_after: _,
            max_wait: _,
            max_ahead: _,
            on_bad_time: _,
        } = table;
        let key = |key: &str| format!("source.{name}.{key}");
        self.refuse_key(file.as_ref(), &key("file"), "pipelines of tenants read topics")?;
        if let Some(kafka) = kafka {
            self.kafka(&key("kafka"), &kafka.value)?;
        }
        if let Some(group) = group {
            let begin = format!("{}.", self.grant.tenant);
            let is_own = group.value.0.starts_with(&begin) && self.grant.tenant.as_str() != DEFAULT_GROUPS;
            if !is_own {
                let why = format!("groups of this tenant begin with `{begin}`");
                return Err(self.refuse(group.span.as_ref(), &key("group"), &why));
            }
        }
        const A_FILE: &str = "it names a file of the machine; write the offsets into the pipeline file";
        if matches!(start.value, StartKey::File(_)) {
            return Err(self.refuse(start.span.as_ref(), &key("start"), A_FILE));
        }
        if let Some(stop) = stop.as_ref().filter(|stop| matches!(stop.value, StopKey::File(_))) {
            return Err(self.refuse(stop.span.as_ref(), &key("stop"), A_FILE));
        }
        if self.grant.reads.is_some() {
            let why = "the topics that this tenant may read are limited: list those that you read in `topics`";
            self.refuse_key(topic_pattern.as_ref(), &key("topic-pattern"), why)?;
        }
        let listed = topics.iter().flat_map(|topics| {
            let each = topics.value.iter();
            each.map(|topic| (topic.0.as_str(), topics.span.as_ref()))
        });
        let apart = partitions.iter().flat_map(|partitions| {
            let each = partitions.value.0.iter();
            each.map(|(topic, _)| (topic.value.as_str(), topic.span.as_ref()))
        });
        for (topic, span) in listed.chain(apart) {
            if !self.grant.may_read(topic) {
                let why = format!("this tenant may read {}", shown(self.grant.reads.as_deref()));
                return Err(self.refuse(span, &format!("{topic}` in `source.{name}"), &why));
            }
        }
        Ok(())
    }

    /// The operator's plugin is one that was pushed, or one that comes with Sandbar.
    fn operator(&self, name: &str, table: &mut OperatorTable) -> Result<()> {
        let OperatorTable {
            plugin,
            inputs: _,
            config: _,
            on_error: _,
            limits: _,
        } = table;
        if let Some(file) = self.grant.plugins.get(name) {
            plugin.value.clone_from(file);
            return Ok(());
        }
        match plugin.value.to_str().is_some_and(config::is_ready_made) {
            true => Ok(()),
            false => {
                let why = "it is a file, and no plugin was pushed for this operator";
                Err(self.refuse(plugin.span.as_ref(), &format!("operator.{name}.plugin"), why))
            }
        }
    }

    fn plugins_have_operators(&self, operators: &[(At<String>, OperatorTable)]) -> Result<()> {
        let has = |plugin: &&String| !operators.iter().any(|(name, _)| name.value == **plugin);
        match self.grant.plugins.keys().find(has) {
            None => Ok(()),
            Some(plugin) => {
                let what = format!("it has no operator `{plugin}`");
                Err(self.scope.refuse(None, what, "a plugin was given for one of this name"))
            }
        }
    }

    fn sink(&self, name: &str, table: &SinkTable) -> Result<()> {
        let SinkTable {
            from: _,
            topic,
            file,
            partitioner: _,
            on_refused: _,
            kafka,
        } = table;
        self.destination(&format!("sink.{name}"), topic.as_ref(), file.as_ref(), kafka.as_ref())
    }

    fn dead_letters(&self, table: &DeadLetters) -> Result<()> {
        let DeadLetters {
            topic,
            file,
            partitioner: _,
            kafka,
        } = table;
        self.destination("dead-letters", topic.as_ref(), file.as_ref(), kafka.as_ref())
    }

    fn destination(
        &self,
        part: &str,
        topic: Option<&At<Topic>>,
        file: Option<&At<PathBuf>>,
        kafka: Option<&At<Kafka>>,
    ) -> Result<()> {
        self.refuse_key(file, &format!("{part}.file"), "pipelines of tenants write topics")?;
        if let Some(kafka) = kafka {
            self.kafka(&format!("{part}.kafka"), &kafka.value)?;
        }
        let Some(topic) = topic else { return Ok(()) };
        let (name, span) = (topic.value.0.as_str(), topic.span.as_ref());
        if name.starts_with(INTERNAL_TOPICS) {
            return Err(self.refuse(span, &format!("{part}.topic"), "such topics are Kafka's own"));
        }
        match self.grant.may_write(name) {
            true => Ok(()),
            false => {
                let why = format!("this tenant may write {}", shown(self.grant.writes.as_deref()));
                Err(self.refuse(span, &format!("{part}.topic"), &why))
            }
        }
    }

    /// The settings of a cluster. Once the tenant has clusters, its files name one of them, and say nothing of how to
    /// sign in there: a password would go to whoever they name, or over the network as it is.
    fn kafka(&self, key: &str, kafka: &Kafka) -> Result<()> {
        let Kafka {
            brokers,
            cluster: _,
            properties,
        } = kafka;
        let has_clusters = self.grant.clusters.is_some();
        if has_clusters {
            let why = "the tenant has clusters: name one with `cluster`";
            self.refuse_key(brokers.as_ref(), &format!("{key}.brokers"), why)?;
        }
        for (name, value) in &properties.0 {
            let property = format!("{key}.properties.{}", name.value);
            let name = (name.value.as_str(), name.span.as_ref());
            self.property(&property, name, value)?;
            if has_clusters && SECURITY.iter().any(|begin| name.0.starts_with(begin)) {
                let why = "how to sign in is the cluster's to say";
                return Err(self.refuse(name.1, &property, why));
            }
        }
        Ok(())
    }

    fn property(&self, key: &str, (name, span): (&str, Option<&Span>), value: &Property) -> Result<()> {
        let reaches = match value {
            Property::Reference(Reference::Env(_)) => "its value would come from a variable of the machine",
            Property::Reference(Reference::File(_)) => "its value would come from a file of the machine",
            Property::Reference(Reference::Command(_)) => "its value would come from a program of the machine",
            // What refuses a property may show its value.
            Property::Reference(Reference::Secret(_)) if !is_secret(name) && !CREDENTIALS.contains(&name) => {
                let why = "it is no password, key, token or certificate, and so no secret";
                return Err(self.refuse(span, key, why));
            }
            Property::Reference(Reference::Secret(_)) | Property::Text(_) | Property::Number(_) | Property::Bool(_) => {
                ""
            }
        };
        if !reaches.is_empty() {
            let hint = "keep it with `sandbar secret set NAME`, and write { secret = \"NAME\" }";
            return Err(self.refuse(span, key, reaches).hint(hint));
        }
        match is_allowed_property(name) {
            true => Ok(()),
            false => {
                let why =
                    "it is none of those that a tenant may set: it reaches the machine, or nobody has looked at it";
                Err(self.refuse(span, key, why))
            }
        }
    }

    fn checkpoint(&self, table: &CheckpointTable) -> Result<()> {
        let CheckpointTable {
            interval: _,
            store,
            keep: _,
            timeout: _,
            tolerable_failures: _,
            properties,
        } = table;
        const DAEMONS: &str = "where checkpoints are kept is the daemon's to say: leave it out";
        self.refuse_key(store.as_ref(), "checkpoint.store", DAEMONS)?;
        match properties.0.first() {
            None => Ok(()),
            Some((name, _)) => Err(self.refuse(name.span.as_ref(), "checkpoint.properties", DAEMONS)),
        }
    }

    fn state(&self, table: &mut StateTable) -> Result<()> {
        let StateTable { dir, memory: _ } = table;
        let why = "where the working copy is kept is the daemon's to say: leave it out";
        self.refuse_key(dir.as_ref(), "state.dir", why)?;
        *dir = Some(PathBuf::from(STATE).into());
        Ok(())
    }
}

/// What may be named, in a few words.
fn shown(patterns: Option<&[String]>) -> String {
    match patterns.unwrap_or_default() {
        [] => "none".to_owned(),
        patterns => patterns.join(", "),
    }
}
