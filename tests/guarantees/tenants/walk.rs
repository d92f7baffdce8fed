//! What a team does: ships a pipeline, looks at it, changes it, takes it away; and what it cannot do.

use std::path::Path;
use std::process::Command;

use sandbar_tests::client::{Isolation, Record};
use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::guard::{Folder, ProcessesIn};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::unique;
use sandbar_tests::process::{Ended, binary, component};
use sandbar_tests::root;
use sandbar_tests::wait::{self, seconds};

/// A pipeline file of a tenant, between the topics of `counted`.
pub(in crate::tenants) fn file_of(counted: &Counted, plugin: &Path, more: &str) -> String {
    format!(
        "name = \"counts\"\nworkers = 2\n[kafka]\nbrokers = \"{}\"\n\
         [source.in]\ntopics = [\"{}\"]\nstart = \"earliest\"\nsession-timeout = \"3s\"\n{more}\n\
         [operator.op]\nplugin = \"{}\"\ninputs = [\"in\"]\n\
         [sink.out]\nfrom = [\"op\"]\ntopic = \"{}\"\n[checkpoint]\ninterval = \"100ms\"\n",
        counted.file.brokers,
        counted.input,
        plugin.display(),
        counted.output
    )
}

fn says(ended: &Ended, code: i32, words: &[&str]) {
    assert_eq!(ended.code, Some(code), "{}", ended.text);
    for word in words {
        assert!(ended.text.contains(word), "{word} in\n{}", ended.text);
    }
}

#[test]
fn a_team_ships_a_pipeline_sees_what_it_does_and_takes_it_away() {
    let daemon = Daemon::start();
    daemon.done(&["tenant", "create", "team"]);
    let (operator, author, viewer) = (
        daemon.token("team", "operator"),
        daemon.token("team", "author"),
        daemon.token("team", "viewer"),
    );
    let counted = Counted::on(Kafka::shared(), "tenant-walk", 2, 10);
    let plugin = component("count-by-key");
    says(
        &daemon.ask(&author, &["plugin", "push", &plugin.display().to_string()]),
        0,
        &["sha256:"],
    );
    says(&daemon.ask(&viewer, &["plugin", "list"]), 0, &["count-by-key"]);
    let file = daemon.write("counts.toml", &file_of(&counted, &plugin, ""));
    let apply = ["apply", &file.display().to_string()];
    says(&daemon.ask(&viewer, &apply), 1, &["viewer"]);
    assert!(daemon.children().is_empty(), "what is refused starts nothing");
    let dry = [&apply[..], &["--dry-run", "--tenant", "team"]].concat();
    daemon.done(&dry);
    assert!(daemon.children().is_empty(), "a dry run starts nothing");
    daemon.done(&[&apply[..], &["--tenant", "team"]].concat());
    let status = daemon.wait_until("team", "counts", "running");
    assert_eq!(daemon.children(), [status["pid"].as_u64().unwrap() as u32]);
    for key in [
        "name",
        "tenant",
        "state",
        "reason",
        "since",
        "restarts",
        "version",
        "records-in",
        "records-out",
        "lag",
        "workers",
        "pid",
    ] {
        assert!(status.get(key).is_some(), "{key} in {status}");
    }
    counted.send(0, 500);
    wait::until_true("all is put out", seconds(180), || counted.is_complete());
    says(&daemon.ask(&viewer, &["list"]), 0, &["counts", "running"]);
    says(&daemon.ask(&viewer, &["logs", "counts"]), 0, &["\"event\":\"start\""]);

    // The same again changes nothing, and the process stays.
    daemon.done(&[&apply[..], &["--tenant", "team"]].concat());
    assert_eq!(daemon.status("team", "counts")["pid"], status["pid"]);
    // Another version takes the place of the first, and goes on where it was.
    daemon.write("counts.toml", &file_of(&counted, &plugin, "max-batch = 77"));
    daemon.done(&[&apply[..], &["--tenant", "team"]].concat());
    wait::until_true("version 2 runs", seconds(180), || {
        let status = daemon.status("team", "counts");
        status["version"] == 2 && status["state"] == "running"
    });
    counted.send(500, 500);
    wait::until_true("all is put out", seconds(180), || counted.is_complete());

    daemon.done(&["pause", "counts", "--tenant", "team"]);
    daemon.wait_until("team", "counts", "paused");
    assert!(daemon.children().is_empty());
    counted.send(1000, 100);
    daemon.done(&["resume", "counts", "--tenant", "team"]);
    wait::until_true("all is put out", seconds(180), || counted.is_complete());
    says(&daemon.ask(&operator, &["delete", "counts"]), 0, &[]);
    assert!(daemon.children().is_empty());
    says(&daemon.ask(&operator, &["status", "counts"]), 1, &["counts"]);
}

