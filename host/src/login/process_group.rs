//! Ends a command that hangs, with all that it started.
#![expect(unsafe_code, reason = "there is no other way to a group of processes")]

/// Ends all processes of the group that `leader` leads. The caller has not reaped the leader: its id is still its own.
pub(super) fn end_group(leader: u32) {
    // 0 and 1 would name our own group, and everybody.
    let Some(leader) = libc::pid_t::try_from(leader).ok().filter(|leader| *leader > 1) else {
        return;
    };
    // SAFETY: takes numbers only. A group that is gone is what is wanted.
    unsafe {
        libc::kill(-leader, libc::SIGKILL);
    }
}
