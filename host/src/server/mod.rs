//! How a running process is reached: over HTTP, `/metrics`, `/health`, `/ready`, `/status` and
//! `/stop`; and through its state
//! folder, where `sandbar stop` asks it to end. Both sides of it.
//!
//! Never changes anything about the run but to end it. Always: it listens only where it was told to.

mod address;
pub mod order;
pub mod folder;
pub mod http;
pub mod ask;

pub use address::HttpAddress;
pub use ask::ask;
pub use folder::{Lives, RunningHere, RunningProcess};
pub use http::Http;
pub use order::{RunEnd, StopOrder};
