//! What a canary came to, as a person reads it at once; and the decision about it.

use std::thread::sleep;
use std::time::Duration;

use sandbar_control::client::Connection;
use sandbar_control::{CanaryReport, CanaryRun, KeyDifference, KeyFate, Name, PipelineUpgrade, UpgradePhase};
use serde_json::json;

use crate::cli::control::daemon::plain;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::{Error, Kind, Result};

/// From one look at a canary to the next.
const LOOK: Duration = Duration::from_secs(1);
/// Cells of the bar.
const BAR: usize = 30;
/// Letters of an output that are shown.
const SHOWN: usize = 110;

/// Waits until the versions are compared, and tells what came of it.
///
/// # Errors
/// `Different`: somebody has to decide. `Failed`: the version was dropped. As the daemon says.
pub(super) fn follow(connection: &Connection, (tenant, name): (&Name, &Name), out: &Output) -> Result<()> {
    let upgrade = loop {
        let upgrade = connection.newest_upgrade(tenant, name)?;
        if upgrade.phase != UpgradePhase::Canary {
            break upgrade;
        }
        sleep(LOOK);
    };
    tell(&upgrade, out)?;
    let what = format!("version {} of {name} is not started", upgrade.to_version);
    let reason = upgrade.history.iter().rev().find(|entry| entry.phase == upgrade.phase);
    let why = reason.map(|entry| plain(&entry.why)).unwrap_or_default();
    match upgrade.phase {
        UpgradePhase::Compared => Err(Error::new(Kind::Different, what, why).hint(format!(
            "`sandbar upgrade {name} --promote` starts it all the same, --drop does not; after an hour it is dropped"
        ))),
        UpgradePhase::Dropped | UpgradePhase::Overtaken => Err(Error::new(Kind::Failed, what, why)),
        _ => Ok(()),
    }
}

/// Tells how far an upgrade is, with its report.
pub(super) fn tell(upgrade: &PipelineUpgrade, out: &Output) -> Result<()> {
    out.show(&json!(upgrade), || sentences(upgrade))
}

fn sentences(upgrade: &PipelineUpgrade) -> String {
    let (old, new) = (upgrade.from_version, upgrade.to_version);
    let state = match upgrade.phase {
        UpgradePhase::Canary => format!("version {new} is compared with version {old}"),
        UpgradePhase::Compared => format!("version {new} waits for --promote or --drop, and version {old} runs"),
        UpgradePhase::Dropped => format!("version {new} was dropped, and version {old} runs"),
        UpgradePhase::Overtaken => format!("version {new} was dropped: something newer was asked for"),
        UpgradePhase::TakenBack => format!("version {new} was taken back"),
        UpgradePhase::Swapping | UpgradePhase::Watched | UpgradePhase::Done => {
            format!("version {new} takes over from version {old}")
        }
    };
    match upgrade.canary.as_ref().and_then(|canary| canary.report.as_ref()) {
        Some(report) => format!("{}\n{state}", report_lines(report, (old, new)).join("\n")),
        None => state,
    }
}

fn report_lines(report: &CanaryReport, (old, new): (i64, i64)) -> Vec<String> {
    let mut lines = vec![bar(report)];
    if report.one_of > 1 {
        lines.push(format!("one key of {} was compared: there are too many", report.one_of));
    }
    let counts = [
        (report.differing, "keys that differ".to_owned()),
        (report.only_old, format!("keys only in version {old}")),
        (report.only_new, format!("keys only in version {new}")),
    ];
    let told = counts.iter().filter(|(count, _)| *count > 0);
    lines.extend(told.map(|(count, what)| format!("{what}: {}", grouped(*count))));
    let mut table = TextTable::new(&[
        Head::Text("version"),
        Head::Number("records"),
        Head::Number("outputs"),
        Head::Number("dead letters"),
        Head::Number("cpu s"),
        Head::Number("time s"),
    ]);
    for (version, run) in [(old, &report.old), (new, &report.new)] {
        table.row(cells(version, run));
    }
    lines.push(table.plain().trim_end().to_owned());
    lines.extend(report.shown.iter().flat_map(|one| difference(one, (old, new))));
    lines
}

