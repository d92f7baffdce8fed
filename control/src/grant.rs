//! What the process of a tenant's pipeline is granted: all that it may have of the machine and of its tenant.
//!
//! It reaches the process as standard input, in a file that is in memory alone and that nobody can change any more:
//! secrets stand in no file of the disk, no argument and no variable. Always: what is not in it is not granted.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};
use serde::{Deserialize, Serialize};

use crate::model::names::Name;
use crate::plugins::without_place;

/// Bytes of a grant, at most: secrets are the most of it.
const MOST_BYTES: u64 = 16 << 20;

/// What a process is granted.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Grant {
    /// Whose process it is.
    pub tenant: Name,
    /// Of which of its pipelines.
    pub pipeline: Name,
    /// The file of each operator's plugin that the tenant pushed.
    pub plugins: BTreeMap<String, PathBuf>,
    /// Compiled plugins.
    pub code: GrantedCode,
    /// The clusters that a file may name; `None`: it names brokers itself.
    pub clusters: Option<BTreeMap<String, GrantedCluster>>,
    /// What a file may refer to by name.
    pub secrets: BTreeMap<String, String>,
    /// Topics that may be read, as names or, with `*` at the end, as what names begin with; `None`: any.
    pub reads: Option<Vec<String>>,
    /// Topics that may be written; `None`: any.
    pub writes: Option<Vec<String>>,
    /// Folders, beside its own, in which it may make and remove files: where it listens.
    pub folders: Vec<PathBuf>,
    /// What it reads and where its outputs are kept, if it is a run of a canary.
    pub canary: Option<CanaryGrant>,
    /// What it may use up.
    pub limits: GrantedLimits,
    /// Whether it ends if the kernel cannot hold a wall, instead of saying so.
    pub is_isolation_required: bool,
}

/// Offsets by source, topic and partition.
pub type SourceOffsets = BTreeMap<String, BTreeMap<String, BTreeMap<i32, i64>>>;

/// A run of a canary: it reads from one position to another by itself, commits nothing, and writes into files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct CanaryGrant {
    /// Where each partition starts that no savepoint has.
    pub starts: SourceOffsets,
    /// Where each partition ends, exclusive: no other partition is read.
    pub stops: SourceOffsets,
    /// The folder of the files: `SINK.jsonl`, and `dead-letters.jsonl`.
    pub outputs: PathBuf,
    /// Bytes of each of these files, at most; with more it ends.
    pub output_bytes: u64,
}

/// Where compiled plugins are, and what binds them to the plugins that they were made of.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GrantedCode {
    /// The folder, which is in that of the tenant.
    pub folder: PathBuf,
    /// The key of the codes that authenticate what is in it.
    pub key: [u8; 32],
    /// Whether this process compiles what is not there; the process of a pipeline never does.
    pub is_made_here: bool,
}

/// A cluster that a pipeline file may name.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GrantedCluster {
    /// `host:port`, comma-separated.
    pub brokers: String,
    /// Passed to librdkafka; secrets among them.
    pub properties: BTreeMap<String, String>,
    /// A secret that it refers to and that the tenant does not have.
    pub missing_secret: Option<String>,
}

/// What a process may use up; `None`: no limit of the tenant's.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct GrantedLimits {
    /// Threads that work.
    pub workers: Option<u64>,
    /// Bytes of memory of the process.
    pub memory: Option<u64>,
    /// Bytes that its pipeline keeps on the disk; the daemon looks after that.
    pub state: Option<u64>,
    /// Bytes that it reads a second.
    pub bytes_in: Option<u64>,
    /// Bytes that it writes a second.
    pub bytes_out: Option<u64>,
    /// Thousandths of a core that it has.
    pub cpu_thousandths: Option<u64>,
    /// Seconds of CPU of the process: for one that only compiles and checks.
    pub cpu_seconds: Option<u64>,
    /// Bytes that it may write to a file.
    pub file_bytes: Option<u64>,
    /// Lines of its plugins' logs a second.
    pub log_lines: Option<u64>,
}

impl Grant {
    /// The pipeline's name among those of all tenants: neither name has two hyphens in a row.
    pub fn whole_name(&self) -> String {
        format!("{}--{}", self.tenant, self.pipeline)
    }

