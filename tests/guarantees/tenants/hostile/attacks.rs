//! The forty hostile plugins of the notes on reliability, by their numbers there; several have more than one form.
//!
//! Each row says what the plugin is, and what has to come of it: a refusal with a sentence before anything runs, or a
//! state with a reason, and what of the tenant's own records is put out.

use std::ops::RangeInclusive;
use std::path::PathBuf;

use sandbar_tests::process::component;
use sandbar_tests::target;

use super::{artefacts, text};

/// What comes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ends {
    /// It is not taken: `apply` says why, and nothing starts.
    Refused,
    /// The state is this, and the reason says why.
    In(&'static str),
    /// The pipeline runs on, and this many outputs come.
    RunsOn,
}

/// What the plugin is.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    /// The guest `hostile` with this attack, built for world `processor`, or for world `record-processor`.
    Guest { in_records: bool },
    /// Another guest.
    Other(&'static str),
    /// Text, or a file that is made.
    Made,
}

impl By {
    /// Where it stands, if it was built before.
    pub(super) fn built(self) -> Option<PathBuf> {
        match self {
            Self::Guest { in_records: true } => Some(target().join("record-plugins/hostile.wasm")),
            Self::Guest { in_records: false } => Some(component("hostile")),
            Self::Other(guest) => Some(component(guest)),
            Self::Made => None,
        }
    }
}

/// One hostile plugin.
#[derive(Debug, Clone)]
pub(super) struct Attack {
    /// In the list of forty.
    pub(super) number: u8,
    pub(super) name: &'static str,
    pub(super) by: By,
    pub(super) ends: Ends,
    /// What the refusal or the reason has to say.
    pub(super) says: &'static str,
    /// How many of the tenant's outputs there may be in the end.
    pub(super) outputs: RangeInclusive<usize>,
    /// How many of its records are dead letters in the end.
    pub(super) dead: usize,
    /// More lines of the operator, and of the source.
    pub(super) operator: &'static str,
    pub(super) source: &'static str,
    /// The values of its records.
    pub(super) values: Values,
}

/// The tenant's records.
#[derive(Debug, Clone, Copy)]
pub(super) enum Values {
    /// `a`, a strike, `b`.
    Usual,
    /// So many strikes.
    Strikes(usize),
    /// These.
    These(&'static [&'static str]),
}

const SHORT: &str = "limits = { call-time = \"500ms\" }";
const LONG: &str = "limits = { call-time = \"20s\" }";
const DEAD: &str = "on-error = \"dead-letter\"";
const FAILED: Ends = Ends::In("failed");
const OUT_OF_TIME: &str = "did not return within its call-time of 500ms";

/// All of them.
pub(super) fn all() -> Vec<Attack> {
    let guests = GUEST.iter().flat_map(|row| [of_guest(row, false), of_guest(row, true)]);
    let refused = REFUSED.iter().map(|&(number, name, says)| Attack {
        ends: Ends::Refused,
        says,
        outputs: 0..=0,
        ..made(number, name)
    });
    let at_a_record = AT_A_RECORD.iter().map(|&(number, name, says)| Attack {
        ends: FAILED,
        says,
        outputs: 0..=0,
        ..made(number, name)
    });
    let harmless = HARMLESS.iter().map(|&(number, name)| made(number, name));
    let all = refused.chain(at_a_record).chain(harmless).chain(guests);
    all.chain([probe(), ends_itself()]).collect()
}

/// The file of one that is made.
pub(super) fn file(name: &str) -> Vec<u8> {
    let texts = text::AT_LOAD.iter().chain(text::AT_A_RECORD);
    match texts.into_iter().find(|(of, _)| *of == name) {
        Some((_, text)) => text.assembled(),
        None => artefacts::made(name).unwrap_or_else(|| panic!("nobody makes {name}")),
    }
}

fn made(number: u8, name: &'static str) -> Attack {
    Attack {
        number,
        name,
        by: By::Made,
        ends: Ends::RunsOn,
        says: "",
        outputs: 0..=0,
        dead: 0,
        operator: SHORT,
        source: "",
        values: Values::Usual,
    }
}

/// Asks for what is another's, or the machine's, and waits for an hour: there is nothing, and no time passes.
fn probe() -> Attack {
    Attack {
        by: By::Other("wasi"),
        outputs: 4..=4,
        operator: "",
        values: Values::These(&["environment", "files", "socket", "sleep"]),
        ..made(40, "probe")
    }
}

fn ends_itself() -> Attack {
    Attack {
        by: By::Other("wasi"),
        ends: FAILED,
        says: "it ended itself",
        operator: "",
        values: Values::These(&["exit"]),
        ..made(40, "ends-itself")
    }
}

