//! The cage against real guests: those of `tests/guests`, each of which has one sin, and the ready-made plugins.

use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use super::*;
use crate::config::Limits;
use crate::error::{Error, Kind};
use crate::record::Records;

/// The same comes of a plugin in both worlds: each of these tests runs with both.
macro_rules! in_both_worlds {
    ($($test:ident),+ $(,)?) => {
        mod processor { $(#[test] fn $test() { super::$test(crate::plugin::World::Processor) })+ }
        mod record_processor { $(#[test] fn $test() { super::$test(crate::plugin::World::RecordProcessor) })+ }
    };
}

mod cached;
mod calls;
mod configured;
mod core_dumps;
mod cut;
mod faults;
mod features;
mod kept;
mod loading;
mod made_up;
mod state;
mod timers;
mod wasi;

fn engine() -> &'static Engine {
    static ENGINE: OnceLock<Engine> = OnceLock::new();
    ENGINE.get_or_init(|| Engine::new(None).unwrap())
}

fn built(folder: &str, name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../target/{folder}/{name}.wasm"));
    assert!(
        path.exists(),
        "target/{folder}/{name}.wasm is missing: run `make plugins`"
    );
    path
}

fn guest(name: &str) -> Plugin {
    engine().load(&built("guests", name)).unwrap()
}

/// A guest or a ready-made plugin as it was built for a world.
fn guest_in(world: World, name: &str) -> Plugin {
    let folder = match world {
        World::RecordProcessor => "record-plugins",
        World::Processor if name == "count-by-key" => "plugins",
        World::Processor => "guests",
    };
    let plugin = engine().load(&built(folder, name)).unwrap();
    assert_eq!(plugin.world(), world);
    plugin
}

fn load_bytes(bytes: &[u8]) -> Result<Plugin, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.wasm");
    std::fs::write(&path, bytes).unwrap();
    engine().load(&path)
}

/// A component that is written as text.
fn load_text(text: &str) -> Result<Plugin, Error> {
    load_bytes(&wat::parse_str(text).unwrap_or_else(|why| panic!("{why}")))
}

fn refused(name: &str) -> Error {
    engine().load(&built("guests", name)).unwrap_err()
}

fn limits() -> Limits {
    Limits {
        memory_bytes: 64 << 20,
        call_time: Duration::from_secs(30),
        ..Limits::default()
    }
}

fn operator(name: &str) -> Operator {
    operator_in(World::Processor, name)
}

fn operator_in(world: World, name: &str) -> Operator {
    guest_in(world, name).operator("op", "", limits()).unwrap()
}

/// Records with these values, keys `k`, a header each, and offsets from 1000 on.
fn records(values: &[&str]) -> Records {
    let mut records = Records::default();
    for (at, value) in values.iter().enumerate() {
        records.keys.push(Some(b"k"));
        records.values.push(Some(value.as_bytes()));
        records.timestamps.push(1_700_000_000_000 + at as i64);
        records.headers.push(at as u32, b"trace", Some(b"1"));
        records.offsets.push(1000 + at as i64);
    }
    records
}

fn process(operator: &mut Operator, values: &[&str]) -> Result<Outcome, CallError> {
    process_records(operator, &mut records(values))
}

fn process_records(operator: &mut Operator, records: &mut Records) -> Result<Outcome, CallError> {
    let mut outcome = Outcome::default();
    let before = records.clone();
    let call = Call {
        records: &mut *records,
        inputs: &[],
        time: &CallTime::default(),
        most_timers: 1000,
        cut_behind: 0..0,
        partition: 3,
        room: usize::MAX,
    };
    let done = operator.process(call, &mut None, &mut outcome);
    assert_eq!(*records, before, "a call gives the records back as they were");
    done.map(|_reached| outcome)
}

fn values(records: &Records) -> Vec<&str> {
    records
        .values
        .iter()
        .map(|value| std::str::from_utf8(value.unwrap()).unwrap())
        .collect()
}

/// What was refused: where and how.
fn refusals(outcome: &Outcome) -> Vec<(u32, Refusal)> {
    outcome
        .refused
        .iter()
        .map(|refused| (refused.record, refused.how))
        .collect()
}
