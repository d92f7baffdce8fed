//! `sandbar stop`: ends a run from outside. What is open stays open, or is closed exactly once; a savepoint on the way
//! holds exactly that; and nobody ends a run by mistake.

use crate::event_time::{Windowed, disorder};
use crate::http::serve;
use sandbar_tests::guard::Folder;
use sandbar_tests::process::{self, Ended, Process, event};
use sandbar_tests::wait::{self, PATIENCE, promised, seconds};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

/// `sandbar stop FILE WORDS -o json`.
fn stop_by(file: &Path, words: &[&str]) -> Ended {
    let file = file.to_str().expect("a path");
    process::run(&[&["stop", file, "-o", "json"], words].concat())
}

/// The same, which has to end well, as this run has to: what it printed.
fn stopped(run: Process, file: &Path, words: &[&str]) -> Value {
    let told = stop_by(file, words);
    assert_eq!(told.code, Some(0), "{}", told.text);
    let ended = run.wait(promised(10));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    serde_json::from_str(&told.text).expect("one JSON object")
}

/// Four partitions, two workers, and windows of which some stand open once all records are read.
fn windowed(name: &str) -> Windowed {
    let mut windowed = Windowed::new(name, 4, 1000, 150, "");
    windowed.file.top = "workers = 2".into();
    windowed.send(&disorder(&windowed.input, 0, 3000, 20));
    windowed
}

fn run_until_read(windowed: &Windowed) -> Process {
    let run = windowed.file.run();
    wait_closed(windowed);
    run
}

fn wait_closed(windowed: &Windowed) {
    wait::until_true(
        "each window behind which time has moved is there once",
        seconds(120),
        || windowed.is_complete(false),
    );
}

/// All windows are there. The markers of a transaction may come a moment behind the answer that it is committed.
fn complete(windowed: &Windowed, what: &str) {
    wait::until_true(what, PATIENCE, || windowed.is_complete(true));
}

#[test]
fn a_drain_closes_each_window_once_and_the_next_start_goes_on_behind_it() {
    let windowed = windowed("drained");
    let file = windowed.file.write("");
    let run = run_until_read(&windowed);
    assert!(!windowed.is_complete(true), "some stand open");
    let told = stopped(run, &file, &["--drain"]);
    assert_eq!(told["stopped"][0]["reason"], "drained", "{told}");
    complete(&windowed, "all windows are there");
    // The broker may tell the group of the last commit a moment after it was answered.
    wait::until_true("nothing is left", PATIENCE, || {
        let timers = process::run(&["state", "count", file.to_str().expect("a path"), "op", "-o", "json"]);
        let counts: Value = serde_json::from_str(&timers.text).expect("rows");
        counts.as_array().expect("rows").iter().all(|row| row["entries"] == 0)
    });
    // Far behind all windows that were closed: they stay closed, and time goes on.
    windowed.send(&disorder(&windowed.input, 100_000, 1000, 20));
    let run = run_until_read(&windowed);
    stopped(run, &file, &["--drain"]);
    complete(&windowed, "all windows are there");
}

#[test]
fn without_a_drain_windows_stay_open_and_a_restart_goes_on() {
    let windowed = windowed("kept-open");
    let file = windowed.file.write("");
    let told = stopped(run_until_read(&windowed), &file, &[]);
    assert_eq!(told["stopped"][0]["reason"], "signal", "{told}");
    assert!(windowed.is_complete(false) && !windowed.is_complete(true));
    windowed.send(&disorder(&windowed.input, 3000, 1000, 20));
    stopped(run_until_read(&windowed), &file, &["--drain"]);
    complete(&windowed, "all windows are there");
}

#[test]
fn a_savepoint_on_the_way_holds_the_open_windows_and_nothing_else_is_needed() {
    let windowed = windowed("saved");
    let file = windowed.file.write("");
    let told = stopped(run_until_read(&windowed), &file, &["--savepoint"]);
    let savepoint = told["savepoint"].as_str().expect("a savepoint");
    let of_store = format!("checkpoints/{}/savepoints/{savepoint}", windowed.file.name);
    let moved = windowed.file.path("moved");
    std::fs::rename(windowed.file.path(&of_store), &moved).expect("the savepoint is moved");
    for lost in ["checkpoints", "state"] {
        std::fs::remove_dir_all(windowed.file.path(lost)).expect("it goes");
    }
    windowed.send(&disorder(&windowed.input, 3000, 1000, 20));
    let sets = ["--set", "state.dir=state-2", "--set", "checkpoint.store=checkpoints-2"];
    let (file_name, moved) = (file.to_str().expect("a path"), moved.to_str().expect("a path"));
    let run = Process::start(&[&["run", file_name, "--from", moved], &sets[..]].concat());
    wait_closed(&windowed);
    stopped(run, &file, &[&["--drain"], &sets[..]].concat());
    complete(&windowed, "those too that were open in the savepoint");
}

/// The partitions that a process was given so far. What a dead one had comes when its session is over.
fn given(lines: &[String]) -> BTreeSet<String> {
    let rebalances = lines.iter().filter_map(|line| event(line, "rebalance"));
    let assigned = rebalances.flat_map(|told| told["assigned"].as_array().cloned().unwrap_or_default());
    assigned.map(|partition| partition.to_string()).collect()
}