/// What is refused before it runs, by what is said of it.
const REFUSED: &[(u8, &str, &str)] = &[
    (2, "loop-in-describe", "asked what it is, it did not return within"),
    (2, "realloc-loops", "did not return within"),
    (9, "realloc-recurses", "call stack exhausted"),
    (10, "host-call-out-of-realloc", "cannot leave component instance"),
    (12, "largest-table", "exceeds table limits"),
    (12, "largest-memory", "reached its memory limit of 64MiB"),
    (12, "many-memories", "memory count too high"),
    (13, "million-functions", "more than 100000 functions"),
    (13, "million-data-segments", "data segments count exceeds limit"),
    (15, "largest-br-table", "`br_table` has 1000000 targets"),
    (17, "nested-components", "more than 16 deep"),
    (17, "deeply-nested-components", "more than 16 deep"),
    (17, "nested-types", "type nesting is too deep"),
    (18, "cut-short", "the component is damaged"),
    (18, "section-that-lies", "the component is damaged"),
    (18, "junk", "the component is damaged"),
    (18, "core-module", "core module of WebAssembly"),
    (19, "compiled-before", "machine code"),
    (20, "unknown-interface", "`evil:net/sockets`"),
    (20, "state-of-another-version", "version 9.0.0 of the plugin interface"),
    (20, "wasi-http", "`wasi:http/outgoing-handler@0.2.0`"),
    (20, "wasi-sockets-3", "WASI 0.3"),
    (21, "garbage-collection", "garbage collection"),
    (21, "threads", "threads, atomics or shared memory"),
    (21, "async", "async functions"),
    (21, "memory64", "64-bit memories"),
    (22, "start-traps", "`unreachable` instruction executed"),
    (
        23,
        "start-loops",
        "an instance could not be made: it did not return within",
    ),
    (24, "invalid-utf8", "invalid utf-8"),
    (24, "lone-surrogate", "unpaired surrogate"),
    (24, "text-out-of-bounds", "out of bounds of memory"),
    (24, "text-over-the-end", "out of bounds of memory"),
    (24, "answer-out-of-bounds", "out of bounds of memory"),
    (24, "answer-misaligned", "not aligned"),
    (25, "longest-list", "out of bounds of memory"),
    (26, "list-of-a-gibibyte", "out of bounds of memory"),
    (26, "the-same-bytes-again", "too much data"),
    (
        29,
        "realloc-beyond-memory",
        "its `realloc` answered badly: beyond end of memory",
    ),
    (30, "output-of-another", "the name of an output has other characters"),
    (30, "output-of-300", "more than 64 characters"),
    (40, "reads-state-outside-of-a-call", "outside of a turn"),
];

/// What fails at the first record, by the reason of the state.
const AT_A_RECORD: &[(u8, &str, &str)] = &[
    (5, "host-calls-without-end", OUT_OF_TIME),
    (6, "small-grows", "reached its memory limit of 64MiB"),
    (9, "recursion-of-frames", "call stack exhausted"),
    (11, "table-bomb", "`unreachable` instruction executed"),
    (24, "message-out-of-bounds", "out of bounds of memory"),
    (24, "level-that-is-none", "unexpected discriminant: 99"),
    (24, "impossible-verdict", "an outcome that cannot be read"),
    (27, "handle-dropped-twice", "unknown handle index"),
    (27, "handle-forged", "unknown handle index 12345"),
    (28, "handles-without-end", "handle limit exceeded"),
    (
        29,
        "realloc-misaligned",
        "its `realloc` answered badly: result not aligned",
    ),
    (29, "realloc-over-the-answer", "an outcome that cannot be read"),
    (35, "store-that-is-none", "it used store 7, but declares 0"),
];

/// What is taken, and hurts nobody: it is compiled within a second or two, or harms itself alone. Nothing of a plugin
/// runs when state goes from one version to the next; what runs then is what says how state is shown.
const HARMLESS: &[(u8, &str)] = &[
    (4, "loop-in-describe-state"),
    (14, "largest-function"),
    (15, "large-br-tables"),
    (16, "nested-blocks"),
    (29, "realloc-null"),
];

/// An attack of the guest `hostile`: number, name, what comes of it, words, outputs, dead letters, lines of the
/// operator, records.
type Row = (
    u8,
    &'static str,
    Ends,
    &'static str,
    RangeInclusive<usize>,
    usize,
    &'static str,
    Values,
);

fn of_guest(row: &Row, in_records: bool) -> Attack {
    let (number, name, ends, says, outputs, dead, operator, values) = row.clone();
    Attack {
        number,
        name,
        by: By::Guest { in_records },
        ends,
        says,
        outputs,
        dead,
        operator,
        // A call a record, so that what grows from call to call is seen to grow.
        source: if name == "slow-leak" { "max-batch = 1" } else { "" },
        values,
    }
}

