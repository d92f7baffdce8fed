//! The program: parse, call, print the error, exit code.

use std::process::ExitCode;

use sandbar::{cli, kill, open_files};

fn main() -> ExitCode {
    kill::arm();
    open_files::raise();
    let (verb, output) = match cli::parse(std::env::args_os()) {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    cli::log_to_stderr();
    match verb.run(&output) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            output.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}
