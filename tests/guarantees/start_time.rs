//! A run over a few records takes no longer than its questions to the cluster: nothing in it waits for a timer of
//! librdkafka.

use sandbar_tests::client::{Client, Record};
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process::{Ended, Process};
use std::time::Duration;

const LIMIT: Duration = Duration::from_secs(60);
const RECORDS: i32 = 6;
const RUNS: usize = 5;

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
