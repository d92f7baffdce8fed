//! `sandbar usage`: what pipelines used of the machine, as a report.

use clap::Args;
use jiff::Timestamp;
use sandbar_control::PipelineUsage;
use serde_json::json;

use crate::cli::control::daemon::InTenant;
use crate::cli::output::{Head, Output, TextTable};
use crate::error::Result;

/// Arguments of `sandbar usage`.
#[derive(Args, Debug)]
#[command(
    after_help = "Of each pipeline, also of one that was deleted, by the hour: an hour counts if it had not ended at \
        --from, and had begun before --to. With a token of the platform and no --tenant: of all tenants.\n\n\
        -o human, json, or csv. With json and csv CPU is in milliseconds.\n\n\
        Examples:\n  sandbar usage --tenant team-a\n  \
        sandbar usage --from 2026-11-01T00:00:00Z --to 2026-12-01T00:00:00Z -o csv"
)]
pub struct UsageArgs {
    /// From this moment on, such as 2026-11-01T00:00:00Z; by default from the first on
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    from: Option<i64>,
    /// Until this moment; by default until now
    #[arg(long, value_name = "TIME", value_parser = milliseconds)]
    to: Option<i64>,
    #[command(flatten)]
    place: InTenant,
}

fn milliseconds(text: &str) -> Result<i64, String> {
    let moment = text.parse::<Timestamp>();
    moment
        .map(Timestamp::as_millisecond)
        .map_err(|_| "a moment is written as 2026-11-01T00:00:00Z".to_owned())
}

impl UsageArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect_to_all()?;
        let all = connection.usage(tenant.as_ref(), self.from, self.to)?;
        if out.is_csv() {
            return out.line(&csv(&all));
        }
        out.rows(&json!(all), &table(&all))
    }
}

fn table(all: &[PipelineUsage]) -> TextTable {
    let mut table = TextTable::new(&[
        Head::Text("tenant"),
        Head::Text("pipeline"),
        Head::Number("CPU seconds"),
        Head::Number("records in"),
        Head::Number("records out"),
        Head::Number("bytes in"),
        Head::Number("bytes out"),
        Head::Number("state byte-hours"),
    ]);
    for used in all {
        let mut cells = cells(used);
        if let Some(cpu) = cells.get_mut(2) {
            *cpu = format!("{}.{:03}", used.cpu_ms / 1000, used.cpu_ms % 1000);
        }
        table.row(cells);
    }
    table
}

/// Names have no sign that means something in CSV.
fn csv(all: &[PipelineUsage]) -> String {
    let head = "tenant,pipeline,cpu-ms,records-in,records-out,bytes-in,bytes-out,state-byte-hours";
    let lines = all.iter().map(|used| cells(used).join(","));
    [head.to_owned()]
        .into_iter()
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

fn cells(used: &PipelineUsage) -> [String; 8] {
    [
        used.tenant.to_string(),
        used.pipeline.to_string(),
        used.cpu_ms.to_string(),
        used.records_in.to_string(),
        used.records_out.to_string(),
        used.bytes_in.to_string(),
        used.bytes_out.to_string(),
        used.state_byte_hours.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_has_a_line_for_each_pipeline() {
        let used = PipelineUsage {
            tenant: "team-a".parse().unwrap(),
            pipeline: "views".parse().unwrap(),
            cpu_ms: 1234,
            records_in: 2,
            records_out: 3,
            bytes_in: 4,
            bytes_out: 5,
            state_byte_hours: 6,
        };
        let report = csv(&[used]);
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(lines[1], "team-a,views,1234,2,3,4,5,6");
        assert_eq!(lines[0].split(',').count(), lines[1].split(',').count());
        assert_eq!(milliseconds("1970-01-01T00:00:01Z"), Ok(1000));
        assert!(milliseconds("yesterday").unwrap_err().contains("2026-11-01"));
    }
}
