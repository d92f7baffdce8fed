//! The paths in a file's code: those of its `use` lines, with the names that they bring, and those in between.

use super::files::{identifier, is_word};

/// `use path as name`.
pub(super) struct Use {
    pub(super) path: Vec<String>,
    pub(super) name: String,
}

/// The `use` lines of a code, and the code without them.
pub(super) fn take_uses(code: &str) -> (Vec<Use>, String) {
    let (mut uses, mut rest, mut open) = (Vec::new(), String::new(), None::<String>);
    for line in code.lines() {
        let words = line.trim_start();
        let begins = words.split_once("use ").is_some_and(|(before, _)| {
            ["", "pub "].contains(&before) || before.starts_with("pub(") && before.ends_with(") ")
        });
        match open.take() {
            Some(begun) => open = Some(begun + words),
            None if begins => open = words.split_once("use ").map(|(_, tree)| tree.to_owned()),
            None => rest = rest + line + "\n",
        }
        if let Some(tree) = open.take_if(|tree| tree.ends_with(';')) {
            branches(tree.trim_end_matches(';'), &[], &mut uses);
        }
    }
    (uses, rest)
}

/// The paths of a `use` tree.
fn branches(tree: &str, before: &[String], uses: &mut Vec<Use>) {
    let tree = tree.trim();
    if let Some((path, group)) = tree.split_once('{') {
        let before = [before, &segments(path)].concat();
        let (mut depth, mut begin) = (0, 0);
        let group = group.strip_suffix('}').unwrap_or(group);
        for (at, letter) in group.char_indices().chain([(group.len(), ',')]) {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                ',' if depth == 0 => {
                    branches(&group[begin..at], &before, uses);
                    begin = at + 1;
                }
                _ => {}
            }
        }
        return;
    }
    let (path, alias) = tree
        .split_once(" as ")
        .map_or((tree, None), |(path, alias)| (path, Some(alias)));
    let mut path = [before, &segments(path)].concat();
    path.pop_if(|last| last == "self");
    if let Some(last) = path.last().cloned() {
        let name = alias.map_or(last, str::to_owned);
        uses.push(Use { path, name });
    }
}

fn segments(path: &str) -> Vec<String> {
    let segments = path.split("::").map(str::trim);
    segments
        .filter(|segment| !segment.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Each path of a code: names with `::` between them.
pub(super) fn inline_paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    let mut from = 0;
    while let Some(found) = code[from..].find("::") {
        let at = from + found;
        let start = code[..at]
            .rfind(|letter| !is_word(letter))
            .map_or(0, |before| before + 1);
        let mut path = vec![code[start..at].to_owned()];
        from = at;
        while let Some(rest) = code[from..].strip_prefix("::") {
            let segment = identifier(rest);
            from += 2 + segment.len();
            if segment.is_empty() {
                break;
            }
            path.push(segment);
        }
        if path.len() > 1 && !path[0].is_empty() {
            paths.push(path);
        }
    }
    paths
}
