//! The plugin `every` of `tests/languages`, written once in each language: the same comes of all of them, in both
//! worlds of the interface. What is shown here stands as a table in `docs/languages.md`.

use sandbar_tests::guard::Folder;
use sandbar_tests::process::{Process, run};
use sandbar_tests::wait::seconds;
use sandbar_tests::{root, skip, target};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// A row of the table: a case, and what it is about.
const ROWS: [(&str, &str); 27] = [
    ("empty", "no record at all, and the end of time"),
    (
        "echo",
        "null key, null value, empty ones, bytes, text beyond ASCII, headers",
    ),
    ("large", "a value of 1 MiB"),
    ("far-time", "timestamps −1 and 2^53 + 1"),
    ("count", "a value of state"),
    ("list", "a list of state"),
    ("map", "a map of state, in order"),
    ("delete", "state deleted"),
    ("timer", "a timer of event time, and restores"),
    ("rearm", "a timer that sets itself again"),
    ("cancel", "a timer that is cleared"),
    ("clock-timer", "a timer of the host's clock"),
    ("window", "tumbling windows, with late records"),
    ("session", "sessions that merge"),
    ("refuse", "skip and dead letter; what was written is taken back"),
    ("error", "the language's own error: a dead letter"),
    ("retry", "retry: the call comes again"),
    ("fail", "fail: the pipeline stops at the record"),
    ("config", "configuration in the language's own structure"),
    ("wrong-config", "a wrong configuration is refused before it runs"),
    ("panic", "the language's own crash costs its record"),
    ("loop", "a call that does not return costs its record"),
    ("memory", "memory without end costs its record"),
    ("log", "2,000 lines of log a record"),
    ("clock", "the clock shows the record's time"),
    ("random", "chance is the same in a replay, however records are cut"),
    ("files", "there are no files"),
];

/// Cases that are run in every way that they can be; the others take too long for that, or end the run.
const IN_EVERY_WAY: [&str; 18] = [
    "empty",
    "echo",
    "count",
    "list",
    "map",
    "delete",
    "timer",
    "rearm",
    "cancel",
    "clock-timer",
    "window",
    "session",
    "refuse",
    "error",
    "config",
    "clock",
    "random",
    "files",
];

/// Names of the columns, by the components' names.
const COLUMNS: [(&str, &str); 8] = [
    ("rust", "Rust"),
    ("rust-by-record", "Rust, by record"),
    ("c", "C"),
    ("cpp", "C++"),
    ("javascript", "JavaScript"),
    ("typescript", "TypeScript"),
    ("python", "Python"),
    ("go", "Go"),
];

fn component(language: &str) -> PathBuf {
    match language {
        "rust" => target().join("guests/every.wasm"),
        "rust-by-record" => target().join("record-plugins/every.wasm"),
        other => target().join("languages").join(format!("{other}.wasm")),
    }
}

/// A pipeline around the plugin with some of the cases beside it.
struct Bench {
    folder: Folder,
}

impl Bench {
    /// A call may take `call_time`; a slow machine has no part in what is shown, but for the call that never returns.
    fn new(component: &Path, cases: &[&str], call_time: &str, more: &str, config: &str) -> Self {
        let folder = Folder::new("sandbar-languages-");
        let place = folder.path().join("cases");
        std::fs::create_dir(&place).unwrap();
        for case in cases {
            let from = root().join("tests/languages/cases").join(case);
            std::os::unix::fs::symlink(from, place.join(case)).unwrap();
        }
        let text = format!(
            "name = \"every\"\n[source.in]\nfile = \"in.jsonl\"\n{more}\n[operator.every]\nplugin = {component:?}\n\
             inputs = [\"in\"]\nconfig = {config}\n[operator.every.limits]\ncall-time = \"{call_time}\"\n\
             [sink.out]\nfrom = [\"every\"]\nfile = \"-\"\n",
        );
        std::fs::write(folder.path().join("pipeline.toml"), text).unwrap();
        Self { folder }
    }

    fn case(&self, name: &str, files: &[(&str, String)]) {
        let place = self.folder.path().join("cases").join(name);
        std::fs::create_dir(&place).unwrap();
        for (file, text) in files {
            std::fs::write(place.join(file), text).unwrap();
        }
    }

    fn pipeline(&self) -> String {
        self.folder.path().join("pipeline.toml").display().to_string()
    }

