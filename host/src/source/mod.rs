//! Reads records: from Kafka as a member of a group, from a file where a person develops.

mod contact;
pub mod file;
pub mod event_time;
pub mod offsets;
pub mod tail;

pub use file::FileReader;
