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
