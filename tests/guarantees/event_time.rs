//! Windows on a real Kafka are those of a plain recomputation, record by record and in that order: over a real log,
//! whatever dies, on several processes, and while partitions stand still. Rows 54 to 57, 83.

use crate::flow::stop;
use crate::http::{get, metric, serve};
use crate::recomputed::{self, Recomputed, Row, WindowRule};
use sandbar_tests::client::{Client, Isolation, Record};
use sandbar_tests::guard::Folder;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::pipeline_file::{PipelineFile, unique};
use sandbar_tests::process;
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};
use sandbar_tests::{root, skip};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// Topics with `window-count` between them.
pub struct Windowed {
    client: Client,
    pub input: String,
    output: String,
    late: String,
    pub file: PipelineFile,
    size: i64,
    out_of_orderness: i64,
}

impl Windowed {
    pub fn new(name: &str, partitions: i32, size: i64, out_of_orderness: i64, source: &str) -> Self {
        let (kafka, name) = (Kafka::shared(), unique(name));
        let client = kafka.client();
        let [input, output, late] = ["in", "out", "late"].map(|of| format!("{name}-{of}"));
        [&input, &output, &late]
            .iter()
            .for_each(|topic| client.create_topic(topic, partitions));
        let source = format!(
            "topics = [\"{input}\"]\nstart = \"earliest\"\nsession-timeout = \"3s\"\n\
             max-out-of-orderness = \"{out_of_orderness}ms\"\n{source}"
        );
        let mut file = PipelineFile::new(&kafka.bootstrap(), &name, &source, &output);
        file.plugin = process::component("window-count");
        file.operator = format!("config = {{ size = \"{size}ms\" }}");
        file.tables = format!(
            "[sink.late]\nfrom = [\"op.late\"]\ntopic = \"{late}\"\n\
             [checkpoint]\ninterval = \"100ms\"\nstore = \"checkpoints\""
        );
        Self {
            client,
            input,
            output,
            late,
            file,
            size,
            out_of_orderness,
        }
    }

    pub fn send(&self, records: &[Record]) {
        self.client.producer().send(records);
    }

    /// What each partition owes, if its input ends where it does.
    fn owed(&self, is_ended: bool) -> BTreeMap<i32, Recomputed> {
        let mut owed: BTreeMap<i32, Recomputed> = BTreeMap::new();
        for record in self.client.read(&self.input, Isolation::Committed) {
            let rule = WindowRule::Tumbling {
                size: self.size,
                lateness: 0,
            };
            let of = owed
                .entry(record.place())
                .or_insert_with(|| Recomputed::new(rule, self.out_of_orderness));
            let (key, at, number) = recomputed::of(&record);
            of.see(&key, at, number);
        }
        if is_ended {
            owed.values_mut().for_each(|of| of.move_to(i64::MAX));
        }
        owed
    }

    fn shown(&self) -> BTreeMap<i32, Vec<Row>> {
        let mut shown: BTreeMap<i32, Vec<Row>> = BTreeMap::new();
        for record in self.client.read(&self.output, Isolation::Committed) {
            let row = recomputed::row(&record);
            shown.entry(record.place()).or_default().push(row);
        }
        shown
    }

    /// The windows of a key, in whichever partition.
    pub fn rows_of(&self, key: &str) -> Vec<Row> {
        let mut rows = self.rows();
        rows.retain(|(of, ..)| of == key);
        rows
    }

    /// All windows, in whichever partition.
    pub fn rows(&self) -> Vec<Row> {
        self.shown().into_values().flatten().collect()
    }

    /// Whether all that is owed is there. Panics with the first difference that waiting cannot mend.
    pub fn is_complete(&self, is_ended: bool) -> bool {
        let shown = self.shown();
        let mut complete = true;
        for (partition, owed) in self.owed(is_ended) {
            let shown = shown.get(&partition).map(Vec::as_slice).unwrap_or_default();
            for (index, (window, shown)) in owed.results.iter().zip(shown).enumerate() {
                let (start, end, count) = (window.start, window.end, window.numbers.len());
                let value = json!({ "start": start, "end": end, "count": count });
                let row = (window.key.clone(), value, end - 1);
                assert_eq!(*shown, row, "output {index} of partition {partition}");
            }
            let (has, owes) = (shown.len(), owed.results.len());
            assert!(
                has <= owes,
                "partition {partition} shows {has} windows and {owes} are owed"
            );
            complete &= has == owes;
        }
        complete
    }

    /// Waits until what a run that ended put out is shown.
    fn settle(&self) {
        [&self.output, &self.late]
            .iter()
            .for_each(|topic| self.client.settle(topic));
    }

