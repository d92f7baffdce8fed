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

use crate::grant::{Grant, GrantedCode, GrantedLimits};
use crate::names::{Digest, Name};
use crate::plugins::PluginFiles;

/// Seconds of CPU that a check may take: it compiles the plugins.
const CHECK_CPU: u64 = 60;
/// Bytes of memory that it may take.
const CHECK_MEMORY: u64 = 2 << 30;
/// Bytes of a file that it may write: compiled code is a few times as large as a plugin.
const CHECK_FILE: u64 = 1 << 30;

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
    pub(super) fn to_run(
        &self,
        (tenant, name): (&Name, &Name),
        plugins: &BTreeMap<String, Digest>,
        socket_folder: &Path,
    ) -> io::Result<Grant> {
        let mut grant = self.grant(tenant, name, plugins)?;
        grant.folders = vec![socket_folder.to_owned()];
        Ok(grant)
    }

    /// For a process that checks it, and compiles its plugins.
    ///
    /// # Errors
    /// As [`to_run`](Self::to_run).
    pub(super) fn to_check(
        &self,
        (tenant, name): (&Name, &Name),
        plugins: &BTreeMap<String, Digest>,
    ) -> io::Result<Grant> {
        let mut grant = self.grant(tenant, name, plugins)?;
        grant.code.is_made_here = true;
        grant.limits = GrantedLimits {
            memory: Some(CHECK_MEMORY),
            cpu_seconds: Some(CHECK_CPU),
            file_bytes: Some(CHECK_FILE),
            ..grant.limits
        };
        Ok(grant)
    }

    /// The file of a plugin.
    pub(super) fn plugin(&self, tenant: &Name, digest: &Digest) -> PathBuf {
        self.plugins.path(tenant, digest)
    }

    fn grant(&self, tenant: &Name, name: &Name, plugins: &BTreeMap<String, Digest>) -> io::Result<Grant> {
        let folder = self.data.join("tenants").join(tenant.as_str()).join("code");
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let path = |(operator, digest): (&String, &Digest)| (operator.clone(), self.plugins.path(tenant, digest));
        Ok(Grant {
            tenant: tenant.clone(),
            pipeline: name.clone(),
            plugins: plugins.iter().map(path).collect(),
            code: GrantedCode {
                folder,
                key: self.key_of(tenant)?,
                is_made_here: false,
            },
            clusters: None,
            secrets: BTreeMap::new(),
            reads: None,
            writes: None,
            folders: Vec::new(),
            limits: GrantedLimits::default(),
            is_isolation_required: self.is_isolation_required,
        })
    }

    /// The key of a tenant: who learns it can forge nothing of another's.
    fn key_of(&self, tenant: &Name) -> io::Result<[u8; 32]> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(io::Error::other)?;
        mac.update(tenant.as_str().as_bytes());
        Ok(mac.finalize().into_bytes().into())
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

    #[test]
    fn each_tenant_has_a_key_of_its_own_that_stays() {
        let folder = tempfile::tempdir().unwrap();
        let open = || Grants::open(folder.path(), PluginFiles::new(folder.path()), false).unwrap();
        let name = |text: &str| text.parse::<Name>().unwrap();
        let key = |grants: &Grants, tenant: &str| {
            let grant = grants.to_check((&name(tenant), &name("p")), &BTreeMap::new()).unwrap();
            grant.code.key
        };
        let (first, again) = (open(), open());
        assert_eq!(key(&first, "a"), key(&again, "a"));
        assert_ne!(key(&first, "a"), key(&first, "b"));
        let mode = std::fs::metadata(folder.path().join("code.key"))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn only_a_check_makes_code_and_has_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let grants = Grants::open(folder.path(), PluginFiles::new(folder.path()), true).unwrap();
        let (tenant, name) = ("team".parse().unwrap(), "views".parse().unwrap());
        let check = grants.to_check((&tenant, &name), &BTreeMap::new()).unwrap();
        assert!(check.code.is_made_here && check.limits.cpu_seconds == Some(CHECK_CPU));
        let run = grants
            .to_run((&tenant, &name), &BTreeMap::new(), Path::new("/s"))
            .unwrap();
        assert!(!run.code.is_made_here && run.limits == GrantedLimits::default());
        assert_eq!(run.folders, [PathBuf::from("/s")]);
        assert!(run.is_isolation_required);
    }
}
