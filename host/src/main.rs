//! The program: parse, call, print the error, exit code.

use std::process::ExitCode;

use sandbar::process::open_files;
use sandbar::{cli, kill};

fn main() -> ExitCode {
    kill::arm();
    open_files::raise();
    let typed = match cli::parse(std::env::args_os()) {
        Ok(typed) => typed,
        Err(code) => return code,
    };
    cli::log_to_stderr();
    let entered = if typed.is_granted { cli::enter() } else { Ok(()) };
    match entered.and_then(|()| typed.verb.run(&typed.output)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            typed.output.error(&error);
            ExitCode::from(error.kind.exit_code())
        }
    }
}
