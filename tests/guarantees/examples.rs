//! Every example of the project runs, and its output is what a plain recomputation gives.

use sandbar_tests::client::{Client, Record};
use sandbar_tests::guard::Folder;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{self, Process};
use sandbar_tests::{root, skip, target};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
/// A run whose folder is new compiles its plugins first; `jq` is a large one.
const RUN_LIMIT: Duration = Duration::from_secs(240);

/// A broker of our own in a process, and its address.
fn embedded_broker() -> (Process, String) {
    let mut broker = Process::start(&["broker", "--listen", "127.0.0.1:0", "-o", "json"]);
    broker.wait_for("the broker's address", LIMIT, |lines| !lines.is_empty());
    let said: Value = serde_json::from_str(&broker.lines()[0]).expect("the broker says where it listens");
    let address = said["listening"].as_str().expect("an address").to_owned();
    (broker, address)
}

/// The pushes among the events of a file, projected by plain serde_json: key, value, time.
fn recomputed(events: &str) -> Vec<(String, Value, i64)> {
    let events = events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("an event"));
    let pushes = events.filter(|event| event["type"] == "PushEvent");
    let mut pushes: Vec<_> = pushes
        .map(|event| {
            let repo = event["repo"]["name"].as_str().expect("a repository").to_owned();
            let branch = event["payload"]["ref"]
                .as_str()
                .expect("a branch")
                .trim_start_matches("refs/heads/");
            let push = json!({
                "id": event["id"], "repo": repo, "by": event["actor"]["login"],
                "branch": branch, "commits": event["payload"]["size"],
            });
            (repo, push, milliseconds(event["created_at"].as_str().expect("a time")))
        })
        .collect();
    pushes.sort_by(|a, b| a.1["id"].as_str().cmp(&b.1["id"].as_str()));
    pushes
}

/// `2021-07-21T06:00:00Z` since 1970; days by Howard Hinnant's `days_from_civil` for dates after March 1970.
fn milliseconds(time: &str) -> i64 {
    let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("a number");
    let (year, month, day) = (number(0..4), number(5..7), number(8..10));
    let (year, shifted) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * shifted + 2) / 5 + day - 1 - 719_468;
    ((days * 24 + number(11..13)) * 60 + number(14..16)) * 60_000 + number(17..19) * 1000
}

/// Half an hour in milliseconds: so often there is a list, of the hour before.
const HALF_AN_HOUR: i64 = 1_800_000;

/// What stands at a rank of a list: the list's time, the rank, the repository, its pushes and their commits.
type Ranked = (i64, u64, String, u64, u64);

/// The three repositories with the most pushes in each hour.
fn top_list(pushes: &[(String, Value, i64)]) -> Vec<Ranked> {
    let mut hours: BTreeMap<i64, BTreeMap<&str, (u64, u64)>> = BTreeMap::new();
    for (repo, push, at) in pushes {
        let first = at - at.rem_euclid(HALF_AN_HOUR) + HALF_AN_HOUR;
        for end in [first, first + HALF_AN_HOUR] {
            let of = hours.entry(end).or_default().entry(repo).or_default();
            *of = (of.0 + 1, of.1 + push["commits"].as_u64().expect("a number"));
        }
    }
    let mut list = Vec::new();
    for (end, repos) in hours {
        let mut ranked: Vec<_> = repos.into_iter().collect();
        ranked.sort_by_key(|(repo, (pushes, _))| (Reverse(*pushes), *repo));
        let first = ranked.into_iter().zip(1..=3);
        list.extend(first.map(|((repo, (pushes, commits)), rank)| (end, rank, repo.to_owned(), pushes, commits)));
    }
    list
}

fn ranked(record: &Record) -> Ranked {
    let value: Value = serde_json::from_str(&record.text()).expect("a rank");
    let number = |name: &str| value[name].as_u64().expect("a number");
    let end = milliseconds(value["at"].as_str().expect("a time"));
    assert_eq!(record.timestamp, Some(end - 1), "{value}");
    let repo = value["repo"].as_str().expect("a repository").to_owned();
    (end, number("rank"), repo, number("pushes"), number("commits"))
}