    fn late(&self) -> usize {
        self.client.read(&self.late, Isolation::Committed).len()
    }
}

/// Records of `keys` keys whose times go up by 0 to 30 ms, in a disorder of up to 200 ms.
pub fn disorder(topic: &str, from: i64, count: i64, keys: i64) -> Vec<Record> {
    let record = |number: i64| {
        let chance = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407)
            >> 33;
        let at = 1_700_000_000_000 + number * 15 - chance.rem_euclid(200);
        Record::keyed(topic, &format!("key-{}", chance.rem_euclid(keys)), &number.to_string()).at(at)
    };
    (from..from + count).map(record).collect()
}

/// Client and time of each line of the log.
fn access_log(text: &str) -> Vec<(String, i64)> {
    let line = |line: &str| {
        let (client, rest) = line.split_once(' ').expect("a client");
        let time = rest
            .split_once('[')
            .and_then(|(_, rest)| rest.split_once(' '))
            .expect("a time")
            .0;
        let number = |range: std::ops::Range<usize>| time[range].parse::<i64>().expect("a number");
        assert_eq!(&time[2..12], "/May/2015:", "the log is of one month");
        // The first of May 2015 is day 16,556 since 1970.
        let days = 16_556 + number(0..2) - 1;
        let at = (((days * 24 + number(12..14)) * 60 + number(15..17)) * 60 + number(18..20)) * 1000;
        (client.to_owned(), at)
    };
    text.lines().map(line).collect()
}

#[test]
fn windows_of_a_real_log_are_exact_and_what_is_late_is_told() {
    let path = root().join("../shared/data/access.log");
    let Ok(text) = std::fs::read_to_string(&path) else {
        return skip(
            "event_time::windows_of_a_real_log",
            &format!("{} is not there", path.display()),
        );
    };
    for (bound, late) in [(10_000, 7813), (30_000, 4500), (45_000, 2055), (59_000, 0)] {
        let windowed = Windowed::new("access-log", 1, 1000, bound, "stop = \"latest\"");
        let lines = access_log(&text);
        let record = |(client, at): &(String, i64)| Record::keyed(&windowed.input, client, "").at(*at);
        windowed.send(&lines.iter().map(record).collect::<Vec<_>>());
        let ended = windowed.file.run().wait(seconds(120));
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        assert_eq!(windowed.owed(true)[&0].late.len(), late, "the recomputation itself");
        wait::until_true("all windows are there", PATIENCE, || windowed.is_complete(true));
        windowed.settle();
        assert_eq!(windowed.late(), late, "for a bound of {bound} ms");
    }
}

#[test]
fn windows_are_exact_whatever_dies() {
    let windowed = Windowed::new("windows-die", 4, 1000, 150, "");
    let kills = setting("SANDBAR_KILLS", 5);
    for kill in 0..kills as i64 {
        windowed.send(&disorder(&windowed.input, kill * 2000, 2000, 20));
        let mut run = windowed.file.run();
        run.wait_placed(4, PATIENCE);
        std::thread::sleep(Duration::from_millis((kill * 137 % 500) as u64));
        run.kill();
    }
    let run = windowed.file.run();
    wait::until_true("each window is there once", seconds(120), || {
        windowed.is_complete(false)
    });
    stop(run);
    assert!(windowed.is_complete(false), "nothing came behind it");
}

#[test]
fn windows_are_exact_on_one_process_three_and_one_again() {
    let windowed = Windowed::new("windows-move", 4, 1000, 150, "");
    let mut sent = 0;
    let mut more = || {
        windowed.send(&disorder(&windowed.input, sent, 3000, 20));
        sent += 3000;
    };
    more();
    let first = windowed.file.run_member("-a");
    more();
    let others = ["-b", "-c"].map(|member| windowed.file.run_member(member));
    more();
    wait::until_true("each window is there once, on three", seconds(120), || {
        windowed.is_complete(false)
    });
    more();
    others.into_iter().for_each(stop);
    more();
    wait::until_true("each window is there once, on one again", seconds(120), || {
        windowed.is_complete(false)
    });
    stop(first);
}

