//! Shuts the process of a tenant's pipeline in, by what the kernel has for it: before it reads a byte of the tenant's.
//!
//! Owns the walls around files, ports and signals (Landlock), around system calls (seccomp), and around amounts
//! (limits of resources); and it gives up the privileges of whoever started it. Never needs a privilege: each wall is
//! one that a process builds around itself, and cannot take down again. Always: what the kernel cannot hold is told,
//! and refused if isolation is required.

mod walls;
mod files;
mod calls;
mod amounts;
mod privileges;

#[cfg(test)]
mod tests;

pub use walls::{WALLS, Wall, connect_only, enter, keep_doors_shut, lacking};
