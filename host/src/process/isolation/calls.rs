//! The wall around system calls: seccomp.
//!
//! Always: a call that is refused fails with "not permitted", for every thread; the process goes on, so that a library
//! that only tries something does not end it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter_all_threads,
};

/// The calls that a pipeline never needs, and an attacker would: other programs and processes, mounts and namespaces,
/// parts of the kernel that had more holes than others, and what changes the machine.
const REFUSED: &[i64] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_process_madvise,
    libc::SYS_pidfd_getfd,
    libc::SYS_kcmp,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_mount_setattr,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_keyctl,
    libc::SYS_memfd_secret,
    libc::SYS_vmsplice,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_kexec_load,
    libc::SYS_kexec_file_load,
    libc::SYS_reboot,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_quotactl,
    libc::SYS_syslog,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_fanotify_init,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_lookup_dcookie,
    libc::SYS_capset,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setgroups,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_personality,
];
/// The same, of calls that newer processors' kernels no longer have.
#[cfg(target_arch = "x86_64")]
const REFUSED_OLD: &[i64] = &[
    libc::SYS_fork,
    libc::SYS_vfork,
    libc::SYS_modify_ldt,
    libc::SYS_iopl,
    libc::SYS_ioperm,
    libc::SYS_uselib,
    libc::SYS_ustat,
    libc::SYS_sysfs,
    libc::SYS__sysctl,
];
#[cfg(not(target_arch = "x86_64"))]
const REFUSED_OLD: &[i64] = &[];

/// Of a socket's type, the part that is no flag.
const SOCKET_TYPE: u64 = 0xf;

/// Whether the kernel holds this wall.
pub(super) fn is_held() -> bool {
    Path::new("/proc/sys/kernel/seccomp/actions_avail").exists()
}

/// Refuses what a pipeline never needs.
pub(super) fn refuse_calls() -> io::Result<()> {
    let always = REFUSED.iter().chain(REFUSED_OLD).map(|call| (*call, Vec::new()));
    let mut rules: BTreeMap<i64, Vec<SeccompRule>> = always.collect();
    let processes = rule([masked(0, libc::CLONE_THREAD as u64, 0)?])?;
    rules.insert(libc::SYS_clone, vec![processes]);
    rules.insert(
        libc::SYS_socket,
        sockets(&[libc::AF_INET, libc::AF_INET6, libc::AF_UNIX])?,
    );
    refuse(rules, libc::EPERM)?;
    // Its flags lie in memory, where no filter looks: the C library takes the older call then.
    refuse(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)
}

/// Refuses what makes a socket that others come to, and sockets of the machine's.
pub(super) fn refuse_doors() -> io::Result<()> {
    let rules = BTreeMap::from([
        (libc::SYS_socket, sockets(&[libc::AF_INET, libc::AF_INET6])?),
        (libc::SYS_bind, Vec::new()),
        (libc::SYS_listen, Vec::new()),
    ]);
    refuse(rules, libc::EPERM)
}

/// Sockets of other families than these, and those that carry neither streams nor datagrams.
fn sockets(families: &[i32]) -> io::Result<Vec<SeccompRule>> {
    let others = families
        .iter()
        .map(|family| condition(0, SeccompCmpOp::Ne, *family as u64));
    let mut rules = vec![rule(others.collect::<io::Result<Vec<_>>>()?)?];
    for odd in [libc::SOCK_RAW, libc::SOCK_RDM, libc::SOCK_SEQPACKET, libc::SOCK_DCCP] {
        rules.push(rule([masked(1, SOCKET_TYPE, odd as u64)?])?);
    }
    Ok(rules)
}

fn masked(argument: u8, mask: u64, value: u64) -> io::Result<SeccompCondition> {
    condition(argument, SeccompCmpOp::MaskedEq(mask), value)
}

fn condition(argument: u8, operator: SeccompCmpOp, value: u64) -> io::Result<SeccompCondition> {
    SeccompCondition::new(argument, SeccompCmpArgLen::Dword, operator, value).map_err(failed)
}

fn rule(conditions: impl Into<Vec<SeccompCondition>>) -> io::Result<SeccompRule> {
    SeccompRule::new(conditions.into()).map_err(failed)
}

fn refuse(rules: BTreeMap<i64, Vec<SeccompRule>>, error: i32) -> io::Result<()> {
    let architecture = std::env::consts::ARCH.try_into().map_err(failed)?;
    let refusal = SeccompAction::Errno(error.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture).map_err(failed)?;
    let program: BpfProgram = filter.try_into().map_err(failed)?;
    apply_filter_all_threads(&program).map_err(failed)
}

fn failed(why: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("the wall around system calls: {why}"))
}
