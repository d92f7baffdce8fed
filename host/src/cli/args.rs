//! What a person may type: the verbs, and the flags that every verb has.

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};

use super::output::{Output, OutputFormat};
use super::{
    bench, broker, build, check, checkpoint, completion, consume, control, dead_letters, dev, doctor, inspect, new,
    offsets, produce, run, savepoint, schema, serve, state, stop, test, topics,
};
use crate::error::{Error, Kind, Result};

/// A stream processor for Apache Kafka whose user logic runs as sandboxed WebAssembly components.
#[derive(Parser, Debug)]
#[command(name = "sandbar", version, after_help = "Example:\n  sandbar run pipeline.toml")]
pub(super) struct CommandLine {
    /// How results and errors are printed
    #[arg(short = 'o', long, global = true, value_enum, default_value_t, value_name = "FORMAT")]
    output: OutputFormat,
    /// What the daemon grants stands in standard input; for the processes that `sandbar serve` starts
    #[arg(long, global = true, hide = true)]
    granted: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// What a person typed, understood.
#[derive(Debug)]
pub struct ParsedLine {
    /// What to do.
    pub verb: Verb,
    /// Where its results go.
    pub output: Output,
    /// Whether this process was started by a daemon, and has what it was granted.
    pub is_granted: bool,
}

/// What to do.
#[derive(Subcommand, Debug)]
pub enum Verb {
    /// Make a project for a plugin, in the language of your choice
    New(new::New),
    /// Build the component of a plugin
    Build(build::Build),
    /// Run a pipeline on a broker of its own, and again with each change of its plugins
    Dev(dev::Dev),
    /// Run a pipeline in the foreground
    Run(run::RunArgs),
    /// Find out everything that can be known before a pipeline runs
    Check(check::Check),
    /// Run the cases of a plugin or a pipeline, without Kafka
    Test(test::TestArgs),
    /// Show what a plugin exports, imports, declares and would be granted
    Inspect(inspect::Inspect),
    /// Measure what a plugin costs, without Kafka
    Bench(bench::BenchArgs),
    /// Show, set or export the positions of a pipeline's sources
    Offsets(offsets::OffsetsArgs),
    /// List, show and verify what the checkpoint store of a pipeline holds
    Checkpoint(checkpoint::CheckpointArgs),
    /// Create, list or delete savepoints of a pipeline
    Savepoint(savepoint::SavepointArgs),
    /// Get, scan or count what the operators of a pipeline keep
    State(state::StateArgs),
    /// List and show what went wrong, and send it through again
    DeadLetters(dead_letters::DeadLettersArgs),
    /// Stop a running pipeline, here or of a daemon, and close what is open or take a savepoint on the way
    Stop(stop::StopArgs),
    /// Run the embedded broker, a small Kafka for development
    Broker(broker::BrokerArgs),
    /// Create, list or delete topics
    Topics(topics::Topics),
    /// Send records, one JSON object a line
    Produce(produce::Produce),
    /// Print the records of a topic, one JSON object a line
    Consume(consume::Consume),
    /// Run the daemon that keeps the pipelines of many tenants, a process each
    Serve(serve::Serve),
    /// Add a daemon, choose which one is asked, or list them
    Context(control::ContextArgs),
    /// Log in at the issuer of a context, by a code in the browser
    Login(control::LoginArgs),
    /// Create, list or delete tenants of a daemon, and say which topics they have
    Tenant(control::TenantArgs),
    /// Create, list or revoke tokens of a daemon
    Token(control::TokenArgs),
    /// Keep, list or delete the secrets of a tenant
    Secret(control::SecretArgs),
    /// Keep, list or delete the clusters that a tenant's pipelines refer to
    Cluster(control::TenantClusterArgs),
    /// Show or set how much a tenant may use
    Quota(control::QuotaArgs),
    /// Report what pipelines of a daemon used
    Usage(control::UsageArgs),
    /// Push plugins to a daemon, or list those that it has
    Plugin(control::PluginArgs),
    /// Make a pipeline of a daemon what a file says
    Apply(control::ApplyArgs),
    /// List the pipelines of a daemon, and what they do
    List(control::ListArgs),
    /// Show what a pipeline of a daemon does
    Status(control::StatusArgs),
    /// Print what a pipeline of a daemon logs
    Logs(control::LogsArgs),
    /// Print all that helps to find out what is wrong with a pipeline of a daemon
    Support(control::SupportArgs),
    /// End the process of a pipeline of a daemon until it is resumed
    Pause(control::PauseArgs),
    /// Let a pipeline of a daemon run on
    Resume(control::ResumeArgs),
    /// Give a pipeline of a daemon new plugins or a new file, with a way back
    Upgrade(control::UpgradeArgs),
    /// Go back to the version before
    Rollback(control::RollbackArgs),
    /// Stop a pipeline of a daemon and delete what is kept of it
    Delete(control::DeleteArgs),
    /// Say what this machine has for Sandbar, and what it lacks
    Doctor(doctor::Doctor),
    /// Print the JSON schema of a file that a person writes
    Schema(schema::SchemaArgs),
    /// Print the completion script of a shell
    Completion(completion::Completion),
}

impl Verb {
    /// Does it.
    pub fn run(self, out: &Output) -> Result<()> {
        match self {
            Verb::New(verb) => verb.run(out),
            Verb::Build(verb) => verb.run(out),
            Verb::Dev(verb) => verb.run(out),
            Verb::Run(verb) => verb.run(out),
            Verb::Check(verb) => verb.run(out),
            Verb::Test(verb) => verb.run(out),
            Verb::Inspect(verb) => verb.run(out),
            Verb::Bench(verb) => verb.run(out),
            Verb::Offsets(verb) => verb.run(out),
            Verb::Checkpoint(verb) => verb.run(out),
            Verb::Savepoint(verb) => verb.run(out),
            Verb::State(verb) => verb.run(out),
            Verb::DeadLetters(verb) => verb.run(out),
            Verb::Stop(verb) => verb.run(out),
            Verb::Broker(verb) => verb.run(out),
            Verb::Topics(verb) => verb.run(out),
            Verb::Produce(verb) => verb.run(out),
            Verb::Consume(verb) => verb.run(out),
            Verb::Serve(verb) => verb.run(out),
            Verb::Context(verb) => verb.run(out),
            Verb::Login(verb) => verb.run(out),
            Verb::Tenant(verb) => verb.run(out),
            Verb::Token(verb) => verb.run(out),
            Verb::Secret(verb) => verb.run(out),
            Verb::Cluster(verb) => verb.run(out),
            Verb::Quota(verb) => verb.run(out),
            Verb::Usage(verb) => verb.run(out),
            Verb::Plugin(verb) => verb.run(out),
            Verb::Apply(verb) => verb.run(out),
            Verb::List(verb) => verb.run(out),
            Verb::Status(verb) => verb.run(out),
            Verb::Logs(verb) => verb.run(out),
            Verb::Support(verb) => verb.run(out),
            Verb::Pause(verb) => verb.run(out),
            Verb::Resume(verb) => verb.run(out),
            Verb::Upgrade(verb) => verb.run(out),
            Verb::Rollback(verb) => verb.run(out),
            Verb::Delete(verb) => verb.run(out),
            Verb::Doctor(verb) => verb.run(out),
            Verb::Schema(verb) => verb.run(out),
            Verb::Completion(verb) => verb.run(out),
        }
    }
}

/// What was typed. The exit code if there is nothing to run: help was asked for, or the line is wrong.
pub fn parse(words: impl Iterator<Item = OsString>) -> Result<ParsedLine, ExitCode> {
    let words: Vec<OsString> = words.collect();
    let line = CommandLine::try_parse_from(&words).map_err(|error| explain(&error, asks_for_json(&words)))?;
    if line.output == OutputFormat::Junit && !matches!(line.verb, Verb::Test(_)) {
        let error = Error::new(
            Kind::Usage,
            "`-o junit` is for `sandbar test` alone",
            "others know human and json",
        );
        Output::new(OutputFormat::Human).error(&error);
        return Err(ExitCode::from(Kind::Usage.exit_code()));
    }
    if line.output == OutputFormat::Csv && !matches!(line.verb, Verb::Usage(_)) {
        let why = "others know human and json";
        Output::new(OutputFormat::Human).error(&Error::new(Kind::Usage, "`-o csv` is for `sandbar usage` alone", why));
        return Err(ExitCode::from(Kind::Usage.exit_code()));
    }
    Ok(ParsedLine {
        verb: line.verb,
        output: Output::new(line.output),
        is_granted: line.granted,
    })
}

/// Sends logs to standard error: warnings, or what the variable `SANDBAR_LOG` says (`info`, `sandbar::source=debug`).
pub fn log_to_stderr() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("SANDBAR_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| SetIn(std::io::stderr()))
        .with_ansi(false)
        .init();
}

/// Takes the log an event at a time. What follows an event's first line is set in: it may be a plugin's text, which
/// else could pass for an event of a run or for a line of the host's log.
struct SetIn<W>(W);

impl<W: Write> Write for SetIn<W> {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let lines = event.strip_suffix(b"\n").unwrap_or(event).split(|byte| *byte == b'\n');
        let mut set_in = lines.collect::<Vec<_>>().join(&b"\n    | "[..]);
        set_in.push(b'\n');
        self.0.write_all(&set_in)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

fn explain(error: &clap::Error, json: bool) -> ExitCode {
    let told = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if json && !told {
        Output::new(OutputFormat::Json).error(&usage(error));
    } else {
        // A reader of help that went away is no error.
        let _ = error.print();
    }
    if told {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Kind::Usage.exit_code())
    }
}

fn usage(error: &clap::Error) -> Error {
    let text = error.to_string();
    let said = text
        .lines()
        .map(str::trim)
        .take_while(|line| !line.starts_with("Usage:"));
    let mut lines = said.filter(|line| !line.is_empty() && !line.starts_with("For more information"));
    let what = lines
        .next()
        .unwrap_or("the command line is wrong")
        .trim_start_matches("error: ")
        .to_owned();
    Error::new(Kind::Usage, what, lines.collect::<Vec<_>>().join("\n")).hint("sandbar --help")
}

/// Whether the words ask for JSON, if they are too wrong to be parsed.
fn asks_for_json(words: &[OsString]) -> bool {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let apart = words
        .windows(2)
        .any(|pair| matches!(&*pair[0], "-o" | "--output") && pair[1] == "json");
    apart
        || words
            .iter()
            .any(|word| matches!(&**word, "-ojson" | "-o=json" | "--output=json"))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn each_command(command: &clap::Command, seen: &mut impl FnMut(&clap::Command)) {
        seen(command);
        for inner in command.get_subcommands().filter(|inner| inner.get_name() != "help") {
            each_command(inner, seen);
        }
    }

    fn parsed(words: &[&str]) -> Result<CommandLine, clap::Error> {
        CommandLine::try_parse_from(words)
    }

    #[test]
    fn the_command_line_holds_together() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn the_help_of_every_verb_has_an_example() {
        let mut verbs = 0;
        each_command(&CommandLine::command(), &mut |command| {
            let help = command.clone().render_help().to_string();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
            assert!(
                help.contains("sandbar "),
                "the example of {} is no command",
                command.get_name()
            );
            verbs += 1;
        });
        assert!(verbs >= 50, "only {verbs} commands were looked at");
    }

    #[test]
    fn every_example_parses() {
        each_command(&CommandLine::command(), &mut |command| {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            for example in help.lines().map(str::trim).filter(|line| line.starts_with("sandbar ")) {
                // What stands behind a pipe or a redirection is the shell's.
                let words: Vec<&str> = example
                    .split_whitespace()
                    .take_while(|word| !["|", ">", "<", "&"].contains(word))
                    .collect();
                assert!(parsed(&words).is_ok(), "the example `{example}` does not parse");
            }
        });
    }

    #[test]
    fn flags_other_than_output_help_and_follow_are_spelled_out() {
        each_command(&CommandLine::command(), &mut |command| {
            for short in command.get_arguments().filter_map(clap::Arg::get_short) {
                // `logs -f` is what fingers type.
                let is_known = short == 'o' || (command.get_name(), short) == ("logs", 'f');
                assert!(is_known, "{} has a short flag", command.get_name());
            }
        });
    }

    #[test]
    fn the_output_format_stands_anywhere() {
        for words in [
            &["sandbar", "-o", "json", "topics", "list"][..],
            &["sandbar", "topics", "list", "-o", "json"],
            &["sandbar", "topics", "-o=json", "list"],
            &["sandbar", "topics", "list", "--output=json"],
        ] {
            assert_eq!(parsed(words).unwrap().output, OutputFormat::Json);
            assert!(asks_for_json(&words.iter().map(OsString::from).collect::<Vec<_>>()));
        }
    }

    #[test]
    fn no_line_of_an_event_of_the_log_but_its_first_begins_where_lines_begin() {
        let mut log = Vec::new();
        let forged = "WARN op: said\n{\"event\":\"stopped\",\"reason\":\"finished\"}\n";
        SetIn(&mut log).write_all(forged.as_bytes()).unwrap();
        SetIn(&mut log).write_all(b"INFO one line\n").unwrap();
        let log = String::from_utf8(log).unwrap();
        assert_eq!(
            log,
            "WARN op: said\n    | {\"event\":\"stopped\",\"reason\":\"finished\"}\nINFO one line\n"
        );
    }

    #[test]
    fn a_verb_that_is_not_built_is_a_usage_error() {
        let error = parsed(&["sandbar", "topcs", "list"]).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        let told = usage(&error);
        assert!(told.what.contains("topcs"), "{told}");
        assert!(told.why.contains("topics"), "{told}");
    }
}
