//! Runs a command beside a real Apache Kafka: `with-kafka COMMAND ARGUMENTS…` starts a node, gives its address to the command as
//! `SANDBAR_TEST_KAFKA`, and ends with the command's exit code. For tests that live inside the host's crate and know nothing of the harness.

use sandbar_tests::kafka::Kafka;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let Some(program) = words.next() else {
        return ExitCode::from(2);
    };
    let kafka = Kafka::start(1);
    let ended = Command::new(program)
        .args(words)
        .env("SANDBAR_TEST_KAFKA", kafka.bootstrap())
        .status();
    ended
        .ok()
        .and_then(|status| status.code())
        .map_or(ExitCode::FAILURE, |code| ExitCode::from(code as u8))
}
