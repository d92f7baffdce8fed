//! What stands between the interface in `wit/` and a plugin.

pub mod bindings;
#[cfg(feature = "record-processor")]
pub mod record_bindings;
#[cfg(feature = "record-processor")]
#[doc(hidden)]
pub mod one_by_one;
#[cfg(all(target_family = "wasm", feature = "record-processor"))]
pub(crate) mod record_reader;
mod config;
#[doc(hidden)]
pub mod described_state;
#[doc(hidden)]
pub mod guest;
