//! What differs between two versions of a text, line by line.
//!
//! Never takes long: two texts that differ in very many lines are shown one after the other.

use std::collections::BTreeMap;

use crate::model::names::Digest;

/// Pairs of lines that are compared, at most.
const MOST_PAIRS: usize = 1 << 20;
/// Lines around a change that are shown too.
const AROUND: usize = 3;

/// What differs from one text to another: lines of both begin with a space, lines of the old one with `-`, of the new
/// one with `+`. Nothing if they are the same.
pub(super) fn difference(old: &str, new: &str) -> Vec<String> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let before = old.iter().zip(&new).take_while(|(old, new)| old == new).count();
    let (old_rest, new_rest) = (&old[before..], &new[before..]);
    let both = old_rest.iter().rev().zip(new_rest.iter().rev());
    let after = both.take_while(|(old, new)| old == new).count();
    let (old_part, new_part) = (&old_rest[..old_rest.len() - after], &new_rest[..new_rest.len() - after]);
    if old_part.is_empty() && new_part.is_empty() {
        return Vec::new();
    }
    let lead = &old[before.saturating_sub(AROUND)..before];
    let trail = &old_rest[old_part.len()..];
    let mut lines: Vec<String> = lead.iter().map(|line| format!(" {line}")).collect();
    lines.extend(between(old_part, new_part));
    lines.extend(trail.iter().take(AROUND).map(|line| format!(" {line}")));
    lines
}

/// By the longest lines that both have in the same order.
fn between(old: &[&str], new: &[&str]) -> Vec<String> {
    let removed = |line: &&str| format!("-{line}");
    let added = |line: &&str| format!("+{line}");
    if old.len().saturating_mul(new.len()) > MOST_PAIRS {
        return old.iter().map(removed).chain(new.iter().map(added)).collect();
    }
    let width = new.len() + 1;
    let mut common = vec![0_u32; (old.len() + 1) * width];
    for at in (0..old.len()).rev() {
        for to in (0..new.len()).rev() {
            common[at * width + to] = match old[at] == new[to] {
                true => common[(at + 1) * width + to + 1] + 1,
                false => common[(at + 1) * width + to].max(common[at * width + to + 1]),
            };
        }
    }
    let (mut at, mut to, mut lines) = (0, 0, Vec::new());
    while at < old.len() && to < new.len() {
        if old[at] == new[to] {
            lines.push(format!(" {}", old[at]));
            (at, to) = (at + 1, to + 1);
        } else if common[(at + 1) * width + to] >= common[at * width + to + 1] {
            lines.push(removed(&old[at]));
            at += 1;
        } else {
            lines.push(added(&new[to]));
            to += 1;
        }
    }
    lines.extend(old[at..].iter().map(removed));
    lines.extend(new[to..].iter().map(added));
    lines
}

/// What differs in the plugins of operators, as lines of a file would.
pub(super) fn of_plugins(old: &BTreeMap<String, Digest>, new: &BTreeMap<String, Digest>) -> Vec<String> {
    let line = |(operator, digest): (&String, &Digest)| format!("{operator}: {digest}");
    let gone = old
        .iter()
        .filter(|(operator, digest)| new.get(*operator) != Some(*digest));
    let come = new
        .iter()
        .filter(|(operator, digest)| old.get(*operator) != Some(*digest));
    let gone = gone.map(|one| format!("-plugin of {}", line(one)));
    gone.chain(come.map(|one| format!("+plugin of {}", line(one))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_went_and_came_are_told_with_those_around() {
        let (old, new) = ("1\n2\n3\n4\n5\na\nb\nc\n6\n", "1\n2\n3\n4\n5\na\nx\nc\ny\n6\n");
        assert_eq!(difference(old, new), [" 4", " 5", " a", "-b", "+x", " c", "+y", " 6"]);
        assert_eq!(difference("", "a\nb\n"), ["+a", "+b"]);
        assert_eq!(difference("a\n", ""), ["-a"]);
        assert_eq!(difference(old, old), [] as [&str; 0]);
    }

    #[test]
    fn either_text_can_be_made_of_the_lines() {
        let texts = ["", "a", "a\nb", "b\na", "a\na\nb\na", "c\na\nb\nb\na\nc"];
        for (old, new) in texts.iter().flat_map(|old| texts.iter().map(move |new| (old, new))) {
            let lines = difference(old, new);
            let without = |sign: char| {
                lines
                    .iter()
                    .filter(move |line| !line.starts_with(sign))
                    .map(|line| &line[1..])
            };
            let shown = |text: &str, of: Vec<&str>| lines.is_empty() || text.contains(&of.join("\n"));
            assert!(shown(old, without('+').collect()), "{old:?} {new:?} {lines:?}");
            assert!(shown(new, without('-').collect()), "{old:?} {new:?} {lines:?}");
        }
    }

    #[test]
    fn very_many_lines_are_not_compared_in_pairs() {
        let text = |sign: char| (0..3000).map(|n| format!("{sign}{n}\n")).collect::<String>();
        assert_eq!(difference(&text('a'), &text('b')).len(), 6000);
    }

    #[test]
    fn plugins_that_differ_are_told() {
        let digest = |byte: u8| Digest::of_hash(&[byte; 32]);
        let old = BTreeMap::from([("a".to_owned(), digest(1)), ("b".to_owned(), digest(2))]);
        let new = BTreeMap::from([("a".to_owned(), digest(1)), ("b".to_owned(), digest(3))]);
        let lines = of_plugins(&old, &new);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("-plugin of b: sha256:02") && lines[1].starts_with("+plugin of b: sha256:03"));
    }
}
