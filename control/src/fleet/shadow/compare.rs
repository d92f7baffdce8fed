//! Compares what two versions put out for each key: how much, and which is the first that differs.
//!
//! Always: the memory that it takes has a bound, whatever is compared; a key is compared in whole or not at all.

use std::collections::HashMap;
use std::io;

use sha2::{Digest as _, Sha256};

use super::outputs::{KeptOutput, KeptOutputs};
use crate::model::canary::{CanaryReport, KeyDifference, KeyFate};

/// Keys that are compared at once, at most; with more, one of two is, of four, and so on.
const MOST_KEYS: usize = 1_000_000;
/// Keys that are shown.
const SHOWN: usize = 20;
/// Bytes of a key or an output that are shown.
const SHOWN_BYTES: usize = 200;
/// Outputs of a key among which the first that differs is looked for.
const MOST_OUTPUTS: usize = 100_000;

/// Stands for a key of a sink and of a partition of the input.
type KeyId = [u8; 16];
/// Stands for an output, or for a row of them.
type OutputPrint = [u8; 16];

/// The outputs of a key, of one version.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct OutputRow {
    count: u64,
    chain: OutputPrint,
}

/// The outputs of a key.
#[derive(Debug, Clone, Copy, Default)]
struct KeyRows {
    old: OutputRow,
    new: OutputRow,
}

impl OutputRow {
    fn add(&mut self, record: &str) {
        self.count += 1;
        self.chain = print(&[&self.chain, record.as_bytes()]);
    }
}

impl KeyRows {
    fn of_old(&mut self) -> &mut OutputRow {
        &mut self.old
    }

    fn of_new(&mut self) -> &mut OutputRow {
        &mut self.new
    }
}

/// Compares all sinks. The runs are still to be filled in, but for what is counted here.
///
/// # Errors
/// One of the files cannot be read, or is none of outputs.
pub(super) fn compare(old: &KeptOutputs, new: &KeptOutputs) -> io::Result<CanaryReport> {
    compare_within(old, new, MOST_KEYS)
}

fn compare_within(old: &KeptOutputs, new: &KeptOutputs, most: usize) -> io::Result<CanaryReport> {
    let mut sinks = old.sinks()?;
    sinks.extend(new.sinks()?);
    sinks.sort_unstable();
    sinks.dedup();
    let mut keys = KeySample::new(most);
    let mut report = CanaryReport::default();
    for sink in &sinks {
        for (outputs, of, run) in [
            (
                old,
                KeyRows::of_old as fn(&mut KeyRows) -> &mut OutputRow,
                &mut report.old,
            ),
            (new, KeyRows::of_new, &mut report.new),
        ] {
            outputs.each(sink, |output| {
                run.outputs += 1;
                if let Some(rows) = keys.rows(key_id(sink, &output)) {
                    of(rows).add(output.record);
                }
                Ok(())
            })?;
        }
    }
    report.old.dead_letters = old.dead_letters()?;
    report.new.dead_letters = new.dead_letters()?;
    report.one_of = 1 << keys.halved;
    // In the order of what stands for them: which keys are shown does not depend on the order in which they came.
    let mut apart: Vec<(KeyId, KeyFate)> = Vec::new();
    for (id, rows) in &keys.rows {
        report.keys += 1;
        let (count, fate) = match (rows.old.count, rows.new.count) {
            _ if rows.old == rows.new => {
                report.same += 1;
                continue;
            }
            (_, 0) => (&mut report.only_old, KeyFate::OnlyOld),
            (0, _) => (&mut report.only_new, KeyFate::OnlyNew),
            _ => (&mut report.differing, KeyFate::Differs),
        };
        *count += 1;
        apart.push((*id, fate));
        if apart.len() > 2 * SHOWN {
            apart.sort_unstable_by_key(|(id, _)| *id);
            apart.truncate(SHOWN);
        }
    }
    apart.sort_unstable_by_key(|(id, _)| *id);
    apart.truncate(SHOWN);
    drop(keys);
    report.shown = shown(&sinks, old, new, &apart)?;
    Ok(report)
}

/// The keys that are compared: all of them, or, if they are too many, those whose number begins with zeros.
struct KeySample {
    rows: HashMap<KeyId, KeyRows>,
    most: usize,
    /// How many of the first bits are zero.
    halved: u32,
}

impl KeySample {
    fn new(most: usize) -> Self {
        Self {
            rows: HashMap::new(),
            most,
            halved: 0,
        }
    }

    /// The outputs of a key, if it is one of those that are compared.
    fn rows(&mut self, id: KeyId) -> Option<&mut KeyRows> {
        while self.rows.len() >= self.most && !self.rows.contains_key(&id) && self.is_sampled(&id) {
            self.halved += 1;
            let halved = self.halved;
            self.rows.retain(|id, _| is_among(id, halved));
            self.rows.shrink_to_fit();
        }
        self.is_sampled(&id).then(|| self.rows.entry(id).or_default())
    }

    fn is_sampled(&self, id: &KeyId) -> bool {
        is_among(id, self.halved)
    }
}

fn is_among(id: &KeyId, halved: u32) -> bool {
    u128::from_be_bytes(*id).leading_zeros() >= halved
}

