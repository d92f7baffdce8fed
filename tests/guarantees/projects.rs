//! A project of `sandbar new` builds, passes its cases in every way that they can be run, and runs, in each language
//! and of each template: the same comes of all.

use sandbar_tests::guard::Folder;
use sandbar_tests::process::{Ended, Process, binary, run};
use sandbar_tests::wait::seconds;
use sandbar_tests::{root, skip, target};
use std::path::{Path, PathBuf};
use std::process::Command;

const TEMPLATES: [&str; 4] = ["filter", "count", "window", "join"];

/// What `sandbar run pipeline.toml` puts out in a new project.
fn outputs(template: &str) -> Vec<&'static str> {
    match template {
        "filter" => vec![
            r#"{"key":"u1","value":{"page":"/","ms":7},"timestamp":1700000001000}"#,
            r#"{"key":"u1","value":{"page":"/shop","ms":12},"timestamp":1700000009000}"#,
            r#"{"key":"u3","value":{"page":"/","ms":5},"timestamp":1700000012000}"#,
        ],
        "count" => vec![
            r#"{"key":"/","value":"1","timestamp":1700000001000}"#,
            r#"{"key":"/shop","value":"1","timestamp":1700000002000}"#,
            r#"{"key":"/","value":"2","timestamp":1700000009000}"#,
            r#"{"key":"/","value":"3","timestamp":1700000012000}"#,
        ],
        "window" => vec![
            r#"{"key":"/","value":{"start":1700000000000,"end":1700000010000,"count":2},"timestamp":1700000009999}"#,
            concat!(
                r#"{"key":"/shop","value":{"start":1700000000000,"end":1700000010000,"count":1},"#,
                r#""timestamp":1700000009999}"#
            ),
            r#"{"key":"/","value":{"start":1700000010000,"end":1700000020000,"count":1},"timestamp":1700000019999}"#,
        ],
        _ => vec![
            r#"{"key":"a","value":{"left":{"order":1},"right":{"paid":9}},"timestamp":1700000012000}"#,
            r#"{"key":"b","value":{"left":{"order":3},"right":{"paid":4}},"timestamp":1700000031000}"#,
        ],
    }
}

/// Makes a project of each template, and uses it; without a tool that the language needs that is said, and no failure.
fn its_projects_work(language: &str, prepare: impl Fn(&Path)) {
    let folder = Folder::new("sandbar-projects-");
    for template in TEMPLATES {
        let place = folder.path().join(format!("my-{template}"));
        let text = place.display().to_string();
        let made = run(&[
            "new",
            &text,
            "--language",
            language,
            "--template",
            template,
            "-o",
            "json",
        ]);
        assert_eq!(made.code, Some(0), "{language} {template}:\n{}", made.text);
        let value: serde_json::Value = serde_json::from_str(&made.text).unwrap();
        if value["missing"].as_array().is_some_and(|missing| !missing.is_empty()) {
            let build = run(&["build", &text]);
            assert_eq!(build.code, Some(1), "{}", build.text);
            assert!(build.text.contains("a tool is missing"), "{}", build.text);
            let why = format!("{}; `tests/setup languages` installs what can be had", value["missing"]);
            return skip(&format!("projects::in_{language}"), &why);
        }
        prepare(&place);
        its_project_works(&place, template);
    }
}

fn its_project_works(place: &Path, template: &str) {
    let text = place.display().to_string();
    let done = |what: &str, ended: &Ended| assert_eq!(ended.code, Some(0), "{what} in {text}:\n{}", ended.text);
    done("build", &Process::start(&["build", &text]).wait(seconds(600)));
    assert!(place.join(format!("my-{template}.wasm")).is_file());
    done("test", &Process::start(&["test", &text, "--matrix"]).wait(seconds(600)));
    let pipeline = place.join("pipeline.toml").display().to_string();
    let ran = Process::start(&["run", &pipeline]).wait(seconds(120));
    done("run", &ran);
    let records: Vec<&str> = ran.text.lines().filter(|line| line.starts_with("{\"key\"")).collect();
    assert_eq!(records, outputs(template), "{text}");
}

