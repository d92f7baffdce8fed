//! What stands for the program in tests of upgrades: `run`, `check`, `inspect` and `savepoint` of a pipeline whose
//! input is the numbers from 0 on, and which commits each with what it puts out, as a transaction does.
//!
//! Its files, in the folder of the pipeline: `committed` (the next number, and how many lines of `outputs` count),
//! `outputs`, and `savepoints/NAME`. What it does besides is what the bytes of its plugin say.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};

use crate::grant::Grant;

/// Where the words of the command line are.
const WORDS: &str = "SANDBAR_STAND_IN";
/// From one record to the next.
const RECORD: Duration = Duration::from_millis(10);
/// A process that nobody ends does so itself.
const RECORDS: u64 = 6000;

/// A script that runs this test binary as the program.
pub(super) fn program(folder: &Path) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;

    let path = folder.join("program");
    let own = std::env::current_exe().unwrap();
    let test = "rest::tests::program::stands_for_the_program";
    // What is asked about it has to be told without the words of the harness.
    let position = json!({ "source": "in", "topic": "t", "partition": 0, "committed": "NEXT", "origin": "ours",
        "begin": 0, "end": 0, "lag": 0, "watermark": null, "idle": null });
    let position = position.to_string().replace("\"NEXT\"", "%s");
    let text = format!(
        "#!/bin/sh\nif [ \"$1\" = offsets ]; then read -r next lines < committed; printf '[{position}]' \"$next\"; \
         exit; fi\n{WORDS}=\"$*\" exec {} --exact {test} --nocapture --test-threads=1\n",
        own.display()
    );
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
    path
}

/// The numbers that were put out and committed.
pub(super) fn outputs(home: &Path) -> Vec<u64> {
    let lines = committed(home).map_or(0, |(_, lines)| lines);
    let text = fs::read_to_string(home.join("outputs")).unwrap_or_default();
    let numbers = text
        .lines()
        .map(|line| line.split(' ').next().unwrap().parse().unwrap());
    numbers.take(lines as usize).collect()
}

/// If another test starts it so; else it is none.
#[test]
fn stands_for_the_program() {
    let Ok(words) = std::env::var(WORDS) else { return };
    let words: Vec<&str> = words.split(' ').collect();
    // The harness has begun a line.
    println!();
    let grant = Grant::take(std::io::stdin()).unwrap();
    let code = match words[0] {
        "check" if told(&grant).contains("unfit") => error(4, &format!("no plugin: {}", paths(&grant))),
        "run" if told(&grant).contains("astray") => error(10, &format!("it trapped: {}", paths(&grant))),
        "run" if grant.canary.is_some() => compared(&words, &grant),
        "run" => run(&words, &grant),
        "savepoint" => savepoint(&words, &grant),
        "inspect" => inspect(&words),
        _ => 0,
    };
    std::process::exit(code);
}

fn says(of: &str) -> String {
    String::from_utf8_lossy(&fs::read(of).unwrap_or_default()).into_owned()
}

/// What all its plugins say.
fn told(grant: &Grant) -> String {
    grant
        .plugins
        .values()
        .map(|path| says(&path.display().to_string()))
        .collect()
}

/// Where they are.
fn paths(grant: &Grant) -> String {
    let each = grant.plugins.values().map(|path| path.display().to_string());
    each.collect()
}

fn after<'a>(words: &[&'a str], flag: &str) -> Option<&'a str> {
    let at = words.iter().position(|word| *word == flag)?;
    words.get(at + 1).copied()
}

fn error(exit: i32, why: &str) -> i32 {
    eprintln!(
        "{}",
        json!({ "error": { "what": "failed", "why": why, "hint": null, "exit": exit } })
    );
    exit
}

fn committed(home: &Path) -> Option<(u64, u64)> {
    let text = fs::read_to_string(home.join("committed")).ok()?;
    let (next, lines) = text.split_once(' ')?;
    Some((next.parse().ok()?, lines.parse().ok()?))
}