#[test]
fn a_tenant_sees_and_touches_nothing_of_another() {
    let daemon = Daemon::start();
    for tenant in ["alpha", "beta"] {
        daemon.done(&["tenant", "create", tenant]);
    }
    let (alpha, beta) = (daemon.token("alpha", "admin"), daemon.token("beta", "admin"));
    let counted = Counted::on(Kafka::shared(), "tenant-walls", 1, 10);
    let file = daemon.write("counts.toml", &file_of(&counted, &component("count-by-key"), ""));
    let file = file.display().to_string();
    says(&daemon.ask(&alpha, &["apply", &file]), 0, &[]);
    daemon.wait_until("alpha", "counts", "running");
    let same = |words: &[&str], of: &str| {
        let ended = daemon.ask(&beta, &[words, &["--tenant", of]].concat());
        assert_ne!(ended.code, Some(0), "{words:?}: {}", ended.text);
        ended.text.replace(of, "T")
    };
    for words in [
        &["status", "counts"][..],
        &["logs", "counts"],
        &["pause", "counts"],
        &["delete", "counts"],
        &["apply", &file],
        &["plugin", "list"],
        &["list"],
        &["token", "create", "--role", "viewer"],
    ] {
        assert_eq!(same(words, "alpha"), same(words, "gamma"), "{words:?}");
    }
    says(&daemon.ask(&beta, &["tenant", "create", "three"]), 1, &[]);
    // The same name is another pipeline, with a group and a state of its own.
    says(&daemon.ask(&beta, &["apply", &file]), 0, &[]);
    daemon.wait_until("beta", "counts", "running");
    counted.send(0, 10);
    wait::until_true("each puts it out", seconds(180), || {
        counted.client.read(&counted.output, Isolation::Committed).len() == 20
    });
    let records: Vec<Record> = counted.client.read(&counted.output, Isolation::Committed);
    assert_eq!(records.len(), 20, "each of the two read all, and counted for itself");
    // A group that is another tenant's is refused before anything starts.
    let stolen = daemon.write(
        "stolen.toml",
        &file_of(
            &counted,
            &component("count-by-key"),
            "group = \"sandbar.alpha--counts\"",
        ),
    );
    says(
        &daemon.ask(&beta, &["apply", &stolen.display().to_string()]),
        3,
        &["group"],
    );
    assert_eq!(daemon.children().len(), 2);
}

/// The walk of docs/serve.md, word for word but for the ports.
#[test]
fn the_walk_of_the_page_works_as_it_stands() {
    let page = std::fs::read_to_string(root().join("docs/serve.md")).unwrap();
    let walk = page
        .split("```sh\n")
        .nth(1)
        .and_then(|rest| rest.split("```").next())
        .unwrap();
    let topics = ["views", "totals"].map(unique);
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let walk = walk
        .replace("127.0.0.1:9092", &Kafka::shared().bootstrap())
        .replace("127.0.0.1:8620", &format!("127.0.0.1:{port}"))
        .replace("[\"views\"]\nstart", &format!("[\"{}\"]\nstart", topics[0]))
        .replace("in views totals", &format!("in {} {}", topics[0], topics[1]))
        .replace("produce views", &format!("produce {}", topics[0]))
        .replace("topic = \"totals\"", &format!("topic = \"{}\"", topics[1]));
    let folder = Folder::new("sandbar-walk-");
    let _processes = ProcessesIn::new(folder.path());
    let programs = binary().parent().unwrap().display().to_string();
    let done = Command::new("timeout")
        .args(["300", "sh", "-euc", &walk])
        .current_dir(folder.path())
        .env("PATH", format!("{programs}:{}", std::env::var("PATH").unwrap()))
        .env("SANDBAR_CONFIG", folder.path().join("contexts.toml"))
        .output()
        .unwrap();
    let told = format!(
        "{}{}",
        String::from_utf8_lossy(&done.stdout),
        String::from_utf8_lossy(&done.stderr)
    );
    assert!(done.status.success(), "{}:\n{told}", done.status);
    assert!(told.contains("running"), "{told}");
}
