//! The walls around files, ports and signals: Landlock.
//!
//! Always: what is not listed cannot be opened, made or removed; a folder that is not there is left out.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, NetPort, Ruleset, RulesetAttr, RulesetCreated,
    RulesetCreatedAttr, RulesetError, Scope, path_beneath_rules,
};

use crate::config::ready_made_folders;
use crate::process::grant::Grant;

/// The rights that are known here; what a newer kernel can hold besides, it does not yet.
const KNOWN: ABI = ABI::V6;
/// What programs read of a system: libraries, names, certificates, time zones, random bytes, what they are told of
/// themselves.
const SYSTEM: [&str; 19] = [
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/ca-certificates",
    "/usr/share/zoneinfo",
    "/usr/local/share/ca-certificates",
    "/etc/ssl",
    "/etc/pki",
    "/etc/ca-certificates",
    "/etc/resolv.conf",
    "/etc/hosts",
    "/etc/host.conf",
    "/etc/nsswitch.conf",
    "/etc/gai.conf",
    "/etc/localtime",
    "/dev/urandom",
    "/dev/random",
    "/sys/devices/system/cpu",
];
/// Where a name server listens.
const NAMES: u16 = 53;

/// Whether the kernel holds a wall around files.
pub(super) fn is_held() -> bool {
    strict().handle_access(AccessFs::from_all(ABI::V1)).is_ok()
}

/// Whether it holds one around ports.
pub(super) fn are_ports_held() -> bool {
    strict().handle_access(AccessNet::from_all(ABI::V4)).is_ok()
}

/// Whether it holds one around signals.
pub(super) fn are_signals_held() -> bool {
    strict().scope(Scope::from_all(ABI::V6)).is_ok()
}

fn strict() -> Ruleset {
    Ruleset::default().set_compatibility(CompatLevel::HardRequirement)
}

/// Leaves this thread, and those that it starts, the files that are granted, and no port to listen on.
pub(super) fn enclose(grant: &Grant) -> io::Result<()> {
    let own = std::env::current_dir()?;
    let mut writes: Vec<PathBuf> = grant.folders.clone();
    let mut reads: Vec<PathBuf> = SYSTEM.iter().map(PathBuf::from).collect();
    reads.extend(grant.plugin_folders());
    reads.extend(ready_made_folders()?);
    reads.push(PathBuf::from("/proc/self"));
    match grant.code.is_made_here {
        true => writes.push(grant.code.folder.clone()),
        false => reads.push(grant.code.folder.clone()),
    }
    writes.push(own);
    files(&reads, &writes).map_err(|why| refused("the wall around files", why))
}

fn refused(what: &str, why: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{what}: {why}"))
}

fn files(reads: &[PathBuf], writes: &[PathBuf]) -> Result<(), RulesetError> {
    let may_read = AccessFs::from_read(KNOWN) & !AccessFs::Execute;
    let may_write = AccessFs::from_all(KNOWN) & !(AccessFs::Execute | AccessFs::IoctlDev);
    let mut rules = Ruleset::default()
        .handle_access(AccessFs::from_all(KNOWN))?
        .handle_access(BitFlags::from(AccessNet::BindTcp))?
        .scope(Scope::from_all(KNOWN))?
        .create()?;
    rules = beneath(rules, reads, may_read)?;
    rules = beneath(rules, writes, may_write)?;
    rules = beneath(rules, &["/dev/null"], AccessFs::ReadFile | AccessFs::WriteFile)?;
    rules.restrict_self().map(drop)
}

fn beneath(
    rules: RulesetCreated,
    paths: &[impl AsRef<Path>],
    access: BitFlags<AccessFs>,
) -> Result<RulesetCreated, RulesetError> {
    rules.add_rules(path_beneath_rules(paths, access))
}

/// Leaves this thread, and those that it starts, these ports to connect to, and that of name servers.
pub(super) fn connect_only(ports: &BTreeSet<u16>) -> io::Result<()> {
    let rules = || {
        let mut rules = Ruleset::default()
            .handle_access(BitFlags::from(AccessNet::ConnectTcp))?
            .handle_access(BitFlags::from(AccessFs::Refer))?
            .create()?;
        // A wall that says nothing of links from folder to folder forbids them; which ones it may make, the wall around
        // files says.
        rules = beneath(rules, &["/"], AccessFs::Refer.into())?;
        for port in ports.iter().chain([&NAMES]) {
            rules = rules.add_rule(NetPort::new(*port, AccessNet::ConnectTcp))?;
        }
        rules.restrict_self().map(drop)
    };
    rules().map_err(|why: RulesetError| refused("the wall around ports", why))
}
