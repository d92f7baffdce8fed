//! The text format of Prometheus: read from many processes, given whose it is, and written as one.
//!
//! Never passes on a line that is not read in full: a process is one of a tenant's. Always: the lines of a metric stand
//! together, and each sample has the labels that say whose it is, whatever it said itself.

use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The kinds of metrics that the format has.
const KINDS: [&str; 5] = ["counter", "gauge", "histogram", "summary", "untyped"];
/// Ends of the names of samples that belong to a metric of another name.
const ENDS: [&str; 3] = ["_bucket", "_sum", "_count"];

/// The content type of the format.
pub(super) const TEXT: &str = "text/plain; version=0.0.4";

/// Metrics by name.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    metrics: BTreeMap<String, MetricLines>,
    bytes: usize,
}

/// What is said of a metric.
#[derive(Debug, Default)]
struct MetricLines {
    help: Option<String>,
    kind: Option<String>,
    samples: String,
}

/// A sample as it came.
#[derive(Debug, PartialEq)]
struct Sample<'a> {
    name: &'a str,
    /// Each name with its value, quotes and escapes as they came.
    labels: Vec<(&'a str, &'a str)>,
    /// The value, and the time if there is one.
    value: &'a str,
}

impl Exposition {
    /// Adds what a process said, as that of this owner.
    pub(super) fn add(&mut self, text: &str, owner: &[(&str, &str)]) {
        let mut current = "";
        for line in text.lines() {
            if let Some((name, word, rest)) = comment(line) {
                current = name;
                let metric = self.metrics.entry(name.to_owned()).or_default();
                match word {
                    "HELP" => drop(metric.help.get_or_insert_with(|| rest.to_owned())),
                    _ => drop(metric.kind.get_or_insert_with(|| rest.to_owned())),
                }
                self.bytes += line.len();
            } else if let Some(sample) = sample(line) {
                let is_of_current =
                    sample.name == current || ENDS.iter().any(|end| sample.name.strip_suffix(end) == Some(current));
                let name = if is_of_current { current } else { sample.name };
                let metric = self.metrics.entry(name.to_owned()).or_default();
                let before = metric.samples.len();
                sample.write(owner, &mut metric.samples);
                self.bytes += metric.samples.len() - before;
            }
        }
    }

    /// Bytes that it is about to have.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// As text.
    pub(super) fn into_text(self) -> String {
        let mut text = String::with_capacity(self.bytes);
        for (name, metric) in self.metrics {
            for (word, said) in [("HELP", metric.help), ("TYPE", metric.kind)] {
                if let Some(said) = said {
                    text += &format!("# {word} {name} {said}\n");
                }
            }
            text += &metric.samples;
        }
        text
    }
}

impl Sample<'_> {
    fn write(&self, owner: &[(&str, &str)], to: &mut String) {
        let own = owner.iter().map(|(name, value)| format!("{name}=\"{value}\""));
        let is_free = |(name, _): &&(&str, &str)| !owner.iter().any(|(own, _)| own == name);
        let said = self
            .labels
            .iter()
            .filter(is_free)
            .map(|(name, value)| format!("{name}=\"{value}\""));
        let labels: Vec<String> = own.chain(said).collect();
        let _cannot_fail = writeln!(to, "{}{{{}}} {}", self.name, labels.join(","), self.value);
    }
}

/// A comment that says something of a metric: of which, what sort of, and what.
fn comment(line: &str) -> Option<(&str, &str, &str)> {
    let (word, rest) = line.strip_prefix("# ")?.split_once(' ')?;
    let (name, said) = rest.split_once(' ').unwrap_or((rest, ""));
    let is_taken = match word {
        "HELP" => true,
        "TYPE" => KINDS.contains(&said),
        _ => false,
    };
    (is_taken && is_name(name, true)).then_some((name, word, said))
}

/// A sample: a name, perhaps labels, a value, and perhaps a time.
fn sample(line: &str) -> Option<Sample<'_>> {
    let end = line.find(['{', ' '])?;
    let (name, rest) = line.split_at_checked(end)?;
    let (labels, rest) = match rest.strip_prefix('{') {
        Some(rest) => labels(rest)?,
        None => (Vec::new(), rest),
    };
    let value = rest.trim();
    let mut words = value.split_ascii_whitespace();
    let is_number = words.next()?.parse::<f64>().is_ok();
    let is_at_a_time = words.next().is_none_or(|time| time.parse::<i64>().is_ok());
    let is_whole = is_name(name, true) && is_number && is_at_a_time && words.next().is_none();
    is_whole.then_some(Sample { name, labels, value })
}

