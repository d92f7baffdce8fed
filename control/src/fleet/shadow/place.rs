//! The folder of a canary, and what is written down in it.
//!
//! ```text
//! DATA/tenants/T/canaries/P/begin.json   of which upgrade it is, and where it began
//! DATA/tenants/T/canaries/P/end.json     where it ends
//! DATA/tenants/T/canaries/P/savepoint/   the state that both versions begin with
//! DATA/tenants/T/canaries/P/old/, new/   the folders of the two runs
//! DATA/tenants/T/canaries/P/old-outputs/, new-outputs/
//! DATA/tenants/T/pipelines/P/canary.json   outputs that differ, which outlive it: records, so not the catalog's
//! ```

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::super::keep::Fleet;
use super::super::process;
use crate::grant::SourceOffsets;
use crate::model::canary::KeyDifference;
use crate::model::names::Name;

/// The folders of the two runs.
pub(super) const RUNS: [&str; 2] = ["old", "new"];
/// The file of what is shown, beside the pipeline's.
const SHOWN: &str = "canary.json";
/// How long a process may take to be gone that was killed.
const GONE: Duration = Duration::from_secs(10);

/// Where a canary began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct CanaryBegin {
    /// The number of the upgrade.
    pub(super) number: i64,
    /// Whether both versions begin from the savepoint.
    pub(super) has_savepoint: bool,
    /// Where each partition stood.
    pub(super) starts: SourceOffsets,
}

/// A folder of a canary.
#[derive(Debug, Clone)]
pub(super) struct CanaryPlace(PathBuf);

impl CanaryPlace {
    pub(super) fn new(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(super) fn savepoint(&self) -> PathBuf {
        self.0.join("savepoint")
    }

    pub(super) fn outputs(&self, of: &str) -> PathBuf {
        self.0.join(format!("{of}-outputs"))
    }

    /// Where the canary of this upgrade began, if it did.
    pub(super) fn begin(&self, number: i64) -> Option<CanaryBegin> {
        self.read("begin.json")
            .filter(|begin: &CanaryBegin| begin.number == number)
    }

    /// Writes down where it began.
    pub(super) fn write_begin(&self, begin: &CanaryBegin) -> io::Result<()> {
        self.write("begin.json", begin)
    }

    /// Where it ends, if that was written down.
    pub(super) fn end(&self) -> Option<SourceOffsets> {
        self.read("end.json")
    }

    /// Writes down where it ends.
    pub(super) fn write_end(&self, stops: &SourceOffsets) -> io::Result<()> {
        self.write("end.json", stops)
    }

    /// A new folder in it, for its owner alone.
    pub(super) fn make(&self, folder: &PathBuf) -> io::Result<()> {
        remove(folder)?;
        DirBuilder::new().recursive(true).mode(0o700).create(folder)
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        serde_json::from_slice(&fs::read(self.0.join(name)).ok()?).ok()
    }

    fn write(&self, name: &str, what: &impl Serialize) -> io::Result<()> {
        let new = self.0.join(format!(".{name}"));
        fs::write(&new, serde_json::to_vec(what)?)?;
        fs::rename(new, self.0.join(name))
    }
}

/// What is shown of the outputs that differ.
#[derive(Debug, Serialize, Deserialize)]
struct ShownDifferences {
    /// The number of the upgrade.
    number: i64,
    shown: Vec<KeyDifference>,
}

impl Fleet {
    /// Keeps what is shown of the outputs that differ in the canary of this upgrade, in the place of what was kept of
    /// the one before.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn keep_shown(
        &self,
        tenant: &Name,
        name: &Name,
        number: i64,
        shown: Vec<KeyDifference>,
    ) -> io::Result<()> {
        let text = serde_json::to_string(&ShownDifferences { number, shown })?;
        // Not made, if the pipeline was deleted meanwhile.
        let folder = self.folder(tenant, name);
        let new = folder.join(format!(".{SHOWN}"));
        fs::write(&new, text)?;
        fs::rename(new, folder.join(SHOWN))
    }

    /// What is shown of the outputs that differ in the canary of this upgrade; nothing, if it is not kept here.
    pub(crate) fn shown(&self, tenant: &Name, name: &Name, number: i64) -> Vec<KeyDifference> {
        let text = fs::read(self.folder(tenant, name).join(SHOWN)).unwrap_or_default();
        let kept = serde_json::from_slice::<ShownDifferences>(&text).ok();
        kept.filter(|kept| kept.number == number)
            .map(|kept| kept.shown)
            .unwrap_or_default()
    }

    /// Ends the runs of a pipeline's canary, if there are any, and takes their folders away.
    pub(super) async fn end_runs(&self, tenant: &Name, name: &Name) -> io::Result<()> {
        let place = CanaryPlace::new(self.canary_folder(tenant, name));
        for of in RUNS {
            let home = self.canary_home(tenant, name, of)?;
            let end = Instant::now() + GONE;
            while home.is_alive()? {
                process::kill(&home, None).await?;
                if Instant::now() > end {
                    return Err(io::Error::new(
                        io::ErrorKind::TimedOut,
                        "a process of a canary does not end",
                    ));
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            home.remove()?;
            remove(&place.outputs(of))?;
        }
        Ok(())
    }

    /// Takes away all that a pipeline's canary has, if there is one.
    ///
    /// # Errors
    /// A process of it does not end, or its folder cannot be removed.
    pub(crate) async fn clear_canary(&self, tenant: &Name, name: &Name) -> io::Result<()> {
        let folder = self.canary_folder(tenant, name);
        if !folder.exists() {
            return Ok(());
        }
        self.end_runs(tenant, name).await?;
        remove(&folder)
    }

    /// The pipelines that have the folder of a canary.
    pub(crate) fn canaries_there(&self) -> Vec<(Name, Name)> {
        let names = |folder: PathBuf| {
            let entries = fs::read_dir(folder).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().to_str()?.parse::<Name>().ok())
        };
        let of = |tenant: Name| names(self.canaries(&tenant)).map(move |name| (tenant.clone(), name));
        names(self.tenants()).flat_map(of).collect()
    }
}

fn remove(folder: &PathBuf) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
