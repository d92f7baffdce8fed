//! Which walls there are, and in which order a process builds them.

use std::collections::BTreeSet;

use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::process::grant::Grant;

use super::{amounts, calls, files, privileges};

/// A wall.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wall {
    /// Around files: a process reaches its own folder, the plugins of its tenant, and what programs need of a system.
    Files,
    /// Around ports: it connects to those of its cluster, and listens on none.
    Ports,
    /// Around signals: it sends none to others.
    Signals,
    /// Around system calls: it starts no program, and reaches nothing of the kernel that a pipeline does not need.
    Calls,
}

/// All of them.
pub const WALLS: [Wall; 4] = [Wall::Files, Wall::Ports, Wall::Signals, Wall::Calls];

impl Wall {
    /// What it is called.
    pub fn name(self) -> &'static str {
        match self {
            Self::Files => "files",
            Self::Ports => "ports",
            Self::Signals => "signals",
            Self::Calls => "system calls",
        }
    }

    /// What the kernel has for it, and since when.
    pub fn needs(self) -> &'static str {
        match self {
            Self::Files => "Landlock, Linux 5.13",
            Self::Ports => "Landlock, Linux 6.7",
            Self::Signals => "Landlock, Linux 6.12",
            Self::Calls => "seccomp",
        }
    }

    fn is_held(self) -> bool {
        match self {
            Self::Files => files::is_held(),
            Self::Ports => files::are_ports_held(),
            Self::Signals => files::are_signals_held(),
            Self::Calls => calls::is_held(),
        }
    }
}

/// The walls that the kernel of this machine cannot hold.
pub fn lacking() -> Vec<Wall> {
    WALLS.into_iter().filter(|wall| !wall.is_held()).collect()
}

/// Shuts this process in, as it was granted. It has one thread yet: a wall around files is a thread's and those that it
/// starts.
///
/// # Errors
/// `Failed`: isolation is required, and the kernel cannot hold a wall; or it refuses to build one.
pub fn enter(grant: &Grant) -> Result<()> {
    let lacking = lacking();
    if grant.is_isolation_required && !lacking.is_empty() {
        let why = lacking.iter().map(|wall| format!("{} ({})", wall.name(), wall.needs()));
        let why = why.collect::<Vec<_>>().join(", ");
        return Err(failed(format!("the kernel of this machine has no wall around {why}"))
            .hint("serve without --require-isolation on a machine that one tenant alone has"));
    }
    for wall in &lacking {
        tracing::warn!("nothing is around {}: the kernel has no {}", wall.name(), wall.needs());
    }
    amounts::limit(&grant.limits).map_err(failed)?;
    privileges::give_up().map_err(failed)?;
    files::enclose(grant).map_err(failed)?;
    if !lacking.contains(&Wall::Calls) {
        calls::refuse_calls().map_err(failed)?;
    }
    Ok(())
}

/// From now on this process connects to the ports that its pipeline names, and to that of name servers. It has one
/// thread yet.
///
/// # Errors
/// `Failed`: the kernel refuses to build the wall.
pub fn connect_only(pipeline: &Pipeline) -> Result<()> {
    connect_only_to(&ports(pipeline))
}

pub(super) fn connect_only_to(ports: &BTreeSet<u16>) -> Result<()> {
    files::connect_only(ports).map_err(failed)
}

/// From now on no thread of this process listens, nor connects to a socket of the machine's. What listens goes on.
///
/// # Errors
/// `Failed`: the kernel refuses to build the wall.
pub fn keep_doors_shut() -> Result<()> {
    match Wall::Calls.is_held() {
        true => calls::refuse_doors().map_err(failed),
        false => Ok(()),
    }
}

/// The ports of all brokers that a pipeline names, and of who issues its tokens.
fn ports(pipeline: &Pipeline) -> BTreeSet<u16> {
    let clusters = pipeline.clusters();
    let of_brokers = |brokers: &str| -> Vec<u16> {
        let each = brokers.split(',').filter_map(|broker| broker.rsplit_once(':'));
        each.filter_map(|(_, port)| port.trim().parse().ok()).collect()
    };
    let brokers = clusters.iter().flat_map(|cluster| of_brokers(&cluster.brokers));
    let issuers = clusters.iter().filter_map(|cluster| cluster.login.issuer_port());
    brokers.chain(issuers).collect()
}

fn failed(why: impl std::fmt::Display) -> Error {
    Error::new(Kind::Failed, "failed to shut the process in", why)
}
