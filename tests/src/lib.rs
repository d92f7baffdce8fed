//! The tools of the tests: a real Apache Kafka, the program as a process, and a client of our own that serves as the
//! oracle.
//!
//! Nothing here links the host: a guarantee is shown on the program that a person runs, by what another client sees.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    clippy::print_stderr,
    reason = "a test fails loudly, and takes the time from the machine"
)]

pub mod wait;
pub mod guard;
pub mod kafka;
pub mod client;
pub mod issuer;
pub mod counted;
pub mod daemon;
pub mod process;
pub mod small_disk;
pub mod pipeline_file;

use std::path::PathBuf;

/// The workspace's folder of built things.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// The repository.
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the workspace")
        .to_path_buf()
}

/// Notes that a test could not run, and why; `make test` prints it at its end. The test then returns.
pub fn skip(test: &str, why: &str) {
    use std::io::Write;
    eprintln!("skipped: {test}: {why}");
    if let Some(path) = std::env::var_os("SANDBAR_SKIPPED") {
        let mut file = std::fs::File::options()
            .append(true)
            .create(true)
            .open(path)
            .expect("the list of skipped tests");
        writeln!(file, "test {test}: {why}").expect("the list of skipped tests");
    }
}
