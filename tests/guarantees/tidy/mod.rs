//! The repository's rules as tables, a file a subject: each rule fails with the sentence that explains it, and each is
//! shown to fail on a snippet.

mod files;
mod layout;
mod size;
mod habits;
mod use_paths;
mod imports;
mod type_names;
mod prose;

use files::{File, repository};

/// A rule over all files; what it finds names the file.
struct Rule {
    sentence: &'static str,
    find: fn(&[File]) -> Vec<String>,
    /// Files that break it: each by itself, or all of them together.
    broken: &'static [(&'static str, &'static str)],
}

fn rules() -> impl Iterator<Item = &'static Rule> {
    let subjects = [
        layout::RULES,
        size::RULES,
        habits::RULES,
        imports::RULES,
        type_names::RULES,
        prose::RULES,
    ];
    subjects.into_iter().flatten()
}

#[test]
fn the_repository_keeps_its_rules() {
    let files = repository();
    assert!(files.len() > 30, "the repository was found");
    let broken = |rule: &Rule| {
        let found = (rule.find)(&files);
        (!found.is_empty()).then(|| format!("{}\n    {}", rule.sentence, found.join("\n    ")))
    };
    let broken: Vec<String> = rules().filter_map(broken).collect();
    assert!(broken.is_empty(), "\n{}", broken.join("\n"));
}

#[test]
fn every_rule_can_fail() {
    for rule in rules() {
        let files: Vec<File> = rule.broken.iter().map(|(path, text)| File::new(path, text)).collect();
        let groups: Vec<&[File]> = if (rule.find)(&files[..1]).is_empty() {
            vec![&files]
        } else {
            files.chunks(1).collect()
        };
        for group in groups {
            assert!(
                !(rule.find)(group).is_empty(),
                "nothing found in {}: {}",
                group[0].path,
                rule.sentence
            );
        }
    }
}

#[test]
fn a_clean_file_breaks_no_rule() {
    let text = "//! Owns.\nuse crate::{error::Error, record::Records};\nuse super::other;\n\
                /// Does.\npub fn f() {\n    g();\n}\n";
    for rule in rules() {
        assert!(
            (rule.find)(&[File::new("host/src/source/a.rs", text)]).is_empty(),
            "{}",
            rule.sentence
        );
    }
}
