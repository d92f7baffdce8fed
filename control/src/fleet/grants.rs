//! What is granted to the processes of a tenant's pipelines.
//!
//! ```text
//! DATA/code.key            what the keys of all tenants are made of
//! DATA/tenants/T/code/     compiled plugins of a tenant
//! ```

use std::collections::BTreeMap;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::grant::{Grant, GrantedCluster, GrantedCode, GrantedLimits};
use crate::means::{ClusterMeans, PropertyMeans, SecretText, TenantMeans};
use crate::model::names::{Digest, Name};
use crate::plugins::PluginFiles;

/// Seconds of CPU that a check may take, which compiles the plugins, or a look.
const CHECK_CPU: u64 = 60;
/// Bytes of memory that it may take.
const CHECK_MEMORY: u64 = 2 << 30;
/// Bytes of memory that a look at a pipeline may take.
const LOOK_MEMORY: u64 = 1 << 30;
/// Bytes of a file that it may write: compiled code is a few times as large as a plugin.
const CHECK_FILE: u64 = 1 << 30;

/// A pipeline to which something is granted.
#[derive(Clone, Copy)]
pub(super) struct GrantedPipeline<'a> {
    pub(super) tenant: &'a Name,
    pub(super) name: &'a Name,
    /// The text of its file.
    pub(super) file: &'a str,
    /// The plugin of each operator that has one of the tenant's.
    pub(super) plugins: &'a BTreeMap<String, Digest>,
    /// What its tenant has.
    pub(super) means: &'a TenantMeans,
}

impl<'a> GrantedPipeline<'a> {
    /// The tenant's secrets that its file may refer to: whose names stand in it.
    fn secrets(&self) -> impl Iterator<Item = (&'a String, &'a SecretText)> + use<'a> {
        let file = self.file;
        self.means
            .secrets
            .iter()
            .filter(move |(name, _)| file.contains(name.as_str()))
    }

    /// The same of the tenant's clusters.
    fn clusters(&self) -> impl Iterator<Item = (&'a String, &'a ClusterMeans)> + use<'a> {
        let file = self.file;
        self.means
            .clusters
            .iter()
            .filter(move |(name, _)| file.contains(name.as_str()))
    }
}

/// Makes grants.
#[derive(Clone)]
pub(super) struct Grants {
    data: PathBuf,
    key: [u8; 32],
    plugins: PluginFiles,
    is_isolation_required: bool,
}

impl Grants {
    /// For a data folder; its key is made if there is none.
    ///
    /// # Errors
    /// The key can be neither read nor written.
    pub(super) fn open(data: &Path, plugins: PluginFiles, is_isolation_required: bool) -> io::Result<Self> {
        Ok(Self {
            data: data.to_owned(),
            key: key(&data.join("code.key"))?,
            plugins,
            is_isolation_required,
        })
    }

    /// For the process of a pipeline, which makes its socket in a folder.
    ///
    /// # Errors
    /// The tenant's folder of code cannot be made.
    pub(super) fn to_run(&self, of: &GrantedPipeline<'_>, socket_folder: &Path) -> io::Result<Grant> {
        let mut grant = self.grant(of)?;
        grant.folders = vec![socket_folder.to_owned()];
        Ok(grant)
    }

    /// For a process that checks it, and compiles its plugins.
    ///
    /// # Errors
    /// As [`to_run`](Self::to_run).
    pub(super) fn to_check(&self, of: &GrantedPipeline<'_>) -> io::Result<Grant> {
        let mut grant = self.grant(of)?;
        grant.code.is_made_here = true;
        grant.limits.memory = Some(CHECK_MEMORY);
        grant.limits.cpu_seconds = Some(of.means.quotas.compile_time.unwrap_or(CHECK_CPU));
        grant.limits.file_bytes = Some(CHECK_FILE);
        Ok(grant)
    }

    /// The file of a plugin.
    pub(super) fn plugin(&self, tenant: &Name, digest: &Digest) -> PathBuf {
        self.plugins.path(tenant, digest)
    }

    /// For a process that looks at what the pipeline has, and compiles nothing.
    ///
    /// # Errors
    /// As [`to_run`](Self::to_run).
    pub(super) fn to_look(&self, of: &GrantedPipeline<'_>) -> io::Result<Grant> {
        let mut grant = self.grant(of)?;
        grant.limits.memory = Some(LOOK_MEMORY);
        grant.limits.cpu_seconds = Some(CHECK_CPU);
        grant.limits.file_bytes = Some(CHECK_FILE);
        Ok(grant)
    }

