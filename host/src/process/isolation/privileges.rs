//! What a process gives up before it is shut in: all that lets root do more than others.

use std::io;

use rustix::thread::{CapabilitySet, CapabilitySets, set_capabilities};

/// Gives up every capability, for good: a filter of system calls comes with "no new privileges".
pub(super) fn give_up() -> io::Result<()> {
    let none = CapabilitySets {
        effective: CapabilitySet::empty(),
        permitted: CapabilitySet::empty(),
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, none).map_err(io::Error::from)
}
