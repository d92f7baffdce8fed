//! Sandbar: a stream processor for Apache Kafka whose user logic runs as sandboxed WebAssembly components.
//!
//! The path of a record, and the order of the modules below:
//!
//! ```text
//! Kafka partition → source (batch) → event time → plugin (pure call) → sink (staged)
//!   → … commit: drain the outputs, then commit the positions
//! ```
//!
//! Loose files are words that everyone shares, `kafka` and `login` what several need of a cluster. Stations (`spec`,
//! `source`, `plugin`, `state`, `sink`, `checkpoint`) know them and never each other, but for a plugin, which knows the
//! state that it reads; `runtime` ties the stations by the `topology` of a pipeline file, `inspect`, `server`, `cases`,
//! `bench` and `cli` stand around it. ARCHITECTURE.md says it at length, `tests/guarantees` holds it.

pub mod record;
pub mod task_id;
pub mod offset_metadata;
pub mod error;
pub mod clock;
pub mod config;
pub mod spec;
pub mod json_lines;
pub mod kill;
pub mod process;
pub mod metrics;
pub mod pulse;
pub mod login;
pub mod kafka;

pub mod source;
pub mod state;
pub mod plugin;
pub mod sink;
pub mod checkpoint;
pub mod topology;
pub mod runtime;
pub mod cases;
pub mod bench;
pub mod inspect;
pub mod broker;
pub mod project;
pub mod dev;
pub mod server;
pub mod cli;
