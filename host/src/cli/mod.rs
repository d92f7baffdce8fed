//! The command line: a file per verb, in the order in which a person meets them.
//!
//! Owns arguments, help texts, tables, JSON on the screen, signals and exit codes. Never decides anything about records
//! or positions: a verb calls a station or the pipeline and prints what it said. Always: standard output carries
//! results and nothing else, errors and logs go to standard error, and a broken pipe on standard output ends the
//! program quietly.

mod args;
mod output;
mod signals;
mod screen;
mod cluster;
mod granted;

mod new;
mod build;
mod dev;
mod run;
mod check;
mod inspect;
mod offsets;
mod checkpoint;
mod savepoint;
mod state;
mod dead_letters;
mod stop;
mod test;
mod bench;
mod broker;
mod topics;
mod produce;
mod consume;
mod serve;
mod control;
mod schema;
mod completion;
mod doctor;

pub use args::{ParsedLine, Verb, log_to_stderr, parse};
pub use granted::enter;
pub use output::Output;