/// Runs a pipeline of the example to the end of what its source has, in whichever order four partitions bring it.
fn run_github(pipeline: &str, source: &str, brokers: &str, folder: &Folder) {
    let (path, folder) = (
        format!("examples/github-events/{pipeline}.toml"),
        folder.path().display(),
    );
    let mut arguments = vec!["run".to_owned(), root().join(path).display().to_string()];
    for set in [
        format!("kafka.brokers={brokers}"),
        format!("source.{source}.stop=latest"),
        format!("source.{source}.max-out-of-orderness=1d"),
        format!("checkpoint.store={folder}/checkpoints"),
        format!("state.dir={folder}/{pipeline}"),
    ] {
        arguments.extend(["--set".to_owned(), set]);
    }
    let ended = Process::start(&arguments).wait(RUN_LIMIT);
    assert_eq!(ended.code, Some(0), "{pipeline}: {}", ended.text);
}

fn github_events_on(brokers: &str) {
    let data = root().join("../shared/data/github-events.jsonl");
    let Ok(events) = std::fs::read_to_string(&data) else {
        return skip("examples::github_events", &format!("{} is not there", data.display()));
    };
    let client = Client::new(brokers);
    for topic in ["github-events", "github-pushes", "github-events.dead"] {
        client.create_topic(topic, 4);
    }
    for topic in ["github-push-counts", "github-top"] {
        client.create_topic(topic, 1);
    }
    let mut records: Vec<_> = events
        .lines()
        .map(|event| Record {
            value: Some(event.into()),
            topic: "github-events".into(),
            ..Record::default()
        })
        .collect();
    records.push(Record::placed("github-events", 0, "no event"));
    client.producer().send(&records);

    let folder = Folder::new("sandbar-github-");
    run_github("pipeline", "events", brokers, &folder);
    let mut pushes: Vec<_> = client
        .read_settled("github-pushes")
        .into_iter()
        .map(|record| {
            let value: Value = serde_json::from_str(&record.text()).expect("a push");
            let key = String::from_utf8(record.key.expect("a key")).expect("a name");
            (key, value, record.timestamp.expect("a time"))
        })
        .collect();
    pushes.sort_by(|a, b| a.1["id"].as_str().cmp(&b.1["id"].as_str()));
    assert_eq!(pushes, recomputed(&events));
    let dead = client.read_settled("github-events.dead");
    assert_eq!(dead.iter().map(Record::text).collect::<Vec<_>>(), ["no event"]);

    run_github("counts", "pushes", brokers, &folder);
    run_github("top", "push-counts", brokers, &folder);
    let list = client.read_settled("github-top");
    assert_eq!(list.iter().map(ranked).collect::<Vec<_>>(), top_list(&pushes));
}

#[test]
fn github_events_come_out_as_recomputed_on_the_embedded_broker() {
    let (_broker, address) = embedded_broker();
    github_events_on(&address);
}

#[test]
fn github_events_come_out_as_recomputed_on_apache_kafka() {
    github_events_on(&Kafka::shared().bootstrap());
}

#[test]
fn the_demo_keeps_the_bids_that_a_recomputation_keeps() {
    const EVENTS: &str = "20000";
    let events = Command::new(target().join("release/auction-events"))
        .arg(EVENTS)
        .output()
        .expect("run `make demo` or `make test`");
    let events = String::from_utf8(events.stdout).expect("text");
    let high = events.lines().filter(|line| {
        let event: Value = serde_json::from_str(line).expect("an event");
        event["value"]["Bid"]["price"]
            .as_u64()
            .is_some_and(|cents| cents >= 10_000_000)
    });
    let demo = Command::new(root().join("examples/auctions/demo"))
        .env("EVENTS", EVENTS)
        .output()
        .expect("the demo");
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    let kept = format!("the plugin kept {} bids", high.count());
    assert!(said.contains(&kept), "{kept} is not in {said}");
}

#[test]
fn the_demo_takes_a_persons_own_events() {
    let folder = Folder::new("sandbar-own-");
    let file = folder.path().join("own.jsonl");
    std::fs::write(&file, "{\"a\":1}\nnot even json\n").expect("a file");
    let demo = Command::new(root().join("examples/auctions/demo"))
        .arg(&file)
        .output()
        .expect("the demo");
    let said = String::from_utf8_lossy(&demo.stdout).into_owned();
    assert!(demo.status.success(), "{said}{}", String::from_utf8_lossy(&demo.stderr));
    assert!(
        said.contains("not even json") && said.contains("2 records in, 2 out"),
        "{said}"
    );
}

