//! What a person, or a program, sees of a run: a line for each notice, and on a terminal rates, lag, and a bar while it
//! catches up.

use std::io::{self, IsTerminal};
use std::sync::atomic::Ordering;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::output::Output;
use crate::clock;
use crate::config::{Pipeline, Target};
use crate::error::Error;
use crate::metrics::Progress;
use crate::runtime::{PassedOver, RunEvent, RunObserver, StoppedRun};
use crate::server::HttpAddress;

/// The audience of `sandbar run`.
pub(super) struct Screen {
    out: Output,
    /// A sink writes to standard output: notices go to standard error then.
    stdout_is_taken: bool,
    /// Only on a terminal.
    bar: Option<ProgressBar>,
    last: (Instant, u64, u64),
    /// The bar belongs to a restore.
    is_restoring: bool,
}

impl Screen {
    pub(super) fn new(out: Output, pipeline: &Pipeline) -> Self {
        let sinks = pipeline.sinks.iter().chain(&pipeline.dead_letters);
        let stdout_is_taken = sinks.into_iter().any(|sink| matches!(sink.target, Target::File(None)));
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
            // The template is a constant; were it wrong, the default style would do.
            if let Ok(style) = ProgressStyle::with_template("{bar:30} {msg}") {
                bar.set_style(style);
            }
            bar
        });
        Self {
            out,
            stdout_is_taken,
            bar,
            last: (clock::now(), 0, 0),
            is_restoring: false,
        }
    }

    /// Tells where `/metrics` is.
    pub(super) fn serves(&self, address: Option<&HttpAddress>) {
        if let Some(address) = address {
            let value = json!({ "event": "serving", "address": address.to_string() });
            self.tell(&value, || match address {
                HttpAddress::Tcp(address) => format!("serving http://{address}/metrics"),
                HttpAddress::Unix(_) => format!("serving {address}"),
            });
        }
    }

    fn tell(&self, value: &Value, human: impl FnOnce() -> String) {
        let tell = || {
            // Standard output that nobody reads does not end a run: its work is in Kafka.
            let _: Result<(), Error> = self.out.tell(value, human, self.stdout_is_taken);
        };
        match &self.bar {
            Some(bar) => bar.suspend(tell),
            None => tell(),
        }
    }
}

impl RunObserver for Screen {
    fn notice(&mut self, notice: &RunEvent) {
        if let RunEvent::Stopped(_) = notice
            && let Some(bar) = self.bar.take()
        {
            bar.finish_and_clear();
        }
        if let (RunEvent::Restore { done, total, .. }, Some(bar)) = (notice, &self.bar) {
            self.is_restoring = done < total;
            bar.set_length((*total).max(1));
            bar.set_position(*done);
            bar.set_message(human(notice).unwrap_or_default());
            return;
        }
        let Some(text) = human(notice) else {
            return self.out_json_only(notice);
        };
        self.tell(&serde_json::to_value(notice).unwrap_or_default(), || text);
    }

    fn tick(&mut self, progress: &Progress) {
        let Some(bar) = self.bar.as_ref().filter(|_| !self.is_restoring) else {
            return;
        };
        let (records_in, records_out) = (
            progress.records_in.load(Ordering::Relaxed),
            progress.records_out.load(Ordering::Relaxed),
        );
        let lag = progress.lag.load(Ordering::Relaxed).max(0) as u64;
        let (then, in_then, out_then) = std::mem::replace(&mut self.last, (clock::now(), records_in, records_out));
        let seconds = clock::now().duration_since(then).as_secs_f64().max(1e-3);
        let rate = |now: u64, then: u64| grouped(((now - then) as f64 / seconds) as u64);
        bar.set_length((records_in + lag).max(1));
        bar.set_position(records_in);
        bar.set_message(format!(
            "in {} ({}/s)  out {} ({}/s)  lag {}",
            grouped(records_in),
            rate(records_in, in_then),
            grouped(records_out),
            rate(records_out, out_then),
            grouped(lag)
        ));
    }
}

impl Screen {
    /// Routine that would only fill a person's screen: commits.
    fn out_json_only(&self, notice: &RunEvent) {
        if self.out.is_json() {
            self.tell(&serde_json::to_value(notice).unwrap_or_default(), String::new);
        }
    }
}