#[test]
fn in_rust() {
    let shared: PathBuf = target().join("test-projects/rust");
    std::fs::create_dir_all(&shared).unwrap();
    // Dependencies are compiled once for the four.
    its_projects_work("rust", |place| {
        std::os::unix::fs::symlink(&shared, place.join("target")).unwrap()
    });
}

#[test]
fn in_c() {
    its_projects_work("c", |_| ());
}

#[test]
fn in_cpp() {
    its_projects_work("cpp", |_| ());
}

#[test]
fn in_javascript() {
    its_projects_work("javascript", |_| ());
}

#[test]
fn in_typescript() {
    its_projects_work("typescript", |_| ());
}

#[test]
fn in_python() {
    its_projects_work("python", |_| ());
}

#[test]
fn in_go() {
    its_projects_work("go", |_| ());
}

#[test]
fn in_zig() {
    its_projects_work("zig", |_| ());
}

#[test]
fn in_assemblyscript() {
    its_projects_work("assemblyscript", |_| ());
}

/// The record of a dead letter runs again under gdb, which stops at a line of the plugin's source, and shows its
/// variables and what it was called with: as docs/dead-letters.md has it.
#[test]
fn a_debugger_stops_in_a_plugin_in_c_and_shows_its_variables() {
    let test = "projects::a_debugger_stops_in_a_plugin_in_c_and_shows_its_variables";
    if Command::new("gdb").arg("--version").output().is_err() {
        return skip(test, "there is no gdb");
    }
    let folder = Folder::new("sandbar-debugged-");
    let place = folder.path().join("counts");
    let text = place.display().to_string();
    let done = |ended: &Ended| assert_eq!(ended.code, Some(0), "{}", ended.text);
    let made = run(&["new", &text, "--language", "c", "-o", "json"]);
    if !made.text.contains(r#""missing":[]"#) {
        return skip(test, "the tools for C are missing");
    }
    let write = |name: &str, from: &str, to: &str| {
        let file = place.join(name);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from} in {text}");
        std::fs::write(file, text.replace(from, to)).unwrap();
    };
    write(
        "plugin.c",
        "    sb_put_int",
        "    if (event->value.size == 4) __builtin_trap();\n    sb_put_int",
    );
    write("pipeline.toml", "on-error = \"skip\"", "on-error = \"dead-letter\"");
    write(
        "pipeline.toml",
        "[sink.totals]",
        "[dead-letters]\nfile = \"dead.jsonl\"\n\n[sink.totals]",
    );
    std::fs::write(place.join("views.jsonl"), r#"{"key":"k","value":"trap","timestamp":1}"#).unwrap();
    done(&Process::start(&["build", &text]).wait(seconds(600)));
    let pipeline = place.join("pipeline.toml").display().to_string();
    done(&Process::start(&["run", &pipeline]).wait(seconds(120)));
    let gdb = Command::new("gdb")
        .args([
            "-batch",
            "-nx",
            "-ex",
            "set breakpoint pending on",
            "-ex",
            "break plugin.c:7",
        ])
        .args([
            "-ex",
            "run",
            "-ex",
            "next",
            "-ex",
            "print count",
            "-ex",
            "print __vmctx->set()",
        ])
        .args(["-ex", "print event->value.size", "-ex", "kill", "--args"])
        .arg(binary())
        .args(["dead-letters", "replay", &pipeline, "0/0", "--local", "--debugger"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&gdb.stdout);
    for said in ["hit Breakpoint 1", "plugin.c:7", "$1 = 1\n", "$3 = 4\n"] {
        assert!(
            told.contains(said),
            "{said:?} in\n{told}\n{}",
            String::from_utf8_lossy(&gdb.stderr)
        );
    }
}

/// The same word count without an SDK: `examples/languages`.
#[test]
fn the_word_count_of_languages_without_an_sdk() {
    for folder in std::fs::read_dir(root().join("examples/languages")).unwrap() {
        let folder = folder.unwrap().path();
        let text = folder.display().to_string();
        let build = Process::start(&["build", &text]).wait(seconds(900));
        if build.text.contains("a tool is missing") {
            skip("projects::the_word_count", &build.text.replace('\n', " "));
            continue;
        }
        assert_eq!(build.code, Some(0), "{text}:\n{}", build.text);
        let tested = Process::start(&["test", &text, "--matrix"]).wait(seconds(600));
        assert_eq!(tested.code, Some(0), "{text}:\n{}", tested.text);
    }
}

#[test]
fn what_cannot_be_a_project_is_refused_with_what_could() {
    let folder = Folder::new("sandbar-projects-");
    let place = |name: &str| folder.path().join(name).display().to_string();
    let new = |name: &str, language: &str| run(&["new", &place(name), "--language", language]);
    let unknown = new("views", "cobol");
    assert_eq!(unknown.code, Some(2));
    assert!(
        unknown.text.contains("there are assemblyscript, c, cpp, go"),
        "{}",
        unknown.text
    );
    assert_eq!(new("Views", "rust").code, Some(2));
    assert_eq!(new("views", "rust").code, Some(0));
    assert_eq!(
        new("views", "rust").code,
        Some(2),
        "a folder that is there is left alone"
    );
    let no_project = run(&["build", &folder.path().display().to_string()]);
    assert_eq!(no_project.code, Some(2));
    assert!(no_project.text.contains("sandbar new"), "{}", no_project.text);
    let wrapped = run(&["build", &place("views/pipeline.toml"), "--to", &place("x.wasm")]);
    assert_eq!(wrapped.code, Some(4));
    assert!(wrapped.text.contains("no WebAssembly"), "{}", wrapped.text);
}

/// A page on a language: the commands of its `sh` blocks run in their order in an empty folder, and what it shows of a
/// language stands so in a template or in an SDK.
#[test]
fn the_pages_on_languages_say_what_works() {
    let pages = std::fs::read_dir(root().join("docs/languages")).unwrap();
    let mut pages: Vec<PathBuf> = pages.map(|page| page.unwrap().path()).collect();
    pages.sort();
    assert!(pages.len() >= 10, "{pages:?}");
    let sources = sources();
    for page in pages {
        let text = std::fs::read_to_string(&page).unwrap();
        let name = page.file_stem().unwrap().to_string_lossy().into_owned();
        let mut script = String::new();
        for (language, block) in blocks(&text) {
            match language {
                "sh" => script.push_str(&block),
                "text" | "toml" | "wit" => {}
                _ => assert!(sources.contains(block.trim_end()), "{}:\n{block}", page.display()),
            }
        }
        its_commands_work(&name, &script);
    }
}

fn its_commands_work(page: &str, script: &str) {
    let folder = Folder::new("sandbar-page-");
    let mut language = script
        .split_once("--language ")
        .expect("a page makes a project")
        .1
        .split_whitespace();
    let language = language.next().unwrap();
    let tried = folder.path().join("tried").display().to_string();
    let made = run(&["new", &tried, "--language", language, "-o", "json"]);
    let value: serde_json::Value = serde_json::from_str(&made.text).unwrap();
    if value["missing"].as_array().is_some_and(|missing| !missing.is_empty()) {
        return skip(&format!("projects::the_page_{page}"), &value["missing"].to_string());
    }
    let path = std::env::var("PATH").unwrap_or_default();
    let empty = folder.path().join("empty");
    std::fs::create_dir(&empty).unwrap();
    let done = Command::new("sh")
        .args(["-euc", script])
        .current_dir(&empty)
        .env("PATH", format!("{}:{path}", binary().parent().unwrap().display()))
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    let said = [done.stdout, done.stderr]
        .map(|text| String::from_utf8_lossy(&text).into_owned())
        .concat();
    assert!(done.status.success(), "docs/languages/{page}.md:\n{said}");
}

/// Language and text of each block.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut found = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let block: String = lines
            .by_ref()
            .take_while(|line| *line != "```")
            .map(|line| format!("{line}\n"))
            .collect();
        found.push((language, block));
    }
    found
}

/// All that templates, SDKs, examples and tests of languages have, one behind the other.
fn sources() -> String {
    let mut text = String::new();
    let mut folders: Vec<PathBuf> = ["templates", "guest-sdk", "examples/languages", "tests/languages"]
        .iter()
        .map(|folder| root().join(folder))
        .collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if !path.ends_with("node_modules") => folders.push(path),
                true => {}
                false => text.push_str(&std::fs::read_to_string(&path).unwrap_or_default()),
            }
        }
    }
    text
}
