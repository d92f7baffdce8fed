//! The sentences in which files are refused: `refused.txt` holds each wrong file with the whole error.

use crate::error::Kind;

use super::parse;

/// A wrong file: title, text, `--set`s, and the error.
struct Case<'a> {
    title: &'a str,
    text: String,
    sets: Vec<&'a str>,
    error: &'a str,
}

fn cases() -> Vec<Case<'static>> {
    let blocks = include_str!("refused.txt").split(">>> ").skip(1);
    let case = |block: &'static str| {
        let (title, rest) = block.split_once('\n').unwrap();
        let (input, error) = rest.split_once("<<<\n").unwrap();
        let (sets, lines): (Vec<_>, Vec<_>) = input.lines().partition(|line| line.starts_with("--set "));
        Case {
            title,
            text: lines.iter().map(|line| format!("{line}\n")).collect(),
            sets: sets.iter().map(|line| &line["--set ".len()..]).collect(),
            error: error.trim_end(),
        }
    };
    blocks.map(case).collect()
}

#[test]
fn a_wrong_file_is_told_what_where_and_why() {
    let cases = cases();
    assert!(cases.len() > 60, "only {} cases were read", cases.len());
    let mut differences = Vec::new();
    for case in cases {
        match parse(&case.text, &case.sets) {
            Ok(_) => differences.push(format!(">>> {}\naccepted\n", case.title)),
            Err(error) if error.to_string() != case.error => {
                differences.push(format!(">>> {}\n{error}\n", case.title));
            }
            Err(error) => {
                let usage = case.error.contains("is not of the form");
                assert_eq!(
                    error.kind,
                    if usage { Kind::Usage } else { Kind::Invalid },
                    "{}",
                    case.title
                );
            }
        }
    }
    assert!(differences.is_empty(), "\n{}", differences.join("\n"));
}

/// The fields of a table in their order would be one: what looks for tables would not see it.
#[test]
fn a_list_is_no_table() {
    let whole = "name = \"a\"\nsource.in.topics = [\"in\"]\nsink.out.from = [\"in\"]\nsink.out.topic = \"out\"\n";
    let fine = format!("{whole}kafka.brokers = \"h:9\"\n");
    assert!(parse(&fine, &[]).is_ok());
    for (line, place) in [
        ("kafka = [\"h:9\", {}]", ":5:"),
        (
            "kafka.brokers = \"h:9\"\ncheckpoint = [\"1s\", \"/x\", 5, \"1m\", 0, {}]",
            ":6:",
        ),
        ("kafka.brokers = \"h:9\"\noperator.x = [\"/x\", [\"in\"], {}]", ":6:"),
        ("kafka.brokers = \"h:9\"\nstate = [\"/x\"]", ":6:"),
    ] {
        let error = parse(&format!("{whole}{line}\n"), &[]).unwrap_err().to_string();
        assert!(
            error.contains("expected a table") && error.contains(place),
            "{line}: {error}"
        );
    }
}

#[test]
fn a_secret_stands_in_no_error() {
    for case in cases() {
        if let Err(error) = parse(&case.text, &case.sets) {
            assert!(
                !format!("{error} {error:?}").contains("hunter2"),
                "{}: {error}",
                case.title
            );
        }
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = super::super::load(std::path::Path::new("no/such/pages.toml"), &[]).unwrap_err();
    assert_eq!(error.kind.exit_code(), 3);
    assert_eq!(error.what, "failed to read `no/such/pages.toml`");
}

#[test]
fn any_text_is_refused_without_a_panic() {
    let whole = include_str!("whole.toml");
    for end in (0..whole.len()).filter(|end| whole.is_char_boundary(*end)) {
        _ = parse(&whole[..end], &[]);
        _ = parse(&whole[end..], &[]);
    }
    for odd in [
        "\u{feff}",
        "\0",
        "=",
        "[",
        "a.b.c",
        "\r\n\r\n",
        "name = \"p\"\n[source.\"\u{1F980}\"]\n",
    ] {
        _ = parse(odd, &[odd]);
        _ = parse(odd, &["=", "==", "a=", "\"=", "a.=1", "a..b=1", "[a]=1", "a=\n"]);
    }
}
