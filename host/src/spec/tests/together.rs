//! "What goes together", over all combinations.

use crate::config;

use super::parse;

/// `[checkpoint]`, delivery, offsets, commit-offsets → delivery, truth and commits of the checked settings.
type Row = (
    bool,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    config::Delivery,
    config::Truth,
    config::CommitOffsets,
);

/// The table of the contract.
fn accepted() -> Vec<Row> {
    use config::CommitOffsets::{Never, OnCheckpoint, Periodic};
    use config::Delivery::{AtLeastOnce, ExactlyOnce, None as Nothing};
    use config::Truth::{Checkpoint, Group};
    let mut rows = Vec::new();
    for group in [None, Some("group")] {
        for wanted in [None, Some("on-checkpoint")] {
            for exactly in [None, Some("exactly-once")] {
                rows.push((true, exactly, group, wanted, ExactlyOnce, Group, OnCheckpoint));
            }
            rows.push((
                true,
                Some("at-least-once"),
                group,
                wanted,
                AtLeastOnce,
                Group,
                OnCheckpoint,
            ));
        }
        for delivery in [None, Some("none")] {
            for (wanted, commits) in [(None, Periodic), (Some("periodic"), Periodic), (Some("never"), Never)] {
                rows.push((false, delivery, group, wanted, Nothing, Group, commits));
            }
        }
    }
    for (wanted, commits) in [
        (None, OnCheckpoint),
        (Some("on-checkpoint"), OnCheckpoint),
        (Some("never"), Never),
    ] {
        rows.push((
            true,
            Some("at-least-once"),
            Some("checkpoint"),
            wanted,
            AtLeastOnce,
            Checkpoint,
            commits,
        ));
    }
    rows
}

fn file(checkpoint: bool, delivery: Option<&str>, offsets: Option<&str>, commit: Option<&str>) -> String {
    let key = |key: &str, value: Option<&str>| value.map(|value| format!("{key} = \"{value}\"\n")).unwrap_or_default();
    format!(
        "name = \"p\"\n{}[kafka]\nbrokers = \"b:1\"\n[source.a]\ntopics = [\"t\"]\n{}{}[sink.o]\nfrom = [\"a\"]\n\
         topic = \"o\"\n{}",
        key("delivery", delivery),
        key("offsets", offsets),
        key("commit-offsets", commit),
        if checkpoint { "[checkpoint]\n" } else { "" }
    )
}

#[test]
fn the_table_of_what_goes_together_holds_for_every_combination() {
    let deliveries = [None, Some("exactly-once"), Some("at-least-once"), Some("none")];
    let offsets = [None, Some("group"), Some("checkpoint")];
    let commits = [None, Some("on-checkpoint"), Some("periodic"), Some("never")];
    let (mut seen, rows) = (0, accepted());
    for checkpoint in [false, true] {
        for delivery in deliveries {
            for offsets in offsets {
                for commit in commits {
                    let combination = (checkpoint, delivery, offsets, commit);
                    let expected = rows.iter().find(|row| (row.0, row.1, row.2, row.3) == combination);
                    seen += usize::from(expected.is_some());
                    match (parse(&file(checkpoint, delivery, offsets, commit), &[]), expected) {
                        (Ok(pipeline), Some(row)) => {
                            let config::Source::Kafka(source) = &pipeline.sources[0] else {
                                panic!()
                            };
                            assert_eq!(
                                (pipeline.delivery, source.truth, source.commit_offsets),
                                (row.4, row.5, row.6),
                                "{combination:?}"
                            );
                            assert_eq!(pipeline.checkpoint.is_some(), checkpoint);
                        }
                        (Err(error), None) => {
                            assert_eq!(error.kind.exit_code(), 3, "{combination:?}");
                            assert!(
                                error.hint.is_some() && !error.why.is_empty(),
                                "{combination:?}: {error}"
                            );
                        }
                        (Ok(_), None) => panic!("accepted: {combination:?}"),
                        (Err(error), Some(_)) => panic!("{combination:?}: {error}"),
                    }
                }
            }
        }
    }
    assert_eq!(seen, rows.len());
}
