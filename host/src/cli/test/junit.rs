//! What a test found as JUnit's XML, which the machines that run tests read: a test a run of a case.

use std::fmt::Write;

use super::case_report::found;
use crate::cases::{CaseVerdict, RunVerdict};

/// The report of all cases of a plugin or a pipeline.
pub(super) fn report(subject: &str, verdicts: &[CaseVerdict]) -> String {
    let runs = || verdicts.iter().flat_map(|verdict| &verdict.runs);
    let failed = runs().filter(|run| !run.is_ok()).count();
    let skipped = runs().filter(|run| run.left_out.is_some()).count();
    let seconds: f64 = runs().map(|run| run.took.as_secs_f64()).sum();
    let mut xml = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n");
    let _cannot_fail = writeln!(
        xml,
        "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{skipped}\" time=\"{seconds:.3}\">",
        escaped(subject),
        runs().count(),
    );
    for verdict in verdicts {
        for run in &verdict.runs {
            write_run(subject, &verdict.name, run, &mut xml);
        }
    }
    xml.push_str("  </testsuite>\n</testsuites>");
    xml
}

fn write_run(subject: &str, case: &str, run: &RunVerdict, xml: &mut String) {
    let (class, name) = (escaped(&format!("{subject}.{case}")), escaped(&run.name));
    let seconds = run.took.as_secs_f64();
    let _cannot_fail = write!(
        xml,
        "    <testcase classname=\"{class}\" name=\"{name}\" time=\"{seconds:.3}\""
    );
    let inside = match (&run.left_out, run.is_ok()) {
        (Some(why), _) => format!("<skipped message=\"{}\"/>", escaped(why)),
        (None, true) => {
            xml.push_str("/>\n");
            return;
        }
        (None, false) => {
            let text = found(run);
            let first = text.lines().next().unwrap_or_default().trim();
            format!("<failure message=\"{}\">{}</failure>", escaped(first), escaped(&text))
        }
    };
    let _cannot_fail = writeln!(xml, ">{inside}</testcase>");
}

/// Text as XML takes it; what XML cannot hold is a question mark.
fn escaped(text: &str) -> String {
    let mut xml = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => xml.push_str("&amp;"),
            '<' => xml.push_str("&lt;"),
            '>' => xml.push_str("&gt;"),
            '"' => xml.push_str("&quot;"),
            '\n' | '\t' => xml.push(letter),
            '\u{0}'..'\u{20}' | '\u{fffe}' | '\u{ffff}' => xml.push('?'),
            _ => xml.push(letter),
        }
    }
    xml
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Difference;
    use std::time::Duration;

    #[test]
    fn a_run_is_a_test_and_its_text_is_escaped() {
        let run = |name: &str, differences: Vec<Difference>, left_out: Option<&str>| RunVerdict {
            name: name.to_owned(),
            differences,
            error: None,
            left_out: left_out.map(str::to_owned),
            took: Duration::from_millis(1500),
        };
        let difference = Difference {
            place: "output.jsonl:1".to_owned(),
            what: "differs at value".to_owned(),
            expected: Some("\"<a & b>\"\u{1}".to_owned()),
            got: None,
            after: Some(2),
        };
        let verdict = CaseVerdict {
            name: "late".to_owned(),
            runs: vec![
                run("1 by 1", vec![difference], None),
                run("other", Vec::new(), None),
                run("moved", Vec::new(), Some("why")),
            ],
            blessed: Vec::new(),
            blessed_faults: 0,
            expects_nothing: false,
        };
        let head = "output.jsonl:1 differs at value, after input.jsonl:2";
        let text = format!("  {head}\n    expected &quot;&lt;a &amp; b&gt;&quot;?\n    got      nothing\n");
        let golden = format!(
            r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites>
  <testsuite name="count" tests="3" failures="1" skipped="1" time="4.500">
    <testcase classname="count.late" name="1 by 1" time="1.500"><failure message="{head}">{text}</failure></testcase>
    <testcase classname="count.late" name="other" time="1.500"/>
    <testcase classname="count.late" name="moved" time="1.500"><skipped message="why"/></testcase>
  </testsuite>
</testsuites>"#
        );
        assert_eq!(report("count", &[verdict]), golden);
    }
}
