//! The worlds of the interface: the one place that knows the types that are generated from `wit/`.
//!
//! Owns those types, and for each world the way between them and the host's own. Never checks what a guest gave, and
//! never copies a column: it moves what it is given, and the checks stand behind it, once for every world. Always:
//! nobody else names a generated type, so that a next world is a file beside the first and a variant in `linked`.

mod linked;
mod v0_1;
mod v0_1_records;
mod bindings;

pub(super) use linked::{Linked, Running, grant};