/// A jump over many windows is committed on the way, wherever in a batch it comes: none waits for all, and each is
/// there once.
#[test]
fn a_jump_over_many_windows_is_committed_on_the_way_whatever_dies() {
    const KEYS: i64 = 30_000;
    let mut windowed = Windowed::new("jump", 1, 1000, 0, "");
    windowed.file.top += "\nbatch-memory = \"1MiB\"";
    windowed.file.tables = windowed.file.tables.replace("100ms", "10ms");
    let rows = || windowed.client.read(&windowed.output, Isolation::Committed);
    for jump in 0..2 {
        let at = 10_000 + jump * 10_000;
        let record = |key: i64| Record::keyed(&windowed.input, &format!("key-{key}"), "").at(at);
        windowed.send(&(0..KEYS).map(record).collect::<Vec<_>>());
        let behind = |number: i64| Record::keyed(&windowed.input, "behind", "").at(at + 5_000 + number);
        // The first jump has records of its batch behind it, the other one has none.
        let comes_with = if jump == 0 { 500 } else { 1 };
        windowed.send(&(0..comes_with).map(behind).collect::<Vec<_>>());
        let before = rows().len();
        let mut run = windowed.file.run();
        wait::until_true("windows are closed", seconds(120), || {
            assert!(run.is_running(), "{}", run.lines().join("\n"));
            rows().len() > before
        });
        run.kill();
        // The rest of the jump is done before what the next process finds behind it.
        windowed.send(&(comes_with..2_000).map(behind).collect::<Vec<_>>());
    }
    let run = windowed.file.run();
    wait::until_true("each window is there once", seconds(120), || {
        windowed.is_complete(false)
    });
    stop(run);
    assert!(windowed.is_complete(false), "nothing came behind it");
    for start in [10_000, 20_000] {
        let of_jump = |record: &Record| record.text().contains(&format!("{{\"start\":{start},"));
        let offsets: Vec<_> = rows().iter().filter(|row| of_jump(row)).map(|row| row.offset).collect();
        assert_eq!(offsets.len() as i64, KEYS);
        // Between two transactions stands a marker.
        let transactions = 1 + offsets.windows(2).filter(|pair| pair[1] > pair[0] + 1).count();
        eprintln!("{KEYS} windows from {start} in {transactions} transactions");
        assert!(transactions > 4, "{transactions}");
    }
}

#[test]
fn a_restore_goes_on_where_time_stood() {
    let windowed = Windowed::new("time-stays", 1, 1000, 0, "");
    let at = |at: i64| Record::keyed(&windowed.input, "k", "").at(at);
    windowed.send(&[at(10_500), at(20_500)]);
    let run = windowed.file.run();
    wait::until_true("the first window closed", PATIENCE, || windowed.is_complete(false));
    stop(run);
    // Without the watermark of before this one would be in time, for it would be the first that is seen.
    windowed.send(&[at(19_000)]);
    std::fs::remove_dir_all(windowed.file.path("state")).expect("the local state is deleted");
    let run = windowed.file.run();
    wait::until_true("it is late", PATIENCE, || windowed.late() == 1);
    stop(run);
    assert!(windowed.is_complete(false));
}

#[test]
fn one_record_in_microseconds_closes_nothing() {
    let mut windowed = Windowed::new("microseconds", 1, 1000, 0, "on-bad-time = \"skip\"\nstop = \"latest\"");
    windowed.file.source += "\nevent-time = \"/at\"";
    let at = |at: i64| Record::keyed(&windowed.input, "k", &json!({ "at": at }).to_string());
    windowed.send(&[at(10_100), at(1_700_000_000_000_000), at(10_200), at(10_900)]);
    let ended = windowed.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    windowed.settle();
    let expected = (
        "k".to_owned(),
        json!({ "start": 10_000, "end": 11_000, "count": 3 }),
        10_999,
    );
    assert_eq!(windowed.shown(), BTreeMap::from([(0, vec![expected])]));
    assert_eq!(windowed.late(), 0);
}

#[test]
fn a_bad_time_stops_the_run_unless_something_else_is_said() {
    let mut windowed = Windowed::new("bad-time", 1, 1000, 0, "stop = \"latest\"");
    windowed.file.source += "\nevent-time = \"/at\"";
    let value = json!({ "at": 1_700_000_000_000_000_i64 }).to_string();
    windowed.send(&[Record::keyed(&windowed.input, "k", &value)]);
    let ended = windowed.file.run().wait(PATIENCE);
    assert_eq!(ended.code, Some(10), "{}", ended.text);
    for said in ["offset 0", "1700000000000000", "year 9999", "on-bad-time"] {
        assert!(ended.text.contains(said), "`{said}` in {}", ended.text);
    }
}

