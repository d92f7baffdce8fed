//! "What goes together", over all combinations.

use crate::config;

use super::parse;

/// `[checkpoint]`, delivery, offsets, commit-offsets → delivery and commits of the checked settings.
type Row = (
    bool,
    Option<&'static str>,
    Option<&'static str>,
    Option<&'static str>,
    config::Delivery,
    config::CommitOffsets,
);

/// The table of the contract, less what is not built.
const ACCEPTED: &[Row] = {
    use config::CommitOffsets::{Never, OnCheckpoint, Periodic};
    use config::Delivery::{AtLeastOnce, None as Nothing};
    const AT_LEAST_ONCE: Option<&str> = Some("at-least-once");
    const NONE: Option<&str> = Some("none");
    const GROUP: Option<&str> = Some("group");
    &[
        (true, AT_LEAST_ONCE, None, None, AtLeastOnce, OnCheckpoint),
        (
            true,
            AT_LEAST_ONCE,
            None,
            Some("on-checkpoint"),
            AtLeastOnce,
            OnCheckpoint,
        ),
        (true, AT_LEAST_ONCE, GROUP, None, AtLeastOnce, OnCheckpoint),
        (
            true,
            AT_LEAST_ONCE,
            GROUP,
            Some("on-checkpoint"),
            AtLeastOnce,
            OnCheckpoint,
        ),
        (false, None, None, None, Nothing, Periodic),
        (false, None, None, Some("periodic"), Nothing, Periodic),
        (false, None, None, Some("never"), Nothing, Never),
        (false, None, GROUP, None, Nothing, Periodic),
        (false, None, GROUP, Some("periodic"), Nothing, Periodic),
        (false, None, GROUP, Some("never"), Nothing, Never),
        (false, NONE, None, None, Nothing, Periodic),
        (false, NONE, None, Some("periodic"), Nothing, Periodic),
        (false, NONE, None, Some("never"), Nothing, Never),
        (false, NONE, GROUP, None, Nothing, Periodic),
        (false, NONE, GROUP, Some("periodic"), Nothing, Periodic),
        (false, NONE, GROUP, Some("never"), Nothing, Never),
    ]
};

fn file(checkpoint: bool, delivery: Option<&str>, offsets: Option<&str>, commit: Option<&str>) -> String {
    let key = |key: &str, value: Option<&str>| value.map(|value| format!("{key} = \"{value}\"\n")).unwrap_or_default();
    format!(
        "name = \"p\"\n{}[kafka]\nbrokers = \"b:1\"\n[source.a]\ntopics = [\"t\"]\n{}{}[sink.o]\nfrom = [\"a\"]\ntopic = \"o\"\n{}",
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
    let mut seen = 0;
    for checkpoint in [false, true] {
        for delivery in deliveries {
            for offsets in offsets {
                for commit in commits {
                    let combination = (checkpoint, delivery, offsets, commit);
                    let expected = ACCEPTED.iter().find(|row| (row.0, row.1, row.2, row.3) == combination);
                    seen += usize::from(expected.is_some());
                    match (parse(&file(checkpoint, delivery, offsets, commit), &[]), expected) {
                        (Ok(pipeline), Some(row)) => {
                            let config::Source::Kafka(source) = &pipeline.sources[0] else {
                                panic!()
                            };
                            assert_eq!(
                                (pipeline.delivery, source.commit_offsets),
                                (row.4, row.5),
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
    assert_eq!(seen, ACCEPTED.len());
}
