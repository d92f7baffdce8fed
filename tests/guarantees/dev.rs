//! `sandbar dev`: what goes in comes out, a changed plugin takes over with state and positions as they are, and what is
//! wrong hurts nothing.
//!
//! The project here is a folder whose command copies a component, as a tool chain would leave it.

use sandbar_tests::guard::Folder;
use sandbar_tests::process::{Process, component, event};
use sandbar_tests::wait::seconds;
use std::path::{Path, PathBuf};

/// A session of a pipeline that counts by key.
struct Session {
    folder: Folder,
    process: Process,
}

impl Session {
    /// `build` is the project's command.
    fn begin(build: &str) -> Self {
        let folder = Folder::new("sandbar-dev-");
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("views.jsonl", "{\"key\":\"a\",\"value\":\"1\",\"timestamp\":1000}\n");
        write(
            "pipeline.toml",
            "name = \"dev\"\n[source.views]\nfile = \"views.jsonl\"\n[operator.count]\nplugin = \"count.wasm\"\n\
             inputs = [\"views\"]\n[sink.totals]\nfrom = [\"count\"]\nfile = \"-\"\n",
        );
        write(".gitignore", "*.wasm\n/.sandbar/\n");
        manifest(folder.path(), build);
        let pipeline = folder.path().join("pipeline.toml").display().to_string();
        let process = Process::start_typed(&["dev", &pipeline, "-o", "json"]);
        Self { folder, process }
    }

    /// The project changes.
    fn change(&self, build: &str) {
        manifest(self.folder.path(), build);
    }

    fn hears(&mut self, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
        self.process.wait_for(what, seconds(60), |lines| {
            let said = lines.iter().filter_map(|line| serde_json::from_str(line).ok());
            said.into_iter().any(|value| holds(&value))
        });
    }

    fn hears_failure(&mut self, kind: &str) {
        self.hears(&format!("a failure of kind {kind}"), |said| {
            said["event"] == "failed" && said["goes-on"] == true && said["error"]["kind"] == kind
        });
    }

    /// A record comes out as JSON text, which is shown as it is.
    fn hears_output(&mut self, key: &str, value: &str) {
        self.hears(&format!("{key} {value} comes out"), |said| {
            said["event"] == "out" && said["record"]["key"] == key && said["record"]["value"] == value
        });
    }

    fn count(&self, name: &str) -> usize {
        self.process
            .lines()
            .iter()
            .filter(|line| event(line, name).is_some())
            .count()
    }

    fn ends(self) {
        let ended = self.process.stop(seconds(60));
        assert_eq!(ended.code, Some(0), "{}", ended.text);
    }
}

/// The project's file.
fn manifest(folder: &Path, build: &str) {
    let text = format!("language = \"sh\"\nplugin = \"count.wasm\"\nmodule = \"made.wasm\"\nbuild = {build:?}\n");
    std::fs::write(folder.join("plugin.toml"), text).unwrap();
}

fn copy(component: PathBuf) -> String {
    format!("cp {} made.wasm", component.display())
}

#[test]
fn a_changed_plugin_takes_over_and_state_and_positions_stay() {
    let mut session = Session::begin(&copy(component("count-by-key")));
    session.hears("the file's record comes in", |said| {
        said["event"] == "in" && said["record"]["key"] == "a"
    });
    session.hears_output("a", "1");
    session.process.type_line("a 2");
    session.hears_output("a", "2");

    // The same plugin in the other world: other bytes, the same stores.
    session.change(&copy(sandbar_tests::target().join("record-plugins/count-by-key.wasm")));
    session.hears("the new version runs", |said| {
        said["event"] == "running" && said["swapped"] == true
    });
    session.process.type_line("{\"key\":\"a\",\"value\":\"3\"}");
    session.hears_output("a", "3");
    session.process.type_line(":state a");
    session.process.wait_for("the state is shown", seconds(60), |lines| {
        lines
            .iter()
            .any(|line| line.starts_with("[{") && line.contains("\"value\":3"))
    });
    assert_eq!(
        session.count("out"),
        3,
        "nothing comes twice: {:?}",
        session.process.lines()
    );
    session.ends();
}

#[test]
fn a_build_that_fails_and_a_plugin_that_is_refused_keep_the_old_one_running() {
    let mut session = Session::begin(&copy(component("count-by-key")));
    session.hears_output("a", "1");
    session.change("echo wrong; exit 3");
    session.hears_failure("failed");
    session.process.type_line("a 2");
    session.hears_output("a", "2");

    session.change("echo no component > made.wasm");
    session.hears_failure("plugin");
    session.process.type_line("a 3");
    session.hears_output("a", "3");
    session.process.type_line(":quit");
    let ended = session.process.wait(seconds(60));
    assert_eq!(ended.code, Some(0), "{}", ended.text);
}