    /// Whether a topic may be read.
    pub fn may_read(&self, topic: &str) -> bool {
        takes(self.reads.as_deref(), topic)
    }

    /// Whether a topic may be written.
    pub fn may_write(&self, topic: &str) -> bool {
        takes(self.writes.as_deref(), topic)
    }

    /// The folders that its plugins lie in.
    pub fn plugin_folders(&self) -> BTreeSet<PathBuf> {
        let files = self.plugins.values();
        files.filter_map(|file| Some(file.parent()?.to_owned())).collect()
    }

    /// What its process said, as its tenant may read it: without where the daemon has the tenant's folder.
    pub(crate) fn told(&self, said: String) -> String {
        match self.code.folder.parent() {
            Some(tenant) => without_place(said, tenant),
            None => said,
        }
    }

    /// A file with the grant, for the standard input of its process.
    ///
    /// # Errors
    /// The system gives no such file.
    pub fn hand_over(&self) -> io::Result<File> {
        let made = memfd_create("sandbar-grant", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
        let mut file = File::from(made);
        file.write_all(&serde_json::to_vec(self)?)?;
        file.rewind()?;
        fcntl_add_seals(
            &file,
            SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
        )?;
        Ok(file)
    }

    /// The grant that was handed over.
    ///
    /// # Errors
    /// It is none, or of another version of Sandbar; nothing of it is shown.
    pub fn take(from: impl Read) -> io::Result<Self> {
        let mut text = Vec::new();
        from.take(MOST_BYTES).read_to_end(&mut text)?;
        serde_json::from_slice(&text).map_err(|error| {
            let place = format!("line {}, column {}", error.line(), error.column());
            io::Error::new(
                io::ErrorKind::InvalidData,
                format!("it is not of this version ({place})"),
            )
        })
    }
}

/// Secrets are not shown.
impl fmt::Debug for Grant {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Grant")
            .field("tenant", &self.tenant)
            .field("pipeline", &self.pipeline)
            .field("secrets", &self.secrets.keys())
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

fn takes(patterns: Option<&[String]>, topic: &str) -> bool {
    let Some(patterns) = patterns else { return true };
    patterns.iter().any(|pattern| match pattern.strip_suffix('*') {
        Some(begin) => topic.starts_with(begin),
        None => topic == pattern,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant() -> Grant {
        Grant {
            tenant: "team".parse().unwrap(),
            pipeline: "views".parse().unwrap(),
            plugins: BTreeMap::from([("count".to_owned(), "/d/plugins/a.wasm".into())]),
            code: GrantedCode {
                folder: "/d/code".into(),
                key: [7; 32],
                is_made_here: false,
            },
            clusters: None,
            secrets: BTreeMap::from([("password".to_owned(), "hunter2".to_owned())]),
            reads: Some(vec!["team.*".to_owned(), "views".to_owned()]),
            writes: None,
            folders: Vec::new(),
            canary: None,
            limits: GrantedLimits::default(),
            is_isolation_required: true,
        }
    }

    #[test]
    fn a_grant_is_taken_as_it_was_handed_over_and_nobody_changes_it() {
        let mut file = grant().hand_over().unwrap();
        assert_eq!(Grant::take(&file).unwrap(), grant());
        assert!(file.write_all(b"x").is_err(), "it is sealed");
        assert!(file.set_len(0).is_err(), "it is sealed");
    }

    #[test]
    fn what_is_no_grant_is_refused_and_no_secret_is_shown() {
        let refused = Grant::take(&br#"{"tenant":"team","secrets":{"a":"hunter2"},"more":1}"#[..]).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        assert!(!format!("{:?}", grant()).contains("hunter2"));
    }

    #[test]
    fn a_star_stands_for_any_end_of_a_name() {
        let grant = grant();
        for topic in ["team.a", "team.", "views"] {
            assert!(grant.may_read(topic), "{topic}");
        }
        for topic in ["team", "viewsx", "other.team.a", ""] {
            assert!(!grant.may_read(topic), "{topic}");
        }
        assert!(grant.may_write("any"));
        let nothing = Grant {
            writes: Some(Vec::new()),
            ..grant
        };
        assert!(!nothing.may_write("any"));
    }
}