    /// Which cases passed; fails with what the others found.
    fn passes(&self, matrix: bool) {
        let folder = self.folder.path().display().to_string();
        let mut words = vec!["test", &folder];
        if matrix {
            words.push("--matrix");
        }
        let ended = Process::start(&words).wait(seconds(1200));
        assert_eq!(ended.code, Some(0), "{}\n{}", self.pipeline(), ended.text);
    }
}

/// Those that end an instance, or write much.
const ONCE: [&str; 3] = ["panic", "memory", "log"];
/// Those that want settings of their own.
const APART: [&str; 2] = ["loop", "far-time"];

const ECHO: &str = "{ do = \"echo\" }";

/// All rows for a component.
fn its_cases_come_out(component: &Path) {
    Bench::new(component, &IN_EVERY_WAY, "30s", "", ECHO).passes(true);
    Bench::new(component, &ONCE, "30s", "", ECHO).passes(false);
    Bench::new(component, &["loop"], "2s", "", ECHO).passes(false);
    Bench::new(component, &["far-time"], "30s", "on-bad-time = \"use\"", ECHO).passes(false);

    let large = Bench::new(component, &[], "30s", "", ECHO);
    let line = format!(
        "{{\"key\":\"a\",\"value\":\"{}\",\"timestamp\":1}}\n",
        "x".repeat(1 << 20)
    );
    let config = "{\"do\":\"echo\"}\n".to_owned();
    large.case(
        "large",
        &[
            ("config.json", config),
            ("input.jsonl", line.clone()),
            ("output.jsonl", line),
        ],
    );
    large.passes(false);

    let wrong = Bench::new(component, &[], "30s", "", "{ do = \"nonsense\" }");
    let refused = run(&["check", &wrong.pipeline()]);
    assert_eq!(refused.code, Some(3), "{}", refused.text);
    assert!(refused.text.contains("nonsense"), "{}", refused.text);
    it_stops_and_comes_again(component);
}

/// Refusals of which a case knows nothing, since they end or repeat calls of a run.
fn it_stops_and_comes_again(component: &Path) {
    let bench = Bench::new(component, &[], "30s", "", "{ do = \"refuse\" }");
    let input = |values: &[&str]| {
        let lines = values
            .iter()
            .map(|value| format!("{{\"key\":\"a\",\"value\":\"{value}\",\"timestamp\":1}}\n"));
        std::fs::write(bench.folder.path().join("in.jsonl"), lines.collect::<String>()).unwrap();
    };
    input(&["fine", "fail", "fine"]);
    let failed = run(&["run", &bench.pipeline()]);
    assert_eq!(failed.code, Some(10), "{}", failed.text);
    assert!(failed.text.contains("told to"), "{}", failed.text);

    input(&["retry"]);
    let mut waits = Process::start_with(&["run", &bench.pipeline()], &[("SANDBAR_LOG", "warn")]);
    waits.wait_for("the call comes again", seconds(60), |lines| {
        lines.iter().any(|line| line.contains("told to"))
    });
    assert!(waits.is_running(), "a call that comes again ends nothing");
    waits.kill();
}

#[test]
fn the_same_comes_of_rust_in_both_worlds() {
    its_cases_come_out(&component("rust"));
    its_cases_come_out(&component("rust-by-record"));
}

/// Other languages need their tool chains: `make languages` fetches them and builds what is missing here.
#[test]
fn the_same_comes_of_every_other_language() {
    let mut missing = Vec::new();
    for (language, _) in COLUMNS {
        match component(language) {
            _ if language.starts_with("rust") => {}
            component if component.is_file() => its_cases_come_out(&component),
            _ => missing.push(language),
        }
    }
    if !missing.is_empty() {
        let why = format!("{} not built; `make languages` does it", missing.join(", "));
        skip("languages::the_same_comes_of_every_other_language", &why);
    }
}