#[test]
fn a_process_that_dies_in_a_drain_closes_each_window_once_after_its_restart() {
    for point in [
        "mid-produce",
        "after-bundle",
        "after-send-offsets",
        "end-txn-sent",
        "after-commit",
        "mid-apply",
    ] {
        let windowed = windowed(point);
        let file = windowed.file.write("");
        stopped(run_until_read(&windowed), &file, &[]);
        let arguments = ["run".as_ref(), file.as_os_str()];
        let mut run = Process::start_with(&arguments, &[("FAILPOINTS", &format!("{point}=return"))]);
        run.wait_placed(4, PATIENCE);
        let told = stop_by(&file, &["--drain"]);
        assert!(
            told.code == Some(1) && told.text.contains("killed"),
            "{point}: {}",
            told.text
        );
        assert_eq!(run.wait(promised(10)).code, None, "{point}");
        let mut run = windowed.file.run();
        run.wait_for("it has each partition", PATIENCE, |lines| given(lines).len() == 4);
        stopped(run, &file, &["--drain"]);
        complete(&windowed, point);
    }
}

#[test]
fn one_of_two_processes_is_stopped_and_the_other_goes_on() {
    let windowed = windowed("one-of-two");
    let [first, second] = ["-a", "-b"].map(|member| windowed.file.run_member(member));
    wait_closed(&windowed);
    stopped(first, &windowed.file.write("-a"), &[]);
    windowed.send(&disorder(&windowed.input, 3000, 1000, 20));
    wait_closed(&windowed);
    stopped(second, &windowed.file.write("-b"), &["--drain"]);
    complete(&windowed, "all windows are there");
}

#[test]
fn a_pipe_that_nobody_closes_is_drained() {
    let folder = Folder::new("sandbar-stop-");
    let (pipe, out) = (folder.path().join("pipe"), folder.path().join("out.jsonl"));
    let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo starts");
    assert!(made.success());
    let mut pipe = File::options().read(true).write(true).open(&pipe).expect("the pipe");
    let text = format!(
        "name = \"pipe\"\nworkers = 2\n[source.in]\nfile = \"pipe\"\nmax-out-of-orderness = \"0s\"\n\
         [operator.op]\nplugin = \"{}\"\ninputs = [\"in\"]\nconfig = {{ size = \"1s\" }}\n\
         [sink.out]\nfrom = [\"op\"]\nfile = \"out.jsonl\"\n",
        process::component("window-count").display()
    );
    let file = folder.path().join("pipe.toml");
    std::fs::write(&file, text).expect("the pipeline file");
    let run = Process::start(&["run".as_ref(), file.as_os_str()]);
    for at in [1_500, 2_500] {
        writeln!(pipe, "{}", json!({ "key": "a", "value": "", "timestamp": at })).expect("a line");
    }
    let windows = || std::fs::read_to_string(&out).map_or(0, |text| text.lines().count());
    wait::until_true("the first window closed", PATIENCE, || windows() == 1);
    stopped(run, &file, &["--drain"]);
    assert_eq!(windows(), 2);
}

/// The status of a POST of this order with these headers.
fn post(address: &str, headers: &str, order: &Value) -> u16 {
    let (mut stream, body) = (TcpStream::connect(address).expect("the server"), order.to_string());
    let length = body.len();
    write!(
        stream,
        "POST /stop HTTP/1.1\r\nHost: {address}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .expect("a request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    status.expect("a status")
}

#[test]
fn over_http_a_run_is_drained_and_no_web_page_ends_it() {
    let windowed = windowed("over-http");
    let file = windowed.file.write("");
    let (mut run, address) = serve(&windowed.file);
    wait_closed(&windowed);
    let order = json!({ "pipeline": windowed.file.name, "drain": false });
    let json = "Content-Type: application/json\r\n";
    assert_eq!(post(&address, "Content-Type: text/plain\r\n", &order), 415, "a form");
    assert_eq!(
        post(&address, &format!("{json}Origin: http://{address}\r\n"), &order),
        403
    );
    assert_eq!(
        post(&address, json, &json!({ "pipeline": "another", "drain": false })),
        409
    );
    assert!(run.is_running() && windowed.is_complete(false));
    let told = stopped(run, &file, &["--drain", "--http", &address]);
    assert_eq!(told["stopped"][0]["process"], *address, "{told}");
    complete(&windowed, "all windows are there");
    let told = stop_by(&file, &["--http", &address]);
    assert!(told.code == Some(1) && told.text.contains(&address), "{}", told.text);
}

#[test]
fn what_cannot_be_stopped_is_told_and_nothing_ends_by_mistake() {
    let mut windowed = windowed("by-mistake");
    let file = windowed.file.write("");
    let said = |told: Ended, code: i32, words: &[&str]| {
        assert_eq!(told.code, Some(code), "{}", told.text);
        for word in words {
            assert!(told.text.contains(word), "`{word}` in {}", told.text);
        }
    };
    said(stop_by(&file, &[]), 1, &["does not run", "state"]);
    let mut run = run_until_read(&windowed);
    let name = std::mem::replace(&mut windowed.file.name, "another".into());
    let another = windowed.file.write("-another");
    said(
        stop_by(&another, &["--set", "state.dir=state"]),
        1,
        &["`another`: it does not run", &name],
    );
    (windowed.file.name, windowed.file.tables) = (name, String::new());
    let without = windowed.file.write("");
    said(
        stop_by(&without, &["--savepoint"]),
        3,
        &["[checkpoint]", "nothing was stopped"],
    );
    assert!(run.is_running());
    run.signal("STOP");
    said(stop_by(&without, &["--timeout", "1s"]), 9, &["goes on stopping"]);
    run.signal("CONT");
    let ended = run.wait(promised(10));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    said(stop_by(&without, &[]), 1, &["does not run"]);
}
