//! What a process uses of the machine, as the kernel says, and what its pipeline keeps on the disk.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::param::clock_ticks_per_second;
use serde::{Deserialize, Serialize};

use crate::means::UsageDelta;

/// Files and folders of a pipeline that are looked at, at most: one that has more is told as what was seen of it.
const MOST_ENTRIES: usize = 200_000;

/// What a process uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessUse {
    /// Milliseconds of CPU since it began.
    pub(super) cpu_ms: u64,
    /// Bytes of memory that are its own: not those of files, which processes share.
    pub(super) memory: u64,
}

/// What was counted of a process since it began. It is written down, so that the next daemon goes on from it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(super) struct CountedUse {
    pub(super) cpu_ms: u64,
    pub(super) records_in: u64,
    pub(super) records_out: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
}

impl CountedUse {
    /// What was used since less was counted. A process that claims less than before took nothing back.
    pub(super) fn since(&self, before: &Self) -> UsageDelta {
        UsageDelta {
            cpu_ms: self.cpu_ms.saturating_sub(before.cpu_ms),
            records_in: self.records_in.saturating_sub(before.records_in),
            records_out: self.records_out.saturating_sub(before.records_out),
            bytes_in: self.bytes_in.saturating_sub(before.bytes_in),
            bytes_out: self.bytes_out.saturating_sub(before.bytes_out),
            state_byte_seconds: 0,
        }
    }
}

/// A process that uses more than it may.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Excess {
    /// Why, with the figures.
    pub(super) why: String,
    /// Whether it can end in order: it has the memory for that.
    pub(super) is_in_order: bool,
}

impl ProcessUse {
    /// Of a process; `None`: it is gone, or the kernel does not say.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let of = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).ok();
        Some(Self {
            cpu_ms: cpu_ms(&of("stat")?)?,
            memory: own_memory(&of("status")?)?,
        })
    }
}

/// From the line of proc(5): the fields behind the name, which may hold anything.
fn cpu_ms(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(')')?;
    let ticks = |at: usize| fields.split_whitespace().nth(at)?.parse::<u64>().ok();
    let ticks = ticks(11)?.checked_add(ticks(12)?)?;
    Some(ticks.saturating_mul(1000) / clock_ticks_per_second().max(1))
}

fn own_memory(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kib.checked_mul(1024)
}

/// Bytes of all files below a folder; what goes while it is looked at is left out.
pub(super) fn bytes_below(folder: &Path) -> io::Result<u64> {
    let (mut bytes, mut entries) = (0u64, 0);
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let listed = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            listed => listed?,
        };
        for entry in listed {
            entries += 1;
            if entries > MOST_ENTRIES {
                return Ok(bytes);
            }
            let entry = entry?;
            let Ok(about) = entry.metadata() else { continue };
            match about.is_dir() {
                true => folders.push(entry.path()),
                false => bytes = bytes.saturating_add(about.len()),
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_anything_in_it_misleads_nobody() {
        let ticks = clock_ticks_per_second();
        let stat = format!("7 (a) b 1 2) S 1 7 7 0 -1 0 0 0 0 0 {ticks} {} 0 0", 2 * ticks);
        assert_eq!(cpu_ms(&stat), Some(3000));
        assert_eq!(cpu_ms("7 (a"), None);
        assert_eq!(cpu_ms("7 (a) S 1"), None);
        assert_eq!(own_memory("Name:\ta\nRssAnon:\t    12 kB\n"), Some(12 << 10));
        assert_eq!(own_memory("RssAnon: many kB"), None);
    }

    #[test]
    fn this_process_uses_something_and_one_that_is_gone_nothing() {
        let used = ProcessUse::of(std::process::id()).unwrap();
        assert!(used.memory > 100 << 10, "{used:?}");
        assert_eq!(ProcessUse::of(u32::MAX), None);
    }

    #[test]
    fn files_are_counted_at_any_depth_and_links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::write(folder.path().join("a/b/x"), [0; 100]).unwrap();
        fs::write(folder.path().join("y"), [0; 10]).unwrap();
        std::os::unix::fs::symlink("/", folder.path().join("root")).unwrap();
        let bytes = bytes_below(folder.path()).unwrap();
        assert!((110..300).contains(&bytes), "{bytes}");
        assert_eq!(bytes_below(&folder.path().join("none")).unwrap(), 0);
    }
}
