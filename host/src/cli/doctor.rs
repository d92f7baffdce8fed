//! `sandbar doctor`: what this machine has for Sandbar, and what it lacks.

use clap::Args;
use serde_json::{Value, json};

use super::output::Output;
use crate::error::Result;
use crate::process::isolation::{self, Wall};
use crate::process::open_files;

/// Open files below which a pipeline with many partitions comes to its limit.
const FEW_FILES: u64 = 4096;

/// Arguments of `sandbar doctor`.
#[derive(Args, Debug)]
#[command(
    after_help = "What is lacking is named with what it needs. The walls are those that `sandbar serve` builds around \
        the process of each pipeline.\n\nExample:\n  sandbar doctor"
)]
pub struct Doctor {}

/// Something that the machine has, or lacks.
struct Finding {
    name: String,
    is_good: bool,
    says: String,
}

impl Doctor {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        let Self {} = self;
        let lacking = isolation::lacking();
        let mut found: Vec<_> = isolation::WALLS.iter().map(|wall| of_wall(*wall, &lacking)).collect();
        found.push(of_files());
        let values = found
            .iter()
            .map(|found| json!({ "name": found.name, "ok": found.is_good, "says": found.says }));
        let value = json!({ "ok": found.iter().all(|found| found.is_good), "found": Value::Array(values.collect()) });
        out.show(&value, || {
            let line = |found: &Finding| {
                let word = if found.is_good { "ok" } else { "lacking" };
                format!("{word:<8} {}: {}\n", found.name, found.says)
            };
            found.iter().map(line).collect()
        })
    }
}

fn of_wall(wall: Wall, lacking: &[Wall]) -> Finding {
    let is_good = !lacking.contains(&wall);
    Finding {
        name: format!("wall around {}", wall.name()),
        is_good,
        says: match is_good {
            true => wall.needs().to_owned(),
            false => format!("it needs {}", wall.needs()),
        },
    }
}

fn of_files() -> Finding {
    let limit = open_files::limit();
    Finding {
        name: "open files".to_owned(),
        is_good: limit >= FEW_FILES,
        says: match limit >= FEW_FILES {
            true => format!("{limit} a process"),
            false => format!("{limit} a process; {FEW_FILES} or more are well (ulimit -n)"),
        },
    }
}
