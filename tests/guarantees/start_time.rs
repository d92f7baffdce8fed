//! A run over a few records takes no longer than its questions to the cluster: nothing in it waits for a timer of librdkafka.

use sandbar_tests::client::{Client, Record};
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::{Ended, Process};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: i32 = 6;
const RUNS: usize = 5;
/// librdkafka asks again after half a second for what it did not get at once; a worker's producer at a time.
const TIMER: Duration = Duration::from_millis(500);

/// A broker of our own in a process, and its address.
fn embedded_broker() -> (Process, String) {
    let mut broker = Process::start(&["broker", "--listen", "127.0.0.1:0", "-o", "json"]);
    broker.wait_for("the broker's address", LIMIT, |lines| !lines.is_empty());
    let said: serde_json::Value = serde_json::from_str(&broker.lines()[0]).expect("the broker says where it listens");
    let address = said["listening"].as_str().expect("an address").to_owned();
    (broker, address)
}

/// A bounded run over a few records that writes them to another topic.
fn pipeline(address: &str) -> PipelineFile {
    let client = Client::new(address);
    let (from, to) = (unique("start-in"), unique("start-out"));
    client.create_topic(&from, 4);
    client.create_topic(&to, 1);
    let records: Vec<Record> = (0..RECORDS)
        .map(|number| Record::placed(&from, number % 4, "x"))
        .collect();
    client.producer().send(&records);
    let source = format!("topics = [\"{from}\"]\nstart = \"earliest\"\nstop = \"latest\"");
    let mut file = PipelineFile::new(address, &unique("start"), &source, &to);
    file.top = "workers = 2".into();
    file
}

fn run(file: &PipelineFile) -> Ended {
    let path = file.write("");
    let arguments = ["run".as_ref(), path.as_os_str(), "-o".as_ref(), "json".as_ref()];
    let ended = Process::start_with(&arguments, &[("SANDBAR_LOG", "librdkafka=debug")]).wait(LIMIT);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    ended
}

/// Counted, not measured: librdkafka says when it cannot ask and sets its timer instead.
#[test]
fn no_worker_waits_for_a_timer_to_find_its_transactions_coordinator() {
    let (_broker, address) = embedded_broker();
    for _ in 0..RUNS {
        let mut file = pipeline(&address);
        file.properties = "debug = \"eos\"".into();
        file.tables = "[checkpoint]\ninterval = \"1s\"".into();
        let text = run(&file).text;
        let count = |words: &str| text.matches(words).count();
        assert_eq!(count("Acquired PID"), 2, "one a worker: {text}");
        assert_eq!(count("Unable to query for transaction coordinator"), 0, "{text}");
    }
}

/// Beside the same run without outputs, which needs no producer: what the outputs add is less than one of librdkafka's timers. The least of several
/// counts, since a busy machine only ever adds.
#[test]
fn outputs_add_less_to_a_short_run_than_one_timer_of_librdkafka() {
    let (_broker, address) = embedded_broker();
    let file = std::env::temp_dir().join(unique("start-time"));
    let least = |sink: Option<&str>, tables: &str| {
        let runs = (0..RUNS).map(|_| {
            let mut file = pipeline(&address);
            file.tables = tables.into();
            if let Some(sink) = sink {
                file.sink = sink.into();
            }
            run(&file).took
        });
        runs.min().expect("runs")
    };
    let to_file = format!("file = \"{}\"", file.display());
    let without = least(Some(&to_file), "");
    let idempotent = least(None, "");
    let transactional = least(None, "[checkpoint]\ninterval = \"1s\"");
    let _ = std::fs::remove_file(&file);
    eprintln!("without a producer {without:?}, idempotent {idempotent:?}, in transactions {transactional:?}");
    for with in [idempotent, transactional] {
        assert!(with < without + TIMER, "{with:?} beside {without:?}");
    }
}