fn commit(next: u64, lines: u64) {
    fs::write(".committed", format!("{next} {lines}")).unwrap();
    fs::rename(".committed", "committed").unwrap();
}

fn run(words: &[&str], grant: &Grant) -> i32 {
    let plugin = told(grant);
    let (mut next, mut lines) = committed(Path::new(".")).unwrap_or_default();
    let mut origin = "committed".to_owned();
    if let Some(savepoint) = after(words, "--from") {
        let Ok(saved) = fs::read_to_string(format!("savepoints/{savepoint}")) else {
            return error(6, "there is no such savepoint");
        };
        (next, origin) = (saved.parse().unwrap(), format!("savepoint {savepoint}"));
        commit(next, lines);
    }
    let records = Arc::new(AtomicU64::new(0));
    listen(
        after(words, "--http").unwrap().strip_prefix("unix:").unwrap(),
        records.clone(),
    );
    println!(
        "{}",
        json!({ "event": "start", "source": "in", "partition": 0, "from": next, "origin": origin })
    );
    let most = if plugin.contains("late") { 5 } else { 0 };
    for record in 0..RECORDS {
        std::thread::sleep(RECORD);
        if !Path::new("pipeline.toml").exists() {
            return 0;
        }
        if record >= most && plugin.contains("traps") {
            return error(10, "the plugin trapped");
        }
        if record >= most && plugin.contains("dies") {
            return error(1, "it died");
        }
        put_out(next, lines, &plugin);
        (next, lines) = (next + 1, lines + 1);
        commit(next, lines);
        records.store(record + 1, Ordering::Relaxed);
    }
    0
}

/// A run of a canary: a line for each number between the two positions, for one of ten keys.
fn compared(words: &[&str], grant: &Grant) -> i32 {
    let (plugin, canary) = (told(grant), grant.canary.as_ref().unwrap());
    let at = |offsets: &crate::grant::SourceOffsets| offsets["in"]["t"][&0] as u64;
    let next = match after(words, "--from") {
        Some(savepoint) => fs::read_to_string(format!("{savepoint}/next"))
            .unwrap()
            .parse()
            .unwrap(),
        None => at(&canary.starts),
    };
    let end = at(&canary.stops);
    let mut outputs = fs::File::create(canary.outputs.join("out.jsonl")).unwrap();
    for number in next..end {
        if plugin.contains("traps") && number > next + 5 {
            return error(10, "the plugin trapped");
        }
        if plugin.contains("slow") {
            std::thread::sleep(RECORD);
        }
        let key = format!("key-{}", number % 10);
        let is_other = plugin.contains("differs") && number % 10 == 7;
        let value = number + u64::from(is_other);
        let record = json!({ "key": key, "value": value.to_string(), "timestamp": 0 });
        writeln!(outputs, "{}", json!({ "from": 0, "record": record })).unwrap();
    }
    let count = end.saturating_sub(next);
    println!(
        "{}",
        json!({ "event": "stopped", "reason": "finished", "records-in": count, "records-out": count, "seconds": 0.1 })
    );
    0
}

/// Behind what is committed: what was written and not committed goes.
fn put_out(next: u64, lines: u64, plugin: &str) {
    let text = fs::read_to_string("outputs").unwrap_or_default();
    let kept: usize = text.split_inclusive('\n').take(lines as usize).map(str::len).sum();
    let name: String = plugin.chars().filter(char::is_ascii_alphabetic).collect();
    let mut file = fs::OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open("outputs")
        .unwrap();
    file.set_len(kept as u64).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::End(0)).unwrap();
    writeln!(file, "{next} {name}").unwrap();
}