fn cells(version: i64, run: &CanaryRun) -> [String; 6] {
    let seconds = |ms: u64| format!("{}.{}", ms / 1000, ms % 1000 / 100);
    [
        version.to_string(),
        grouped(run.records),
        grouped(run.outputs),
        grouped(run.dead_letters),
        seconds(run.cpu_ms),
        seconds(run.wall_ms),
    ]
}

fn bar(report: &CanaryReport) -> String {
    let thousandths = (report.same.saturating_mul(1000))
        .checked_div(report.keys)
        .unwrap_or(1000);
    let full = usize::try_from(thousandths).unwrap_or_default() * BAR / 1000;
    // Nearly all is not all.
    let full = full.min(if report.same == report.keys { BAR } else { BAR - 1 });
    format!(
        "{}{} {}.{} % of {} keys the same",
        "█".repeat(full),
        "░".repeat(BAR - full),
        thousandths / 10,
        thousandths % 10,
        grouped(report.keys)
    )
}

fn difference(one: &KeyDifference, (old, new): (i64, i64)) -> Vec<String> {
    let fate = match one.fate {
        KeyFate::Differs => format!("output {} of the key differs", one.output),
        KeyFate::OnlyOld => format!("only in version {old}"),
        KeyFate::OnlyNew => format!("only in version {new}"),
    };
    let line = |sign: char, output: &Option<String>| {
        let text: String = plain(output.as_ref()?).chars().take(SHOWN).collect();
        Some(format!("  {sign} {text}"))
    };
    let key: String = plain(&one.key).chars().take(SHOWN).collect();
    let head = format!("{} {key}: {fate}", plain(&one.sink));
    [Some(head), line('-', &one.old), line('+', &one.new)]
        .into_iter()
        .flatten()
        .collect()
}

/// 12,300
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read_at_once() {
        let run = |outputs, cpu_ms| CanaryRun {
            records: 40_000,
            outputs,
            dead_letters: 0,
            cpu_ms,
            wall_ms: 2340,
        };
        let report = CanaryReport {
            keys: 12_300,
            same: 12_079,
            differing: 220,
            only_old: 1,
            only_new: 0,
            one_of: 1,
            shown: vec![KeyDifference {
                sink: "out".to_owned(),
                key: "\"user\u{1b}7\"".to_owned(),
                fate: KeyFate::Differs,
                output: 3,
                old: Some("{\"value\":1}".to_owned()),
                new: Some("{\"value\":2}".to_owned()),
            }],
            old: run(40_000, 1990),
            new: run(39_999, 50),
        };
        let said = report_lines(&report, (3, 4)).join("\n");
        assert_eq!(
            said,
            "█████████████████████████████░ 98.2 % of 12,300 keys the same\nkeys that differ: 220\n\
             keys only in version 3: 1\n\
             version  records  outputs  dead letters  cpu s  time s\n\
             3         40,000   40,000             0    1.9     2.3\n\
             4         40,000   39,999             0    0.0     2.3\n\
             out \"user 7\": output 3 of the key differs\n  - {\"value\":1}\n  + {\"value\":2}"
        );
        let nothing = bar(&CanaryReport::default());
        assert!(nothing.ends_with("100.0 % of 0 keys the same"), "{nothing}");
        let nearly = CanaryReport {
            keys: 1_000_000,
            same: 999_999,
            ..CanaryReport::default()
        };
        assert!(bar(&nearly).contains("░ 99.9 %"), "{}", bar(&nearly));
    }

    #[test]
    fn numbers_stand_in_groups_of_three() {
        let all = [0, 999, 1000, 1_234_567].map(grouped);
        assert_eq!(all, ["0", "999", "1,000", "1,234,567"]);
    }
}