#[test]
fn a_window_that_does_not_close_can_be_asked_why() {
    let windowed = Windowed::new("why", 1, 1000, 2000, "");
    let at = |key: &str, at: i64| Record::keyed(&windowed.input, key, "").at(at);
    windowed.send(&[at("a", 10_500), at("b", 11_900), at("late", 9_800), at("late", 9_000)]);
    let file = windowed.file.write("");
    let (run, address) = serve(&windowed.file);
    let verb = |verb: &[&str]| -> Value {
        let words = [
            &verb[..2],
            &[file.to_str().expect("a path")],
            &verb[2..],
            &["-o", "json"],
        ]
        .concat();
        let ended = process::run(&words);
        assert_eq!(ended.code, Some(0), "{}", ended.text);
        serde_json::from_str(&ended.text).expect("JSON")
    };
    // The newest record is at 11,900, so event time stands at 9,899, and no window has closed.
    wait::until_true("the group tells where time stands", PATIENCE, || {
        verb(&["offsets", "show"])[0]["watermark"] == json!(9_899)
    });
    let timers = verb(&["state", "timers", "op"]);
    let due: Vec<_> = timers
        .as_array()
        .expect("rows")
        .iter()
        .map(|row| (&row["key"], &row["at"]))
        .collect();
    let first = (&json!("late"), &json!(9_999));
    assert_eq!(
        due,
        [first, (&json!("a"), &json!(10_999)), (&json!("b"), &json!(11_999))]
    );
    assert_eq!(verb(&["state", "timers", "op", "b"]).as_array().map(Vec::len), Some(1));
    let counts = verb(&["state", "count", "op", "timers:event-time"]);
    assert_eq!(counts[0]["entries"], json!(3), "{counts}");
    wait::until_true("the figures stand", PATIENCE, || {
        let (_, body) = get(&address, "/metrics");
        let lag = metric(&body, "sandbar_watermark_lag_seconds", &["partition=\"0\""]);
        lag.is_some_and(|lag| lag > 1_000_000_000.0)
            && metric(&body, "sandbar_late_records_total", &[]) == Some(2.0)
            && metric(&body, "sandbar_watermark_held", &[]) == Some(0.0)
    });
    windowed.send(&[at("a", 13_000)]);
    wait::until_true("one fires", PATIENCE, || {
        metric(
            &get(&address, "/metrics").1,
            "sandbar_timers_fired_total",
            &["operator=\"op\""],
        ) == Some(2.0)
    });
    stop(run);
}

/// What a file of records becomes in a plugin: its output's lines.
fn file_run(plugin: &str, config: &str, records: &[Value]) -> Vec<String> {
    let folder = Folder::new("sandbar-event-time-");
    let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
    std::fs::write(folder.path().join("in.jsonl"), lines).expect("the input");
    let text = format!(
        "name = \"ends\"\n[source.in]\nfile = \"in.jsonl\"\n\
         [operator.op]\nplugin = \"{}\"\ninputs = [\"in\"]\nconfig = {config}\n\
         [sink.out]\nfrom = [\"op\"]\nfile = \"out.jsonl\"\n",
        process::component(plugin).display()
    );
    let file = folder.path().join("ends.toml");
    std::fs::write(&file, text).expect("the pipeline file");
    let ended = process::run(&["run", &file.display().to_string()]);
    assert_eq!(ended.code, Some(0), "{}", ended.text);
    let out = std::fs::read_to_string(folder.path().join("out.jsonl")).expect("the output");
    out.lines().map(str::to_owned).collect()
}

#[test]
fn a_file_ends_time_where_it_ends() {
    let record = |key: &str, at: i64| json!({ "key": key, "value": "", "timestamp": at });
    let records = [record("a", 1_500), record("b", 1_700), record("a", 1_900)];
    let lines = file_run("window-count", "{ size = \"1s\" }", &records);
    let rows = lines
        .iter()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let keys: Vec<_> = rows.map(|row| (row["key"].clone(), row["timestamp"].clone())).collect();
    assert_eq!(keys, [(json!("a"), json!(1999)), (json!("b"), json!(1999))]);
}

#[test]
fn sessions_are_put_out_with_their_aggregates_in_the_order_of_the_file() {
    let record = |at: i64, ms: i64| json!({ "key": "a", "value": { "ms": ms }, "timestamp": at });
    let records = [record(1_000, 7), record(2_500, 5), record(1_900, 3), record(9_000, 1)];
    let config = "{ window = { session = \"1s\" }, \
                  aggregates = { views = \"count\", slowest = { max = \"/ms\" }, all = { collect = \"/ms\" } } }";
    let lines = file_run("window", config, &records);
    let windows = [
        r#"{"start":1000,"end":3500,"views":3,"slowest":7,"all":[7,5,3]}"#,
        r#"{"start":9000,"end":10000,"views":1,"slowest":1,"all":[1]}"#,
    ];
    assert_eq!(lines.len(), windows.len(), "{lines:?}");
    for (line, window) in lines.iter().zip(windows) {
        assert!(line.contains(&format!("\"value\":{window}")), "{window} in {line}");
    }
}