/// A notice as a line for a person, `None` for routine.
fn human(notice: &RunEvent) -> Option<String> {
    Some(match notice {
        RunEvent::Start {
            topic,
            partition,
            from,
            origin,
            stop,
            passed_over,
            ..
        } => {
            let until = stop.map(|stop| format!("  until {stop}")).unwrap_or_default();
            let not_used = passed_over.as_ref().map(not_used).unwrap_or_default();
            format!("{topic}/{partition}  from {from}  {origin}{until}{not_used}")
        }
        RunEvent::AfterCrash { source, meaning } => format!("source `{source}`: {meaning}"),
        RunEvent::Rebalance {
            worker,
            assigned,
            revoked,
            lost,
        } => {
            let part = |name: &str, list: &[String]| {
                if list.is_empty() {
                    String::new()
                } else {
                    format!("  {name} {}", list.join(" "))
                }
            };
            let parts = part("got", assigned) + &part("gave up", revoked) + &part("lost", lost);
            format!(
                "worker {worker}:{}",
                if parts.is_empty() {
                    "  keeps what it has"
                } else {
                    &parts
                }
            )
        }
        RunEvent::Restore {
            task,
            done,
            total,
            seconds,
        } => {
            let mebibytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
            let (done, total) = (mebibytes(*done), mebibytes(*total));
            let rate = done / seconds.max(1e-3);
            format!("{task}: state restored, {done:.0} of {total:.0} MiB, {rate:.0} MiB/s")
        }
        RunEvent::Checkpoint { .. } => return None,
        RunEvent::CommitFailed { worker, reason } => {
            format!("worker {worker}: a commit failed, the next one supersedes it: {reason}")
        }
        RunEvent::Disconnected { reason } => format!("waiting for Kafka: {reason}"),
        RunEvent::Connected => "Kafka is back".to_owned(),
        RunEvent::Stopped(stopped) => ended(stopped),
    })
}

/// How a run ended, as a line for a person.
pub(super) fn ended(stopped: &StoppedRun) -> String {
    let StoppedRun {
        reason,
        records_in,
        records_out,
        seconds,
    } = stopped;
    format!(
        "{}: {} records in, {} out, {seconds:.1} s, {} records/s",
        if reason == "signal" { "stopped" } else { reason.as_str() },
        grouped(*records_in),
        grouped(*records_out),
        grouped((*records_in as f64 / seconds.max(1e-3)) as u64)
    )
}

/// What a fixed start passes over.
fn not_used(PassedOver { offset, used_by }: &PassedOver) -> String {
    format!("  (the group holds {offset}, which somebody else committed; {used_by} begins there)")
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::OutputFormat;

    #[test]
    fn a_start_reads_as_the_contract_says() {
        let start = |stop| RunEvent::Start {
            source: "views".into(),
            topic: "views".into(),
            partition: 3,
            from: 4711,
            origin: "committed".into(),
            stop,
            passed_over: None,
        };
        assert_eq!(human(&start(None)).unwrap(), "views/3  from 4711  committed");
        assert_eq!(
            human(&start(Some(9000))).unwrap(),
            "views/3  from 4711  committed  until 9000"
        );
    }

    #[test]
    fn an_offset_that_is_passed_over_is_told_with_what_would_use_it() {
        let start = RunEvent::Start {
            source: "views".into(),
            topic: "views".into(),
            partition: 3,
            from: 0,
            origin: "earliest".into(),
            stop: None,
            passed_over: Some(PassedOver {
                offset: 4711,
                used_by: "start = \"group-offsets\"".into(),
            }),
        };
        assert_eq!(
            human(&start).unwrap(),
            "views/3  from 0  earliest  (the group holds 4711, which somebody else committed; start = \
             \"group-offsets\" begins there)"
        );
    }

    #[test]
    fn a_long_restore_says_how_far_it_is() {
        let notice = RunEvent::Restore {
            task: "views/3".into(),
            done: 512 << 20,
            total: 1 << 30,
            seconds: 4.0,
        };
        assert_eq!(
            human(&notice).unwrap(),
            "views/3: state restored, 512 of 1024 MiB, 128 MiB/s"
        );
    }

    #[test]
    fn the_bar_stays_until_the_run_stops_and_shows_a_restore() {
        let restore = |done| RunEvent::Restore {
            task: "views/3".into(),
            done,
            total: 100,
            seconds: 1.0,
        };
        let mut screen = Screen {
            out: Output::new(OutputFormat::Human),
            stdout_is_taken: true,
            bar: Some(ProgressBar::hidden()),
            last: (clock::now(), 0, 0),
            is_restoring: false,
        };
        let position = |screen: &Screen| screen.bar.as_ref().map(|bar| (bar.position(), bar.length()));
        screen.notice(&RunEvent::Connected);
        screen.notice(&restore(40));
        assert_eq!(position(&screen), Some((40, Some(100))));
        // Records do not move it meanwhile.
        screen.tick(&Progress::default());
        assert_eq!(position(&screen), Some((40, Some(100))));
        screen.notice(&restore(100));
        screen.tick(&Progress::default());
        assert_eq!(position(&screen), Some((0, Some(1))));
        screen.notice(&RunEvent::Stopped(StoppedRun {
            reason: "finished".into(),
            records_in: 0,
            records_out: 0,
            seconds: 1.0,
        }));
        assert_eq!(position(&screen), None);
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(
            [0, 999, 1000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
