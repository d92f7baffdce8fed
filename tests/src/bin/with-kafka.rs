//! `with-kafka COMMAND ARGS…`: runs a command beside a fresh Apache Kafka, whose address stands in `SANDBAR_TEST_KAFKA`
//! (and in `SANDBAR_TEST_KAFKA_SASL` that of the listener which asks for a password, in `SANDBAR_TEST_KAFKA_PID` its
//! process). Ends with the command's exit code.

use sandbar_tests::kafka::Kafka;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let command = arguments.next().expect("a command");
    let kafka = Kafka::start(1);
    let status = Command::new(command)
        .args(arguments)
        .env("SANDBAR_TEST_KAFKA", kafka.bootstrap())
        .env("SANDBAR_TEST_KAFKA_SASL", kafka.sasl_bootstrap())
        .env("SANDBAR_TEST_KAFKA_PID", kafka.pids()[0].to_string())
        .status()
        .expect("the command starts");
    ExitCode::from(u8::try_from(status.code().unwrap_or(1)).unwrap_or(1))
}
