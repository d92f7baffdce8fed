//! The files of a profile, and the functions that took the most time.

use super::{firefox, flame};
use crate::error::{Error, Kind, Result};
use crate::plugin::GuestProfile;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A guest is looked at so often.
const INTERVAL_MS: f64 = 1.0;
/// Functions that are told.
const HOTTEST: usize = 8;

/// What was written of a profile.
#[derive(Debug, Clone)]
pub struct ProfileFiles {
    /// For Firefox's profiler.
    pub profile: PathBuf,
    /// A picture of the same samples.
    pub flame: PathBuf,
    /// Samples in all.
    pub samples: u64,
    /// The functions that most samples found the guest in, the most first.
    pub hottest: Vec<HotFunction>,
}

/// A function of the guest's.
#[derive(Debug, Clone, PartialEq)]
pub struct HotFunction {
    /// The guest's name for it.
    pub name: String,
    /// The part of all samples that found the guest in it itself, from 0 to 1.
    pub share: f64,
}

/// Writes `profile.json` and `flame.svg` into a folder, which is made if it is not there.
///
/// # Errors
/// `Failed`: they cannot be written.
pub(super) fn write(plugin: &str, profile: &GuestProfile, folder: &Path) -> Result<ProfileFiles> {
    let failed = |why| Error::new(Kind::Failed, format!("failed to write to {}", folder.display()), why);
    let (json, svg) = (folder.join("profile.json"), folder.join("flame.svg"));
    std::fs::create_dir_all(folder).map_err(failed)?;
    let written = firefox::profile(plugin, INTERVAL_MS, profile);
    std::fs::write(&json, written.to_string()).map_err(failed)?;
    std::fs::write(&svg, flame::svg(plugin, profile)).map_err(failed)?;
    Ok(ProfileFiles {
        profile: json,
        flame: svg,
        samples: profile.samples.len() as u64,
        hottest: hottest(profile),
    })
}

fn hottest(profile: &GuestProfile) -> Vec<HotFunction> {
    let mut own: BTreeMap<&str, u64> = BTreeMap::new();
    for sample in &profile.samples {
        let function = profile.stacks[sample.stack].function;
        *own.entry(&profile.functions[function]).or_default() += 1;
    }
    let mut own: Vec<_> = own.into_iter().collect();
    own.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let told = own.into_iter().take(HOTTEST);
    told.map(|(name, count)| HotFunction {
        name: name.to_owned(),
        share: count as f64 / profile.samples.len().max(1) as f64,
    })
    .collect()
}