/// A key that is shown, as far as it was looked at.
struct ShownKey {
    difference: KeyDifference,
    prints: Vec<OutputPrint>,
    /// Outputs of the new version that were the same so far.
    same: usize,
    is_found: bool,
}

/// The first output that differs, of each of these keys.
fn shown(
    sinks: &[String],
    old: &KeptOutputs,
    new: &KeptOutputs,
    apart: &[(KeyId, KeyFate)],
) -> io::Result<Vec<KeyDifference>> {
    let fates: HashMap<KeyId, KeyFate> = apart.iter().copied().collect();
    let mut found: HashMap<KeyId, ShownKey> = HashMap::new();
    let begun = |sink: &str, output: &KeptOutput<'_>, fate: KeyFate| ShownKey {
        difference: KeyDifference {
            sink: sink.to_owned(),
            key: match output.is_binary {
                true => format!("base64 {}", cut(output.key)),
                false => cut(output.key),
            },
            fate,
            output: 0,
            old: None,
            new: None,
        },
        prints: Vec::new(),
        same: 0,
        is_found: false,
    };
    for sink in sinks {
        old.each(sink, |output| {
            let id = key_id(sink, &output);
            let Some(fate) = fates.get(&id) else { return Ok(()) };
            let key = found.entry(id).or_insert_with(|| begun(sink, &output, *fate));
            if key.prints.len() < MOST_OUTPUTS {
                key.prints.push(print(&[output.record.as_bytes()]));
            }
            Ok(())
        })?;
        new.each(sink, |output| {
            let id = key_id(sink, &output);
            let Some(fate) = fates.get(&id) else { return Ok(()) };
            let key = found.entry(id).or_insert_with(|| begun(sink, &output, *fate));
            if key.is_found || key.same >= MOST_OUTPUTS {
                return Ok(());
            }
            if key.prints.get(key.same) == Some(&print(&[output.record.as_bytes()])) {
                key.same += 1;
                return Ok(());
            }
            key.is_found = true;
            key.difference.new = Some(cut(output.record));
            Ok(())
        })?;
        let mut seen: HashMap<KeyId, usize> = HashMap::new();
        old.each(sink, |output| {
            let id = key_id(sink, &output);
            let Some(key) = found.get_mut(&id) else { return Ok(()) };
            let at = seen.entry(id).or_default();
            if *at == key.same && key.same < MOST_OUTPUTS {
                key.difference.old = Some(cut(output.record));
            }
            *at += 1;
            Ok(())
        })?;
    }
    let one = |(id, _): &(KeyId, KeyFate)| {
        let key = found.remove(id)?;
        Some(KeyDifference {
            output: key.same as u64 + 1,
            ..key.difference
        })
    };
    Ok(apart.iter().filter_map(one).collect())
}

fn key_id(sink: &str, output: &KeptOutput<'_>) -> KeyId {
    let kind = if output.is_binary { b"b" } else { b"t" };
    print(&[
        sink.as_bytes(),
        &[0],
        &output.from.to_le_bytes(),
        kind,
        output.key.as_bytes(),
    ])
}

fn print(parts: &[&[u8]]) -> OutputPrint {
    let mut hash = Sha256::new();
    parts.iter().for_each(|part| hash.update(part));
    let whole = hash.finalize();
    std::array::from_fn(|at| whole.get(at).copied().unwrap_or_default())
}

