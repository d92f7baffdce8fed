//! What stands between the interface in `wit/` and a plugin.

pub mod bindings;
#[doc(hidden)]
pub mod described_state;
#[doc(hidden)]
pub mod guest;
