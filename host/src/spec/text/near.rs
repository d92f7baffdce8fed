//! What is meant by a word that is none of those that there are.

/// The word that a person most likely meant.
pub(in crate::spec) fn near<'a, T: AsRef<str> + ?Sized>(word: &str, known: &[&'a T]) -> Option<&'a T> {
    let likeness = |other: &T| strsim::jaro_winkler(word, other.as_ref());
    let best = (known.iter().copied()).max_by(|left, right| likeness(left).total_cmp(&likeness(right)))?;
    (likeness(best) > 0.8).then_some(best)
}