/// The blocks of a README in a language, in order.
fn readme_blocks(folder: &str, language: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(root().join(folder).join("README.md")).expect("the README");
    let begin = format!("```{language}\n");
    let blocks = readme.split(&begin).skip(1);
    blocks
        .filter_map(|rest| rest.split("```").next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_readmes_first_pipeline_puts_out_what_it_shows() {
    let [pipeline, records, shown] = [
        &readme_blocks("", "toml")[0],
        &readme_blocks("", "json")[0],
        &readme_blocks("", "json")[1],
    ];
    let folder = Folder::new("sandbar-readme-");
    let file = folder.path().join("pipeline.toml");
    std::fs::write(&file, pipeline.replace("file = \"-\"", "file = \"out.jsonl\"")).expect("a file");
    std::fs::write(folder.path().join("views.jsonl"), records).expect("the records");
    let ended = process::run(&["run".to_owned(), file.display().to_string()]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let out = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("the output");
    assert_eq!(&out, shown);
}

#[test]
fn the_readmes_pipelines_are_such_that_check_accepts_them() {
    let folder = Folder::new("sandbar-readme-");
    let whole = readme_blocks("", "toml")
        .into_iter()
        .filter(|block| block.starts_with("name = "));
    for (index, pipeline) in whole.enumerate() {
        let file = folder.path().join(format!("pipeline-{index}.toml"));
        let plugins = target().join("plugins").display().to_string();
        std::fs::write(&file, pipeline.replace("target/plugins", &plugins)).expect("a file");
        let ended = process::run(&["check".to_owned(), file.display().to_string()]);
        assert_eq!(ended.code, Some(0), "{}\n{pipeline}", ended.text);
    }
}

/// Runs an example's pipeline, as its README says, on the files beside it: what comes on the screen is what the README
/// shows, sink by sink. How the sinks' lines lie between each other is left open.
fn example_shows_its_outputs(example: &str) {
    let folder = Path::new("examples").join(example);
    let mut blocks = readme_blocks(&folder.display().to_string(), "json").into_iter();
    let taken: Vec<String> = ["clicks.jsonl", "payments.jsonl", "limits.jsonl"]
        .iter()
        .filter_map(|file| std::fs::read_to_string(root().join(&folder).join(file)).ok())
        .collect();
    for line in blocks.next().expect("what goes in").lines() {
        let is_in = |text: &String| text.lines().any(|other| other == line);
        assert!(taken.iter().any(is_in), "{line} is in no file of {example}");
    }
    let pipeline = root().join(&folder).join("pipeline.toml").display().to_string();
    let state = Folder::new("sandbar-example-");
    let set = format!("state.dir={}", state.path().display());
    let ended = Process::start(&["run", &pipeline, "--set", &set]).wait(RUN_LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let mut rest: Vec<&str> = ended.text.lines().filter(|line| line.starts_with('{')).collect();
    for block in blocks {
        let shown: Vec<&str> = block.lines().collect();
        let (came, others): (Vec<&str>, Vec<&str>) = rest.into_iter().partition(|line| shown.contains(line));
        assert_eq!(came, shown, "{example}");
        rest = others;
    }
    assert!(
        rest.is_empty(),
        "{example} puts out more than its README shows: {rest:#?}"
    );
}

#[test]
fn sessions_and_ways_of_users_are_those_that_the_readme_shows() {
    example_shows_its_outputs("user-behaviour");
}

#[test]
fn alerts_for_payments_are_those_that_the_readme_shows() {
    example_shows_its_outputs("risk-control");
}

#[test]
fn the_top_list_of_the_events_at_hand_is_the_one_that_the_readme_shows() {
    let demo = Command::new(root().join("examples/github-events/demo"))
        .env("SANDBAR_BIN", process::binary())
        .output()
        .expect("the demo");
    assert!(demo.status.success(), "{}", String::from_utf8_lossy(&demo.stderr));
    let shown = readme_blocks("examples/github-events", "json");
    assert_eq!(String::from_utf8_lossy(&demo.stdout), shown[0]);
}