    fn grant(&self, of: &GrantedPipeline<'_>) -> io::Result<Grant> {
        let (tenant, means) = (of.tenant, of.means);
        let folder = self.data.join("tenants").join(tenant.as_str()).join("code");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = |(operator, digest): (&String, &Digest)| (operator.clone(), self.plugins.path(tenant, digest));
        let secrets = of
            .secrets()
            .map(|(name, text)| (name.clone(), text.reveal().to_owned()));
        let clusters = of.clusters().map(|(name, cluster)| (name.clone(), granted(cluster)));
        let quotas = &means.quotas;
        Ok(Grant {
            tenant: tenant.clone(),
            pipeline: of.name.clone(),
            plugins: of.plugins.iter().map(path).collect(),
            code: GrantedCode {
                folder,
                key: self.key_of(tenant)?,
                is_made_here: false,
            },
            clusters: (!means.clusters.is_empty()).then(|| clusters.collect()),
            secrets: secrets.collect(),
            reads: means.reads.clone(),
            writes: means.writes.clone(),
            folders: Vec::new(),
            canary: None,
            limits: GrantedLimits {
                workers: quotas.pipeline_workers,
                memory: quotas.pipeline_memory,
                state: quotas.pipeline_state,
                bytes_in: quotas.bytes_in,
                bytes_out: quotas.bytes_out,
                cpu_thousandths: quotas.pipeline_cpu,
                log_lines: quotas.log_lines,
                ..GrantedLimits::default()
            },
            is_isolation_required: self.is_isolation_required,
        })
    }

    /// Stands for all that a process is granted of its tenant: it differs if one of these differs, and stays the same
    /// from one version of Sandbar to the next. Nobody learns a secret from it.
    pub(super) fn mark(&self, of: &GrantedPipeline<'_>) -> io::Result<String> {
        let mut mac = self.mac()?;
        let mut add = |words: &[&str]| {
            for word in words {
                mac.update(&(word.len() as u64).to_le_bytes());
                mac.update(word.as_bytes());
            }
        };
        for (name, text) in of.secrets() {
            add(&["secret", name, text.reveal()]);
        }
        for (name, cluster) in of.clusters() {
            let cluster = granted(cluster);
            add(&["cluster", name, &cluster.brokers]);
            cluster
                .properties
                .iter()
                .for_each(|(name, value)| add(&["property", name, value]));
        }
        for (what, topics) in [("reads", &of.means.reads), ("writes", &of.means.writes)] {
            topics.iter().for_each(|topics| add(&[what, &topics.join(",")]));
        }
        let quotas = &of.means.quotas;
        for (name, quota) in [
            ("workers", quotas.pipeline_workers),
            ("memory", quotas.pipeline_memory),
            ("state", quotas.pipeline_state),
            ("cpu", quotas.pipeline_cpu),
            ("bytes-in", quotas.bytes_in),
            ("bytes-out", quotas.bytes_out),
            ("log-lines", quotas.log_lines),
        ] {
            quota.iter().for_each(|figure| add(&[name, &figure.to_string()]));
        }
        Ok(mac
            .finalize()
            .into_bytes()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect())
    }

    fn mac(&self) -> io::Result<Hmac<Sha256>> {
        Hmac::new_from_slice(&self.key).map_err(io::Error::other)
    }

    /// The key of a tenant: who learns it can forge nothing of another's.
    fn key_of(&self, tenant: &Name) -> io::Result<[u8; 32]> {
        let mut mac = self.mac()?;
        mac.update(tenant.as_str().as_bytes());
        Ok(mac.finalize().into_bytes().into())
    }
}

fn granted(cluster: &ClusterMeans) -> GrantedCluster {
    let mut missing_secret = None;
    let property = |(name, value): (&String, &PropertyMeans)| match value {
        PropertyMeans::Text(text) => Some((name.clone(), text.clone())),
        PropertyMeans::Secret { text: Some(text), .. } => Some((name.clone(), text.reveal().to_owned())),
        PropertyMeans::Secret { name, text: None } => {
            missing_secret = Some(name.to_string());
            None
        }
    };
    let properties = cluster.properties.iter().filter_map(property).collect();
    GrantedCluster {
        brokers: cluster.brokers.clone(),
        properties,
        missing_secret,
    }
}