/// Each folder of `tests/languages` is a column, and each case a row.
#[test]
fn the_table_has_every_language_and_every_case() {
    let names = |folder: &str, is_one: fn(&Path) -> bool| {
        let entries = std::fs::read_dir(root().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let found = entries.filter(|path| is_one(path));
        found
            .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
            .collect::<Vec<_>>()
    };
    for language in names("tests/languages", |path| path.join("build.sh").is_file()) {
        assert!(COLUMNS.iter().any(|(name, _)| *name == language), "{language}");
    }
    for case in names("tests/languages/cases", |path| path.is_dir()) {
        assert!(ROWS.iter().any(|(name, _)| *name == case), "{case}");
        let mut run = IN_EVERY_WAY.iter().chain(&ONCE).chain(&APART);
        assert!(run.any(|name| *name == case), "{case} is never run");
    }
    let page = root().join("docs/languages.md");
    let text = std::fs::read_to_string(&page).unwrap_or_default();
    let (begin, end) = ("<!-- the table -->\n", "<!-- its end -->\n");
    let (before, rest) = text.split_once(begin).expect("the page has a place for the table");
    let (found, after) = rest.split_once(end).expect("it ends");
    let table = table();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&page, format!("{before}{begin}{table}{end}{after}")).unwrap();
    } else {
        assert_eq!(found, table, "UPDATE_DOCS=1 writes it");
    }
}

/// A cell stands there because a test above fails without it: of a language, all rows or none.
fn table() -> String {
    let heads: BTreeMap<usize, &str> = COLUMNS.iter().map(|(_, head)| *head).enumerate().collect();
    let mut text = String::from("| what |");
    heads.values().for_each(|head| write!(text, " {head} |").unwrap());
    text.push_str("\n|---|");
    text.push_str(&"---|".repeat(heads.len()));
    text.push('\n');
    for (case, what) in ROWS {
        let cells = " ✓ |".repeat(heads.len());
        writeln!(text, "| {what} (`{case}`) |{cells}").unwrap();
    }
    text
}

/// A component is not built anew with the SDK: what was published runs as it is. The large ones are packed.
#[test]
fn components_that_were_published_still_run() {
    let unpacked = Folder::new("sandbar-published-");
    let mut components = 0;
    for version in std::fs::read_dir(root().join("tests/published")).unwrap() {
        let folder = version.unwrap().path();
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            let Some(component) = published(&file.unwrap().path(), unpacked.path()) else {
                continue;
            };
            let words = [
                "test".as_ref(),
                folder.as_os_str(),
                "--plugin".as_ref(),
                component.as_os_str(),
            ];
            let ended = Process::start(&words).wait(seconds(300));
            assert_eq!(ended.code, Some(0), "{}:\n{}", component.display(), ended.text);
            assert!(ended.text.contains("2 passed, 0 failed"), "{}", ended.text);
            components += 1;
        }
    }
    assert!(components >= 11, "only {components} were found");
}

/// The component that a file is, or that it has packed: NAME.wasm.zst becomes NAME.wasm in the other folder.
fn published(file: &Path, unpacked: &Path) -> Option<PathBuf> {
    let is_wasm = |path: &Path| path.extension().is_some_and(|end| end == "wasm");
    let inner = file.with_extension("");
    let is_packed = file.extension().is_some_and(|end| end == "zst") && is_wasm(&inner);
    if !is_packed && !is_wasm(file) {
        return None;
    }
    let bytes = std::fs::metadata(file).unwrap().len();
    let most = if is_packed { 5 << 20 } else { 300 << 10 };
    assert!(bytes <= most, "{} has {bytes} bytes", file.display());
    if !is_packed {
        return Some(file.to_owned());
    }
    let component = unpacked.join(inner.file_name()?);
    let mut packed = std::fs::File::open(file).unwrap();
    let mut stream = ruzstd::decoding::StreamingDecoder::new(&mut packed).unwrap();
    std::io::copy(&mut stream, &mut std::fs::File::create(&component).unwrap()).unwrap();
    Some(component)
}

/// An SDK's package has to have the interface in it.
#[test]
fn the_interface_that_an_sdk_brings_along_is_the_interface() {
    for copy in ["python/sandbar_sdk/wit", "javascript/wit/deps/sandbar", "rust/wit"] {
        let folder = root().join("guest-sdk").join(copy);
        let mut files = 0;
        for entry in std::fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let own = root().join("wit/v0.1").join(path.file_name().unwrap());
            let text = |path: &Path| std::fs::read_to_string(path).unwrap();
            assert_eq!(text(&path), text(&own), "{}", path.display());
            files += 1;
        }
        assert!(files >= 3, "{} has {files} files", folder.display());
    }
}