/// Whatever goes through the topics, a change is seen; and a project's file that is wrong is told.
#[test]
fn a_change_is_seen_while_records_flow() {
    let mut session = Session::begin(&copy(component("count-by-key")));
    session.hears_output("a", "1");
    session.change("no TOML \"");
    let is_told = |lines: &[String]| {
        let said = lines.iter().filter_map(|line| event(line, "failed"));
        said.into_iter().any(|said| said["error"]["kind"] == "failed")
    };
    let deadline = std::time::Instant::now() + seconds(60);
    while !is_told(&session.process.lines()) {
        assert!(std::time::Instant::now() < deadline, "{:?}", session.process.lines());
        session.process.type_line("b x");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    std::fs::write(session.folder.path().join("plugin.toml"), "no TOML").unwrap();
    session.hears_failure("invalid");
    session.process.type_line("a 2");
    session.hears_output("a", "2");
    session.ends();
}

#[test]
fn a_second_session_of_a_pipeline_is_refused() {
    let mut session = Session::begin(&copy(component("count-by-key")));
    session.hears_output("a", "1");
    let pipeline = session.folder.path().join("pipeline.toml").display().to_string();
    let second = sandbar_tests::process::run(&["dev", &pipeline]);
    assert_eq!(second.code, Some(2), "{}", second.text);
    assert!(second.text.contains("runs already"), "{}", second.text);
    session.process.type_line("a 2");
    session.hears_output("a", "2");
    session.ends();
}

/// The topics of another cluster are read, and nothing is left there: no topic, no record, no group with offsets.
#[test]
fn a_connected_session_leaves_no_trace() {
    let mut broker = Process::start(&["broker", "--listen", "127.0.0.1:0", "-o", "json"]);
    broker.wait_for("it listens", seconds(60), |lines| {
        lines.iter().any(|line| line.contains("listening"))
    });
    let said: serde_json::Value = serde_json::from_str(&broker.lines()[0]).unwrap();
    let brokers = said["listening"].as_str().unwrap().to_owned();
    let ask = |words: &[&str]| {
        let words: Vec<&str> = words.iter().copied().chain(["--brokers", &brokers]).collect();
        let ended = sandbar_tests::process::run(&words);
        assert_eq!(ended.code, Some(0), "{words:?}: {}", ended.text);
        ended.text
    };
    ask(&["topics", "create", "views", "--partitions", "2"]);
    ask(&["topics", "create", "totals", "--partitions", "1"]);
    let folder = Folder::new("sandbar-dev-");
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write(
        "views.jsonl",
        "{\"key\":\"a\",\"value\":\"1\"}\n{\"key\":\"a\",\"value\":\"2\"}\n",
    );
    ask(&[
        "produce",
        "views",
        "--file",
        &folder.path().join("views.jsonl").display().to_string(),
    ]);
    write(
        "pipeline.toml",
        &format!(
            "name = \"dev\"\n[kafka]\nbrokers = \"{brokers}\"\n[source.views]\ntopics = [\"views\"]\n\
             start = \"earliest\"\n[operator.count]\nplugin = \"count-by-key\"\ninputs = [\"views\"]\n\
             [sink.totals]\nfrom = [\"count\"]\ntopic = \"totals\"\n"
        ),
    );
    let before = ask(&["topics", "list"]);
    let pipeline = folder.path().join("pipeline.toml").display().to_string();
    let process = Process::start_typed(&["dev", &pipeline, "--connect", "-o", "json"]);
    let mut session = Session { folder, process };
    session.hears_output("a", "2");
    session.process.type_line("a 3");
    session.hears("nothing is written there", |said| said["event"] == "not-done");
    session.ends();
    assert_eq!(ask(&["topics", "list"]), before);
    assert_eq!(ask(&["consume", "totals"]), "");
    assert_eq!(ask(&["consume", "views"]).lines().count(), 2);
}

/// The new plugin has no store of that name: a start with the old state is refused.
#[test]
fn a_plugin_that_cannot_take_the_state_gives_way_to_the_one_before() {
    let mut session = Session::begin(&copy(component("count-by-key")));
    session.hears_output("a", "1");
    session.change(&copy(component("pass-through")));
    session.hears_failure("corrupt");
    session.process.type_line("a 2");
    session.hears_output("a", "2");
    session.process.type_line("b");
    session.hears("what was typed is no record", |said| said["event"] == "not-done");
    session.ends();
}

#[test]
fn a_record_that_is_refused_is_shown_with_its_reason() {
    let mut session = Session::begin(&copy(component("count-by-key")));
    session.hears_output("a", "1");
    session.process.type_line("{\"key\":null,\"value\":\"nobody's\"}");
    session.hears("the dead letter", |said| {
        said["event"] == "dead-letter" && said["reason"] == "count: the record has no key"
    });
    session.process.type_line("a 2");
    session.hears_output("a", "2");
    session.ends();
}
