//! What the catalog keeps and the interface shows. Times are milliseconds since 1970.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::names::{Digest, KeyId, Name};

/// What a token allows, within its tenant. Every role sees everything of its tenant but secrets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looks.
    Viewer,
    /// Pushes plugins.
    Author,
    /// Applies, starts, stops and deletes pipelines.
    Operator,
    /// All of it, and tokens and secrets.
    Admin,
}

/// Who asks: the owner of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The token's id; of an issuer's token `oidc:` and its subject.
    pub token: String,
    /// Its tenant; `None`: the platform's, which has every tenant.
    pub tenant: Option<Name>,
    /// What it allows.
    pub role: Role,
}

/// A tenant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Tenant {
    /// Its name.
    pub name: Name,
    /// When it was made.
    pub created: i64,
    /// Patterns of topics that it may read; not there: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reads: Option<Vec<String>>,
    /// Patterns of topics that it may write; not there: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub writes: Option<Vec<String>>,
    /// Whether its plugins have to be signed by one of its keys.
    #[serde(default)]
    pub signatures_required: bool,
}

/// A token without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Token {
    /// Tells it from others.
    pub id: String,
    /// What it allows.
    pub role: Role,
    /// What it is for, in the words of whoever made it.
    pub note: String,
    /// When it was made.
    pub created: i64,
    /// When it ends to be taken.
    pub expires: Option<i64>,
}

/// A token with its secret, which is shown once.
/// Its `Debug` leaves the secret out.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct NewToken {
    /// Tells it from others.
    pub id: String,
    /// `sbt_` and 43 characters.
    pub token: String,
}

impl fmt::Debug for NewToken {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("NewToken")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// A plugin, by the digest of its bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PushedPlugin {
    /// Of its bytes.
    pub digest: Digest,
    /// How many.
    pub bytes: i64,
    /// What it calls itself.
    pub name: String,
    /// And its version.
    pub version: String,
    /// When it was pushed first.
    pub pushed: i64,
    /// Who signed it, by key.
    #[serde(default)]
    pub signatures: Vec<KeptSignature>,
}

/// That a plugin was signed: it was checked when it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KeptSignature {
    /// The id of the key.
    #[schema(value_type = String)]
    pub key: KeyId,
    /// Its trusted comment, in the words of whoever signed.
    pub comment: String,
    /// When it came.
    pub taken: i64,
    /// Whether the key is one of the tenant's now. One that was removed counts no more.
    pub is_valid: bool,
}

/// What is wanted of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Wanted {
    /// A process of it runs.
    Running,
    /// None does, until it is resumed.
    Paused,
    /// None does.
    Stopped,
}

/// A pipeline as it is wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct WantedPipeline {
    /// Whose it is.
    pub tenant: Name,
    /// Its name within the tenant.
    pub name: Name,
    /// What is wanted.
    pub wanted: Wanted,
    /// The number of its current version, from 1.
    pub version: i64,
    /// Grows with every change of what is wanted; its ETag.
    pub revision: i64,
    /// The text of its pipeline file.
    pub file: String,
    /// The plugin of each operator that has one of the tenant's.
    pub plugins: BTreeMap<String, Digest>,
    /// When the current version was applied.
    pub applied: i64,
}

/// A version of a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PipelineVersion {
    /// From 1.
    pub version: i64,
    /// The text of its pipeline file.
    pub file: String,
    /// The plugin of each operator that has one of the tenant's.
    pub plugins: BTreeMap<String, Digest>,
    /// The id of the token that applied it.
    pub author: String,
    /// When.
    pub applied: i64,
}

/// In which state a pipeline is, derived from what is and not from what was ordered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its process is there, and reads nothing yet.
    Starting,
    /// Its process reads and writes.
    Running,
    /// Its process is there and waits for something that the reason names, such as Kafka.
    Waiting,
    /// Its process ended, and another is started after a pause.
    Restarting,
    /// None is there, until it is resumed.
    Paused,
    /// It came to the end of its input.
    Finished,
    /// Its process ended in a way that does not get better by itself.
    Failed,
    /// None is there.
    Stopped,
}

/// What a pipeline does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct Status {
    /// Its name.
    pub name: Name,
    /// Whose it is.
    pub tenant: Name,
    /// In which state it is.
    pub state: State,
    /// Why, in a sentence; empty if the state says all.
    pub reason: String,
    /// Since when it is in that state.
    pub since: i64,
    /// Starts of a process after the first, since it was last told to run.
    pub restarts: u64,
    /// The version that the process runs, or that would be started.
    pub version: i64,
    /// Records read since the process began.
    pub records_in: Option<u64>,
    /// Records written since the process began.
    pub records_out: Option<u64>,
    /// Records left to read, of all partitions.
    pub lag: Option<u64>,
    /// Threads of the process.
    pub workers: Option<u64>,
    /// The process.
    pub pid: Option<u32>,
}

/// Where a pipeline stands in a partition of its input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct PartitionPosition {
    /// The source that reads it.
    pub source: String,
    /// Its topic.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The offset of the next record: what is in front of it is in the outputs. `null`: nothing is committed.
    pub committed: Option<i64>,
    /// Who committed it: `ours`, a pipeline of Sandbar, or `foreign`.
    pub origin: Option<String>,
    /// The offset of the first record that is still there.
    pub begin: i64,
    /// The offset of the record that comes next.
    pub end: i64,
    /// Offsets left; some may hold no record.
    pub lag: Option<i64>,
    /// Where event time stood with the committed position.
    pub watermark: Option<i64>,
    /// Whether the partition held nobody back then.
    pub idle: Option<bool>,
}

/// Who did what when, from where, with which result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AuditEntry {
    /// Grows by one.
    pub number: i64,
    /// When.
    pub at: i64,
    /// In which tenant, if in one.
    pub tenant: Option<Name>,
    /// The token's id, or `oidc:` and the subject of an issuer's token; empty if there was none.
    pub who: String,
    /// What was asked, such as `apply`.
    pub verb: String,
    /// Of what, such as `pipelines/views`.
    pub object: String,
    /// `ok`, or the sort of the problem; behind `quota-exceeded: ` stands which quota, with its figure.
    pub result: String,
    /// The address that it came from.
    pub from: String,
}
