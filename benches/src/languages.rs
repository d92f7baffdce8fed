//! What a plugin costs in each language: the one of `tests/languages`, which counts by key, from a file to a file. The
//! last count of each key is compared with what it has to be.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use sandbar_tests::{root, target};

use crate::CORE;
use crate::measure::{self, Cost};

const KEYS: usize = 1000;
/// Memory at the end of a run may be so much above what it was before, in MiB: the allocators of the process and the
/// guest keep something back.
const GROWTH_MIB: f64 = 16.0;
/// The same as a factor.
const GROWTH: f64 = 1.25;

pub(crate) fn run(records: usize) {
    let records = records.next_multiple_of(KEYS);
    let folder = tempfile::tempdir().expect("a folder");
    let (few, all) = (folder.path().join("few.jsonl"), folder.path().join("all.jsonl"));
    write(&few, KEYS);
    write(&all, records);
    println!("{records} records of {KEYS} keys, counted by key, a worker, file to file, the plugin compiled before");
    println!("| language | k rec/s | CPU ns a record | times Rust | RSS MiB | RSS over the run | memory is flat |");
    println!("|---|---|---|---|---|---|---|");
    let (mut rust, mut grown) = (None, false);
    for (language, plugin) in plugins() {
        assert!(
            plugin.is_file() || !language.starts_with("rust"),
            "{} is missing: run `make plugins`",
            plugin.display()
        );
        if !plugin.is_file() {
            println!("| {language} | not built: `make languages` | | | | | |");
            continue;
        }
        let place = folder.path().join(language);
        std::fs::create_dir(&place).expect("a folder");
        count(&place, &plugin, &few, KEYS);
        let cost = count(&place, &plugin, &all, records);
        let each = cost.cpu_seconds * 1e9 / records as f64;
        let over = cost.rss_over_time_mib.map(|mib| format!("{mib:.0}")).join(" → ");
        println!(
            "| {language} | {:.0} | {each:.0} | {:.1} | {:.0} | {over} | {} |",
            records as f64 / cost.wall_seconds / 1000.0,
            each / *rust.get_or_insert(each),
            cost.rss_mib,
            if is_flat(&cost) { "yes" } else { "NO" },
        );
        grown |= !is_flat(&cost);
    }
    assert!(!grown, "memory grew, see above");
}

fn plugins() -> Vec<(&'static str, PathBuf)> {
    let by_hand = ["c", "cpp", "javascript", "typescript", "python", "go"];
    let by_hand = by_hand.map(|name| (name, target().join(format!("languages/{name}.wasm"))));
    let mut plugins = vec![
        ("rust", target().join("guests/every.wasm")),
        ("rust, a record a call", target().join("record-plugins/every.wasm")),
    ];
    plugins.extend(by_hand);
    plugins
}

/// Records with the keys in turn.
fn write(file: &Path, records: usize) {
    let mut file = BufWriter::new(File::create(file).expect("a file"));
    for number in 0..records {
        let (key, at) = (number % KEYS, 1_700_000_000_000 + number);
        writeln!(file, r#"{{"key":"key-{key}","value":"{number}","timestamp":{at}}}"#).expect("it is written");
    }
    file.flush().expect("it is written");
}

/// Runs a pipeline over a file in `place`, and checks what came.
fn count(place: &Path, plugin: &Path, input: &Path, records: usize) -> Cost {
    let (pipeline, output) = (place.join("pipeline.toml"), place.join("out.jsonl"));
    let _it_may_not_be_there = std::fs::remove_file(&output);
    let text = format!(
        "name = \"languages\"\nworkers = 1\n[source.in]\nfile = \"{}\"\n\
         [operator.op]\nplugin = \"{}\"\ninputs = [\"in\"]\nconfig = {{ do = \"count\" }}\n\
         [sink.out]\nfrom = [\"op\"]\nfile = \"{}\"\n[state]\ndir = \"state\"\n",
        input.display(),
        plugin.display(),
        output.display()
    );
    std::fs::write(&pipeline, text).expect("the pipeline file is written");
    let program = root().join("target/release/sandbar");
    let cost = measure::run(
        CORE,
        &program.display().to_string(),
        &["run", &pipeline.display().to_string()],
    );
    check(&output, records);
    cost
}

fn check(output: &Path, records: usize) {
    let (mut last, mut came) = (HashMap::new(), 0);
    for line in BufReader::new(File::open(output).expect("the outputs")).lines() {
        let line = line.expect("a line");
        let field = |name: &str| {
            let begin = line.find(name).expect("the field") + name.len();
            line[begin..].split('"').next().unwrap_or_default().to_owned()
        };
        last.insert(field("\"key\":\""), field("\"value\":\""));
        came += 1;
    }
    let each = (records / KEYS).to_string();
    assert_eq!((came, last.len()), (records, KEYS), "outputs, and keys that they have");
    assert!(
        last.values().all(|count| *count == each),
        "the last count of each key is {each}"
    );
}

/// Whether a run ends with what it had in its first three fifths.
fn is_flat(cost: &Cost) -> bool {
    let [first, second, third, .., last] = cost.rss_over_time_mib;
    let before = first.max(second).max(third);
    last <= before * GROWTH + GROWTH_MIB
}
