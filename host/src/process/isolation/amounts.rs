//! The walls around amounts: limits of the process's resources.

use std::io;

use rustix::process::{Resource, Rlimit, setrlimit};

use crate::process::grant::GrantedLimits;

/// Bytes that a process may map to write beyond its memory: the stacks of threads, of which little is used.
const STACKS: u64 = 512 << 20;

/// Sets the limits that are granted; no process of a tenant leaves a dump of its memory, which has secrets.
pub(super) fn limit(limits: &GrantedLimits) -> io::Result<()> {
    let granted = [
        (Resource::Core, Some(0)),
        (Resource::Data, limits.memory.map(|bytes| bytes.saturating_add(STACKS))),
        (Resource::Cpu, limits.cpu_seconds),
        (Resource::Fsize, limits.file_bytes),
    ];
    for (resource, most) in granted {
        let Some(most) = most else { continue };
        let limit = Rlimit {
            current: Some(most),
            maximum: Some(most),
        };
        setrlimit(resource, limit)?;
    }
    Ok(())
}
