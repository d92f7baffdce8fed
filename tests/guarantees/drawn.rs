//! Plugins and inputs by chance: the same outputs in the same order and the same state, however batches are cut,
//! whatever dies, and on however many processes. `SANDBAR_SEED` repeats the same choices, `SANDBAR_PROGRAMS` sets how
//! many plugins (usually 3 without Kafka and one with it), `SANDBAR_KILLS` how many kills each (usually 2).
//!
//! The plugin is the guest `drawn`, which draws its program from the seed in its configuration.

use crate::torture::Dice;
use sandbar_tests::client::{Client, Record};
use sandbar_tests::guard::Folder;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::{self, Process};
use sandbar_tests::wait::{seconds, setting};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

const PARTITIONS: i32 = 6;

/// Key, value and time of records by chance: times go up in a disorder, of which some is late.
fn records(dice: &mut Dice, count: u64) -> Vec<(String, String, i64)> {
    let record = |number: u64| {
        let key = format!("key-{}", dice.below(12));
        let at = 1_700_000_000_000 + number as i64 * 20 - dice.below(300) as i64;
        (key, dice.below(1_000_000).to_string(), at)
    };
    (0..count).map(record).collect()
}

fn dice() -> (u64, Dice) {
    let seed = setting("SANDBAR_SEED", u64::from(std::process::id()));
    (seed, Dice::new(seed))
}

#[test]
fn programs_by_chance_come_out_the_same_however_they_are_cut_restored_killed_and_moved() {
    let (seed, mut dice) = dice();
    let folder = Folder::new("sandbar-drawn-");
    for _ in 0..setting("SANDBAR_PROGRAMS", 3) {
        let program = dice.below(1_000_000);
        let case = folder.path().join(format!("cases/program-{program}"));
        std::fs::create_dir_all(&case).expect("a folder");
        std::fs::write(case.join("config.json"), json!({ "seed": program }).to_string()).expect("a configuration");
        let line = |(key, value, at): &(String, String, i64)| {
            format!("{}\n", json!({ "key": key, "value": value, "timestamp": at }))
        };
        let lines: String = records(&mut dice, 60).iter().map(line).collect();
        std::fs::write(case.join("input.jsonl"), lines + "{\"end\":true}\n").expect("the input");
    }
    let (path, plugin) = (
        folder.path().display().to_string(),
        process::component("drawn").display().to_string(),
    );
    let seed = seed.to_string();
    let words = ["test", &path, "--plugin", &plugin, "--matrix", "--seed", &seed];
    // A matrix syncs its state to disk hundreds of times.
    let ended = Process::start(&words).wait(seconds(600));
    assert_eq!(ended.code, Some(0), "seed {seed}:\n{}", ended.text);
}

/// How one program is run: so many processes, records in a call at most, and kills.
struct Way {
    processes: usize,
    max_batch: u64,
    kills: u64,
}

/// What came of it: each partition's outputs, and what is kept.
#[derive(Debug, PartialEq)]
struct CameOf {
    outputs: BTreeMap<i32, Vec<(String, String, i64)>>,
    state: Vec<(&'static str, Value)>,
}

/// Runs a program over all that a topic has.
fn run(client: &Client, input: &str, program: u64, way: &Way, dice: &mut Dice) -> CameOf {
    let name = unique("drawn");
    let output = format!("{name}-out");
    client.create_topic(&output, PARTITIONS);
    let source = format!(
        "topics = [\"{input}\"]\nstart = \"earliest\"\nstop = \"latest\"\nsession-timeout = \"3s\"\n\
         max-out-of-orderness = \"200ms\"\nmax-batch = {}",
        way.max_batch
    );
    let mut file = PipelineFile::new(&Kafka::shared().bootstrap(), &name, &source, &output);
    file.plugin = process::component("drawn");
    file.operator = format!("config = {{ seed = {program} }}");
    file.tables = "[checkpoint]\ninterval = \"50ms\"\nstore = \"checkpoints\"".into();
    let mut members: Vec<Process> = (0..way.processes)
        .map(|member| file.run_member(&member.to_string()))
        .collect();
    for _ in 0..way.kills {
        let victim = dice.below(way.processes as u64) as usize;
        let rest = dice.below(400);
        if way.processes == 1 {
            members[victim].wait_placed(PARTITIONS as usize, seconds(120));
        }
        std::thread::sleep(Duration::from_millis(rest));
        members[victim].kill();
        members[victim] = file.run_member(&victim.to_string());
    }
    for member in members {
        let ended = member.wait(seconds(240));
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }
    CameOf {
        outputs: outputs(client, &output),
        state: ["value", "list", "map", "fired"]
            .map(|store| (store, state(&file, store)))
            .into(),
    }
}

fn outputs(client: &Client, output: &str) -> BTreeMap<i32, Vec<(String, String, i64)>> {
    let mut outputs: BTreeMap<i32, Vec<_>> = BTreeMap::new();
    for record in client.read_settled(output) {
        let row = (
            String::from_utf8(record.key.clone().expect("a key")).expect("text"),
            record.text(),
            record.timestamp.expect("a time"),
        );
        outputs.entry(record.place()).or_default().push(row);
    }
    outputs
}

/// What a store keeps by the checkpoints.
fn state(file: &PipelineFile, store: &str) -> Value {
    let path = file.write("0").display().to_string();
    let words = [
        "state", "scan", &path, "op", store, "--stored", "--limit", "10000", "-o", "json",
    ];
    let ended = process::run(&words);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    serde_json::from_str(ended.text.trim()).expect("one JSON value")
}

#[test]
fn a_program_by_chance_comes_out_the_same_in_any_batches_and_on_one_two_and_three_processes_that_die() {
    let (seed, mut dice) = dice();
    let (client, kills) = (Kafka::shared().client(), setting("SANDBAR_KILLS", 2));
    for _ in 0..setting("SANDBAR_PROGRAMS", 1) {
        let (input, program) = (unique("drawn-in"), dice.below(1_000_000));
        client.create_topic(&input, PARTITIONS);
        let record = |(key, value, at): &(String, String, i64)| Record::keyed(&input, key, value).at(*at);
        let records = records(&mut dice, 3000);
        client.producer().send(&records.iter().map(record).collect::<Vec<_>>());
        let way = |processes, max_batch, kills| Way {
            processes,
            max_batch,
            kills,
        };
        let first = run(&client, &input, program, &way(1, 1, 0), &mut dice);
        let rows: usize = first.outputs.values().map(Vec::len).sum();
        eprintln!("seed {seed}: program {program} puts out {rows} records");
        for way in [
            way(1, 1000, 0),
            way(1, 2 + dice.below(100), kills),
            way(2, 2 + dice.below(100), kills),
            way(3, 2 + dice.below(100), kills),
        ] {
            let of = run(&client, &input, program, &way, &mut dice);
            let what = format!(
                "seed {seed}, program {program}: {} processes, batches of up to {}, {} kills",
                way.processes, way.max_batch, way.kills
            );
            for (partition, rows) in &first.outputs {
                let shown = of.outputs.get(partition).map(Vec::as_slice).unwrap_or_default();
                let differs = rows.iter().zip(shown).position(|(one, other)| one != other);
                let at = differs.unwrap_or_else(|| rows.len().min(shown.len()));
                assert_eq!(
                    rows.get(at),
                    shown.get(at),
                    "{what}: output {at} of partition {partition}"
                );
            }
            assert_eq!(of, first, "{what}");
        }
    }
}