/// The beginning of a text.
fn cut(text: &str) -> String {
    if text.len() <= SHOWN_BYTES {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(SHOWN_BYTES);
    format!("{}…", text.get(..end).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// Outputs by key and value, from one partition.
    fn kept(outputs: impl IntoIterator<Item = (String, String)>) -> (tempfile::TempDir, KeptOutputs) {
        let folder = tempfile::tempdir().unwrap();
        let mut text = String::new();
        for (key, value) in outputs {
            let record = serde_json::json!({ "key": key, "value": value, "timestamp": 7 });
            writeln!(text, r#"{{"from":0,"record":{record}}}"#).unwrap();
        }
        std::fs::write(folder.path().join("out.jsonl"), text).unwrap();
        let kept = KeptOutputs::new(folder.path().to_owned());
        (folder, kept)
    }

    fn of(outputs: &[(&str, &str)]) -> (tempfile::TempDir, KeptOutputs) {
        kept(
            outputs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned())),
        )
    }

    #[test]
    fn the_order_of_keys_is_nothing_and_that_of_a_key_is_all() {
        let (_one, old) = of(&[("a", "1"), ("b", "1"), ("a", "2")]);
        let (_two, other_keys) = of(&[("b", "1"), ("a", "1"), ("a", "2")]);
        let same = compare(&old, &other_keys).unwrap();
        assert!(same.is_same() && same.keys == 2 && same.old.outputs == 3, "{same:?}");
        let (_three, other_order) = of(&[("a", "2"), ("b", "1"), ("a", "1")]);
        let differs = compare(&old, &other_order).unwrap();
        assert_eq!((differs.same, differs.differing, differs.is_same()), (1, 1, false));
        let shown = &differs.shown[0];
        assert_eq!(
            (shown.key.as_str(), shown.output, shown.fate),
            ("\"a\"", 1, KeyFate::Differs)
        );
        assert!(shown.old.as_ref().unwrap().contains("\"value\":\"1\""), "{shown:?}");
        assert!(shown.new.as_ref().unwrap().contains("\"value\":\"2\""), "{shown:?}");
    }

    #[test]
    fn what_only_one_version_puts_out_is_told_with_its_first_output() {
        let (_one, old) = of(&[("a", "1"), ("a", "2"), ("b", "1")]);
        let (_two, new) = of(&[("a", "1"), ("c", "1")]);
        let report = compare(&old, &new).unwrap();
        let counts = (
            report.keys,
            report.same,
            report.differing,
            report.only_old,
            report.only_new,
        );
        assert_eq!(counts, (3, 0, 1, 1, 1));
        let find = |key: &str| {
            report
                .shown
                .iter()
                .find(|shown| shown.key == format!("\"{key}\""))
                .unwrap()
        };
        assert_eq!((find("a").output, &find("a").new), (2, &None));
        assert!(find("a").old.as_ref().unwrap().contains("\"2\""));
        assert_eq!(
            (find("b").fate, find("b").output, &find("b").new),
            (KeyFate::OnlyOld, 1, &None)
        );
        assert_eq!(
            (find("c").fate, find("c").output, &find("c").old),
            (KeyFate::OnlyNew, 1, &None)
        );
    }

    #[test]
    fn dead_letters_count_and_a_sink_without_a_file_has_no_outputs() {
        let (one, old) = of(&[("a", "1")]);
        let (two, new) = of(&[("a", "1")]);
        std::fs::write(two.path().join("dead-letters.jsonl"), "{}\n").unwrap();
        let report = compare(&old, &new).unwrap();
        assert_eq!((report.same, report.is_same()), (1, false), "a dead letter more");
        std::fs::rename(one.path().join("out.jsonl"), one.path().join("other.jsonl")).unwrap();
        let report = compare(&old, &new).unwrap();
        assert_eq!((report.only_old, report.only_new), (1, 1));
    }

    #[test]
    fn huge_and_binary_keys_are_told_apart_and_cut() {
        let huge = "é".repeat(1 << 20);
        let (_one, old) = kept([
            (format!("{huge}1"), "v".repeat(5000)),
            (format!("{huge}2"), "v".to_owned()),
        ]);
        let (_two, new) = kept([
            (format!("{huge}1"), "v".to_owned()),
            (format!("{huge}2"), "v".to_owned()),
        ]);
        let report = compare(&old, &new).unwrap();
        assert_eq!((report.same, report.differing), (1, 1));
        let shown = &report.shown[0];
        assert!(
            shown.key.len() <= SHOWN_BYTES + 3 && shown.key.ends_with('…'),
            "{}",
            shown.key.len()
        );
        assert!(shown.old.as_ref().unwrap().len() <= SHOWN_BYTES + 3);
        let (folder, text) = of(&[("/w==", "v")]);
        let bytes = r#"{"from":0,"record":{"key-base64":"/w==","value":"v","timestamp":7}}"#;
        let (other, binary) = of(&[]);
        std::fs::write(other.path().join("out.jsonl"), bytes).unwrap();
        let report = compare(&text, &binary).unwrap();
        assert_eq!(
            (report.only_old, report.only_new),
            (1, 1),
            "a text is not the bytes that it stands for"
        );
        assert!(
            report.shown.iter().any(|shown| shown.key == "base64 \"/w==\""),
            "{report:?}"
        );
        drop(folder);
    }

    #[test]
    fn of_too_many_keys_a_part_is_compared_that_is_the_same_in_both() {
        let numbers = |last: &str| {
            let last = last.to_owned();
            (0..5000).map(move |key| {
                (
                    format!("key-{key}"),
                    if key % 2 == 0 { last.clone() } else { "v".to_owned() },
                )
            })
        };
        let ((_one, old), (_two, same)) = (
            kept(numbers("v")),
            kept(numbers("v").collect::<Vec<_>>().into_iter().rev()),
        );
        let report = compare_within(&old, &same, 1000).unwrap();
        assert!(
            report.keys <= 1000 && report.keys > 100 && report.is_same(),
            "{report:?}"
        );
        assert!(report.one_of >= 8 && report.one_of.is_power_of_two(), "{report:?}");
        let (_three, other) = kept(numbers("w"));
        let report = compare_within(&old, &other, 1000).unwrap();
        assert!(
            report.differing > report.keys / 4 && report.shown.len() == SHOWN,
            "{report:?}"
        );
    }

    #[test]
    fn a_million_keys_are_compared_in_whole() {
        let numbers = || (0..MOST_KEYS).map(|key| (key.to_string(), "v".to_owned()));
        let ((_one, old), (_two, new)) = (kept(numbers()), kept(numbers().skip(1)));
        let report = compare(&old, &new).unwrap();
        assert_eq!((report.keys, report.only_old, report.one_of), (MOST_KEYS as u64, 1, 1));
        assert_eq!(report.shown[0].key, "\"0\"");
    }
}
