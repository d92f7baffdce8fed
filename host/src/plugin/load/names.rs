//! The rule for names that a plugin gives: to itself, and to what it declares.

use std::collections::HashSet;

use crate::plugin::limits::{DECLARED, NAME_CHARS, tame};

/// Whether what a plugin declares of one sort is not too much, and each has a name of its own; `what` is one of them.
pub(super) fn names<'a>(what: &str, said: impl ExactSizeIterator<Item = &'a String>) -> Result<(), String> {
    if said.len() > DECLARED {
        return Err(format!("it declares {} {what}s; {DECLARED} are the most", said.len()));
    }
    let mut seen = HashSet::new();
    for one in said {
        let article = if what.starts_with(['i', 'o']) { "an" } else { "a" };
        name(&format!("the name of {article} {what}"), one)?;
        if !seen.insert(one) {
            return Err(format!("it declares two {what}s of the name `{one}`"));
        }
    }
    Ok(())
}

/// A name stands in pipeline files, in labels and in messages, so it is kept to what can stand there without quotes.
pub(super) fn name(what: &str, said: &str) -> Result<(), String> {
    if said.is_empty() {
        return Err(format!("{what} is empty"));
    }
    if said.chars().count() > NAME_CHARS {
        return Err(format!(
            "{what} has more than {NAME_CHARS} characters: `{}`",
            tame(said, NAME_CHARS)
        ));
    }
    let plain = |char: char| char.is_alphanumeric() || matches!(char, '-' | '_' | '.');
    if !said.chars().all(plain) {
        let said = tame(said, 4 * NAME_CHARS);
        return Err(format!(
            "{what} has other characters than letters, digits, `-`, `_` and `.`: `{said}`"
        ));
    }
    Ok(())
}