const GUEST: &[Row] = &[
    (
        1,
        "loop-in-process",
        FAILED,
        OUT_OF_TIME,
        0..=1,
        0,
        SHORT,
        Values::Usual,
    ),
    (
        2,
        "loop-in-open",
        Ends::Refused,
        "did not return within",
        0..=0,
        0,
        SHORT,
        Values::Usual,
    ),
    (
        3,
        "loop-in-timer",
        FAILED,
        "failed to fire timer `soon` of key `k`",
        0..=3,
        0,
        SHORT,
        Values::Usual,
    ),
    (
        5,
        "loop-of-host-calls",
        FAILED,
        OUT_OF_TIME,
        0..=1,
        0,
        SHORT,
        Values::Usual,
    ),
    (
        6,
        "memory-bomb",
        FAILED,
        "reached its memory limit of 64MiB",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        7,
        "slow-leak",
        Ends::RunsOn,
        "",
        100..=100,
        0,
        LONG,
        Values::Strikes(100),
    ),
    (8, "fill-memory", FAILED, OUT_OF_TIME, 0..=1, 0, SHORT, Values::Usual),
    (
        9,
        "recursion",
        FAILED,
        "trapped: wasm trap: ",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        30,
        "undeclared-output",
        FAILED,
        "output 200, but",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        31,
        "many-outputs",
        Ends::RunsOn,
        "",
        100_003..=100_003,
        0,
        LONG,
        Values::Usual,
    ),
    // Kafka says no, and may be given another limit meanwhile: it is tried again, after a pause that grows.
    (
        32,
        "large-record",
        Ends::In("restarting"),
        "on-refused",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (33, "many-headers", Ends::RunsOn, "", 4..=4, 0, LONG, Values::Usual),
    (33, "strange-headers", Ends::RunsOn, "", 4..=4, 0, LONG, Values::Usual),
    (34, "many-keys", Ends::RunsOn, "", 20..=20, 0, LONG, Values::Strikes(20)),
    (
        35,
        "large-key",
        FAILED,
        "a user key of 1048576 bytes; 4096 are the most",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        35,
        "large-value",
        FAILED,
        "a value of 2097152 bytes; 1048576 are the most",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (35, "empty-key", Ends::RunsOn, "", 4..=4, 0, LONG, Values::Usual),
    (
        35,
        "look-alike-keys",
        Ends::RunsOn,
        "",
        10..=10,
        0,
        LONG,
        Values::Strikes(5),
    ),
    (36, "full-scans", Ends::RunsOn, "", 2..=2, 0, LONG, Values::Strikes(2)),
    (37, "log-flood", Ends::RunsOn, "", 3..=3, 0, LONG, Values::Usual),
    (37, "forged-events", Ends::RunsOn, "", 3..=3, 0, LONG, Values::Usual),
    (38, "trap-always", FAILED, "told to trap", 0..=1, 0, LONG, Values::Usual),
    (38, "trap-at-record", Ends::RunsOn, "", 2..=2, 1, DEAD, Values::Usual),
    (
        38,
        "trap-alternately",
        Ends::RunsOn,
        "",
        0..=0,
        40,
        DEAD,
        Values::Strikes(40),
    ),
    (39, "nan-bits", Ends::RunsOn, "", 8..=8, 0, LONG, Values::Usual),
    (39, "nan-metric", FAILED, "as NaN", 0..=1, 0, LONG, Values::Usual),
    (39, "write-then-refuse", Ends::RunsOn, "", 2..=2, 0, LONG, Values::Usual),
    (
        39,
        "write-then-fail",
        FAILED,
        "written, and failed",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        40,
        "retry-for-ever",
        Ends::In("waiting"),
        "asks for its call again: operator `op`: never well",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        40,
        "timer-storm",
        Ends::RunsOn,
        "",
        200_002..=200_002,
        0,
        LONG,
        Values::These(&["strike", "later"]),
    ),
    (
        40,
        "timer-that-sets-itself",
        FAILED,
        OUT_OF_TIME,
        0..=3,
        0,
        SHORT,
        Values::Usual,
    ),
    (
        40,
        "timer-in-the-past",
        FAILED,
        OUT_OF_TIME,
        0..=3,
        0,
        SHORT,
        Values::Usual,
    ),
    (
        40,
        "panic-flood",
        FAILED,
        "trapped: panicked",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
    (
        40,
        "bad-times",
        FAILED,
        "at timestamp -9223372036854775808",
        0..=1,
        0,
        LONG,
        Values::Usual,
    ),
];

/// Each number of the list has a form.
#[test]
fn none_of_the_forty_is_missing() {
    let all = all();
    let missing: Vec<u8> = (1..=40)
        .filter(|number| !all.iter().any(|attack| attack.number == *number))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    // And nothing that was written is left out.
    let texts = text::AT_LOAD.iter().chain(text::AT_A_RECORD).map(|(name, _)| *name);
    for name in texts.chain(artefacts::NAMES.iter().copied()) {
        assert!(all.iter().any(|attack| attack.name == name), "{name}");
    }
}