fn listen(socket: &str, records: Arc<AtomicU64>) {
    let _it_may_not_be_there = fs::remove_file(socket);
    let listener = UnixListener::bind(socket).unwrap();
    let answer = move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 256];
            let _whoever_asks_may_go = stream.read(&mut request);
            let records = records.load(Ordering::Relaxed);
            let status = json!({
                "running": true, "disconnected": false, "standstill": null,
                "records-in": records, "records-out": records, "lag": 0, "workers": 1,
            });
            let _whoever_asks_may_go = write!(stream, "HTTP/1.0 200 OK\r\n\r\n{status}");
        }
    };
    std::thread::Builder::new()
        .name("socket".to_owned())
        .spawn(answer)
        .unwrap();
}

fn savepoint(words: &[&str], grant: &Grant) -> i32 {
    let tasks = |next: &str| {
        if next == "0" {
            json!([])
        } else {
            json!([{ "task": "in/0" }])
        }
    };
    if words[1] == "list" {
        let files = fs::read_dir("savepoints").into_iter().flatten().flatten();
        let each = files.map(|file| {
            let next = fs::read_to_string(file.path()).unwrap();
            json!({ "savepoint": file.file_name().to_str(), "tasks": tasks(&next) })
        });
        println!("{}", Value::from_iter(each));
        return 0;
    }
    if words[1] == "delete" {
        fs::remove_file(format!("savepoints/{}", words[3])).unwrap();
        return 0;
    }
    let plugin = told(grant);
    if plugin.contains("full") {
        return error(6, "the disk is full");
    }
    if plugin.contains("slow") {
        std::thread::sleep(Duration::from_millis(500));
    }
    let name = after(words, "--name").unwrap();
    if name.starts_with('/') {
        let next = committed(Path::new(".")).map_or(0, |(next, _)| next).to_string();
        fs::write(format!("{name}/next"), &next).unwrap();
        println!("{}", json!({ "savepoint": name, "tasks": tasks(&next) }));
        return 0;
    }
    let path = format!("savepoints/{name}");
    if Path::new(&path).exists() {
        return error(6, "there is one already");
    }
    fs::create_dir_all("savepoints").unwrap();
    let next = committed(Path::new(".")).map_or(0, |(next, _)| next).to_string();
    fs::write(format!(".{name}"), &next).unwrap();
    fs::rename(format!(".{name}"), &path).unwrap();
    println!("{}", json!({ "savepoint": name, "tasks": tasks(&next) }));
    0
}

/// The words `store=NAME` of a plugin are its stores; one called `changed` cannot be read by another plugin.
fn inspect(words: &[&str]) -> i32 {
    let stores = |path: &str| -> BTreeMap<String, String> {
        let text = says(path);
        let stores = text.split(' ').filter_map(|word| word.strip_prefix("store="));
        stores.map(|store| (store.to_owned(), "value".to_owned())).collect()
    };
    let Some(old) = after(words, "--diff") else {
        let stores = stores(words[1]).into_keys().map(|name| json!({ "name": name }));
        println!("{}", json!({ "stores": stores.collect::<Vec<_>>(), "timers": [] }));
        return 0;
    };
    let (old, new) = (stores(old), stores(words[1]));
    let gone = old.keys().any(|store| !new.contains_key(store));
    let fates = old.keys().map(|store| match (store.as_str(), new.contains_key(store)) {
        ("changed", _) => json!({ "store": store, "fate": "unreadable", "why": "its codec changed" }),
        (_, true) => json!({ "store": store, "fate": "restored", "why": null }),
        (_, false) => json!({ "store": store, "fate": "dropped", "why": null }),
    });
    let goes_on = match (old.contains_key("changed"), gone) {
        (true, _) => "no",
        (false, true) => "allow-dropped-state",
        (false, false) => "yes",
    };
    let added = new.keys().filter(|store| !old.contains_key(*store));
    let mut differences = vec![json!({ "of": "code", "name": "", "old": "a", "new": "b" })];
    differences.extend(added.map(|store| json!({ "of": "store", "name": store, "old": null, "new": "value" })));
    let stores = fates.collect::<Vec<_>>();
    println!(
        "{}",
        json!({ "differences": differences, "stores": stores, "goes-on": goes_on, "unless": [] })
    );
    error(8, "they differ")
}
