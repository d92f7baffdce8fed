//! The plugin `every` of `tests/languages`, written once in each language: the same comes of all of them, in both
//! worlds of the interface.

use sandbar_tests::process::Process;
use sandbar_tests::wait::seconds;
use sandbar_tests::{root, skip, target};
use std::path::{Path, PathBuf};

fn its_cases_come_out(component: &Path) {
    let (cases, plugin) = (root().join("tests/languages"), component.display().to_string());
    let cases = cases.display().to_string();
    let ended = Process::start(&["test", &cases, "--plugin", &plugin, "--matrix"]).wait(seconds(600));
    assert_eq!(ended.code, Some(0), "{plugin}:\n{}", ended.text);
    assert!(ended.text.contains("12 passed, 0 failed"), "{plugin}:\n{}", ended.text);
}

#[test]
fn the_same_comes_of_rust_in_both_worlds() {
    its_cases_come_out(&target().join("guests/every.wasm"));
    its_cases_come_out(&target().join("record-plugins/every.wasm"));
}

/// Other languages need their tool chains: `make languages` fetches them and builds what is missing here.
#[test]
fn the_same_comes_of_every_other_language() {
    let entries = std::fs::read_dir(root().join("tests/languages")).unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.join("build.sh").is_file());
    folders.sort();
    assert!(folders.len() >= 5, "only {folders:?} have a plugin");
    let mut missing = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let component = target().join("languages").join(format!("{name}.wasm"));
        match component.is_file() {
            true => its_cases_come_out(&component),
            false => missing.push(name),
        }
    }
    if !missing.is_empty() {
        let why = format!("{} not built; `make languages` does it", missing.join(", "));
        skip("languages::the_same_comes_of_every_other_language", &why);
    }
}

/// A component is not built anew with the SDK: what was published runs as it is.
#[test]
fn components_that_were_published_still_run() {
    let mut components = 0;
    for version in std::fs::read_dir(root().join("tests/published")).unwrap() {
        let folder = version.unwrap().path();
        for file in std::fs::read_dir(&folder).into_iter().flatten() {
            let component = file.unwrap().path();
            if component.extension().is_none_or(|end| end != "wasm") {
                continue;
            }
            let bytes = std::fs::metadata(&component).unwrap().len();
            assert!(bytes <= 300 << 10, "{} has {bytes} bytes", component.display());
            let words = [
                "test".as_ref(),
                folder.as_os_str(),
                "--plugin".as_ref(),
                component.as_os_str(),
            ];
            let ended = Process::start(&words).wait(seconds(60));
            assert_eq!(ended.code, Some(0), "{}:\n{}", component.display(), ended.text);
            assert!(ended.text.contains("2 passed, 0 failed"), "{}", ended.text);
            components += 1;
        }
    }
    assert!(components >= 3, "only {components} were found");
}

/// An SDK's package has to have the interface in it.
#[test]
fn the_interface_that_an_sdk_brings_along_is_the_interface() {
    for copy in ["python/sandbar_sdk/wit", "javascript/wit/deps/sandbar"] {
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