/// The key of a file, for its owner alone, made if it is not there.
fn key(path: &Path) -> io::Result<[u8; 32]> {
    let mut key = [0; 32];
    match File::open(path) {
        Ok(mut file) => file.read_exact(&mut key)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            rustix::rand::getrandom(&mut key[..], rustix::rand::GetRandomFlags::empty())?;
            // As a whole: half a key would be no key at the next start.
            let new = path.with_extension("new");
            let mut options = OpenOptions::new();
            let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&new)?;
            file.write_all(&key)?;
            file.sync_all()?;
            std::fs::rename(new, path)?;
        }
        Err(error) => return Err(error),
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn grants(folder: &Path) -> Grants {
        Grants::open(folder, PluginFiles::new(folder), true).unwrap()
    }

    /// A pipeline of a tenant, which it is told apart by what its file says.
    fn with<T>(tenant: &str, file: &str, means: &TenantMeans, of: impl Fn(&GrantedPipeline<'_>) -> T) -> T {
        let (tenant, name) = (tenant.parse().unwrap(), "views".parse().unwrap());
        of(&GrantedPipeline {
            tenant: &tenant,
            name: &name,
            file,
            plugins: &BTreeMap::new(),
            means,
        })
    }

    fn secret(text: &str) -> SecretText {
        SecretText::new(text.to_owned()).unwrap()
    }

    #[test]
    fn each_tenant_has_a_key_of_its_own_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let means = TenantMeans::default();
        let key = |grants: &Grants, tenant: &str| with(tenant, "", &means, |of| grants.to_check(of).unwrap().code.key);
        let (first, again) = (grants(folder.path()), grants(folder.path()));
        assert_eq!(key(&first, "a"), key(&again, "a"));
        assert_ne!(key(&first, "a"), key(&first, "b"));
        let about = std::fs::metadata(folder.path().join("code.key")).unwrap();
        assert_eq!(about.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn only_a_check_makes_code_and_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let (grants, means) = (grants(folder.path()), TenantMeans::default());
        let check = with("team", "", &means, |of| grants.to_check(of).unwrap());
        assert!(check.code.is_made_here && check.limits.cpu_seconds == Some(CHECK_CPU));
        let run = with("team", "", &means, |of| grants.to_run(of, Path::new("/s")).unwrap());
        assert!(!run.code.is_made_here && run.limits == GrantedLimits::default());
        assert_eq!(run.folders, [PathBuf::from("/s")]);
        assert!(run.is_isolation_required && run.clusters.is_none());
    }

    #[test]
    fn no_more_is_granted_than_the_file_may_refer_to() {
        let folder = tempfile::tempdir().unwrap();
        let grants = grants(folder.path());
        let reference = |text| PropertyMeans::Secret {
            name: "pass".parse().unwrap(),
            text,
        };
        let cluster = |text| ClusterMeans {
            brokers: "h:9".to_owned(),
            properties: BTreeMap::from([("sasl.password".to_owned(), reference(text))]),
        };
        let means = TenantMeans {
            secrets: BTreeMap::from([("pass".to_owned(), secret("one")), ("other".to_owned(), secret("two"))]),
            clusters: BTreeMap::from([
                ("main".to_owned(), cluster(Some(secret("one")))),
                ("second".to_owned(), cluster(None)),
            ]),
            ..TenantMeans::default()
        };
        let of = |file: &str| with("team", file, &means, |of| grants.to_run(of, Path::new("/s")).unwrap());
        let grant = of("kafka.cluster = \"main\" # pass");
        assert_eq!(grant.secrets.keys().collect::<Vec<_>>(), ["pass"]);
        let clusters = grant.clusters.unwrap();
        assert_eq!(clusters.keys().collect::<Vec<_>>(), ["main"]);
        assert_eq!(clusters["main"].properties["sasl.password"], "one");
        let missing = of("second").clusters.unwrap();
        assert_eq!(missing["second"].missing_secret.as_deref(), Some("pass"));
        assert!(
            of("").clusters.unwrap().is_empty(),
            "that there are clusters counts although none is named"
        );
    }

    #[test]
    fn what_is_granted_has_a_mark_that_changes_with_it_and_with_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let grants = grants(folder.path());
        let mark = |means: &TenantMeans| with("team", "pass", means, |of| grants.mark(of).unwrap());
        let mut means = TenantMeans::default();
        let mut marks = vec![mark(&means)];
        means.secrets.insert("pass".to_owned(), secret("one"));
        marks.push(mark(&means));
        means.secrets.insert("pass".to_owned(), secret("two"));
        marks.push(mark(&means));
        means.quotas.bytes_in = Some(1);
        marks.push(mark(&means));
        means.writes = Some(vec!["a".to_owned()]);
        marks.push(mark(&means));
        means.reads = means.writes.take();
        marks.push(mark(&means));
        for (at, one) in marks.iter().enumerate() {
            assert!(
                !marks[..at].contains(one),
                "the mark of step {at} is that of one before"
            );
        }
        let last = mark(&means);
        means.secrets.insert("unused".to_owned(), secret("three"));
        means.quotas.pipelines = Some(7);
        assert_eq!(mark(&means), last);
    }
}