/// Labels up to the closing brace, and what stands behind it.
fn labels(text: &str) -> Option<(Vec<(&str, &str)>, &str)> {
    let (mut labels, mut rest) = (Vec::new(), text);
    loop {
        rest = rest.trim_start_matches(' ');
        if let Some(rest) = rest.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, quoted) = rest.split_once("=\"")?;
        let end = end_of_value(quoted)?;
        let (value, behind) = quoted.split_at_checked(end)?;
        if !is_name(name, false) {
            return None;
        }
        labels.push((name, value));
        rest = behind.strip_prefix('"')?;
        rest = match rest.strip_prefix(',') {
            Some(rest) => rest,
            None if rest.starts_with('}') => rest,
            None => return None,
        };
    }
}

/// Where the quote is that ends a value; each backslash stands before what it means.
fn end_of_value(text: &str) -> Option<usize> {
    let mut bytes = text.bytes().enumerate();
    while let Some((at, byte)) = bytes.next() {
        match byte {
            b'"' => return Some(at),
            b'\\' if !matches!(bytes.next()?.1, b'\\' | b'"' | b'n') => return None,
            _ => {}
        }
    }
    None
}

/// Whether it is the name of a metric, which may have colons, or of a label.
fn is_name(text: &str, may_have_colons: bool) -> bool {
    let is_of_it = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || (may_have_colons && byte == b':');
    !text.is_empty() && !text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(is_of_it)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(texts: &[(&str, &str)]) -> String {
        let mut all = Exposition::default();
        for (pipeline, text) in texts {
            all.add(text, &[("tenant", "t"), ("pipeline", pipeline)]);
        }
        all.into_text()
    }

    #[test]
    fn each_sample_says_whose_it_is_whatever_it_said_itself() {
        let text = "# HELP a_total What\\nit is.\n# TYPE a_total counter\na_total 1\na_total{x=\"y\"} 2 1700000000000\n\
            b{pipeline=\"t--other\",tenant=\"x\",le=\"+Inf\"} +Inf\nb{} NaN\n";
        let expected = "# HELP a_total What\\nit is.\n# TYPE a_total counter\na_total{tenant=\"t\",pipeline=\"p\"} 1\n\
            a_total{tenant=\"t\",pipeline=\"p\",x=\"y\"} 2 1700000000000\n\
            b{tenant=\"t\",pipeline=\"p\",le=\"+Inf\"} +Inf\nb{tenant=\"t\",pipeline=\"p\"} NaN\n";
        assert_eq!(of(&[("p", text)]), expected);
    }

    #[test]
    fn the_lines_of_a_metric_stand_together() {
        let text = |n: u8| {
            format!("# TYPE h histogram\nh_bucket{{le=\"1\"}} {n}\nh_sum {n}\nh_count {n}\n# TYPE a gauge\na {n}\n")
        };
        let whose = |n: u8| format!("{{tenant=\"t\",pipeline=\"p{n}\"}} {n}\n");
        let lines = |n: u8| {
            let bucket = format!("h_bucket{{tenant=\"t\",pipeline=\"p{n}\",le=\"1\"}} {n}\n");
            bucket + &format!("h_sum{}h_count{}", whose(n), whose(n))
        };
        let expected = format!(
            "# TYPE a gauge\na{}a{}# TYPE h histogram\n{}{}",
            whose(1),
            whose(2),
            lines(1),
            lines(2)
        );
        assert_eq!(of(&[("p1", &text(1)), ("p2", &text(2))]), expected);
    }

    #[test]
    fn a_value_may_have_any_sign_and_ends_where_its_quote_is() {
        let hostile = r#"a{x="} 1 \" , y=\"z\\",z="{}"} 1"#;
        let expected = format!(
            "a{{tenant=\"t\",pipeline=\"p\",{} 1\n",
            &r#"x="} 1 \" , y=\"z\\",z="{}"}"#
        );
        assert_eq!(of(&[("p", hostile)]), expected);
    }

    #[test]
    fn a_line_that_is_not_read_in_full_goes_no_further() {
        for line in [
            "",
            "#",
            "# EOF",
            "# TYPE a nothing",
            "# TYPE 1a gauge",
            "# HELP a\"b x",
            "a",
            "a b",
            "a 1 b",
            "a 1 2 3",
            "1a 1",
            "a{x=1} 1",
            "a{x=\"1} 1",
            "a{x=\"\\t\"} 1",
            "a{x=\"1\"",
            "a{x=\"1\"y=\"2\"} 1",
            "a{x:y=\"1\"} 1",
            "a{=\"1\"} 1",
            "a{x=\"1\"}1 # {} 1",
            "é 1",
            "a\u{a0}1",
        ] {
            assert_eq!(of(&[("p", line)]), "", "{line}");
        }
    }
}
