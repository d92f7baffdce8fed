//! What a process of the program said of an error.

use serde_json::Value;

use crate::model::problem::{Problem, ProblemKind};

/// The error that stands last in what a verb said with `-o json`, if there is one. What Kafka does not have is not
/// found, whatever the verb's exit code means otherwise.
pub(in crate::fleet) fn told(text: &str, kind: ProblemKind) -> Option<Problem> {
    let error = |line: &str| serde_json::from_str::<Value>(line).ok()?.get("error").cloned();
    let error = text.lines().rev().find_map(error)?;
    let text = |name: &str| error[name].as_str().unwrap_or_default();
    let kind = match text("kind") {
        "absent" => ProblemKind::NotFound,
        _ => kind,
    };
    let problem = Problem::new(kind, text("what"), text("why"));
    Some(match text("hint") {
        "" => problem,
        hint => problem.hint(hint),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_error_is_told_with_its_hint_and_noise_is_none() {
        let text = "noise\n{\"error\":{\"what\":\"a\",\"why\":\"b\"}}\n\
            {\"error\":{\"what\":\"c\",\"why\":\"d\",\"hint\":\"e\"}}\n{\"event\":\"x\"}\n[1]\nmore noise\n";
        let problem = Problem::new(ProblemKind::Invalid, "c", "d").hint("e");
        assert_eq!(told(text, ProblemKind::Invalid), Some(problem));
        let text = "{\"error\":{\"what\":\"a\",\"why\":\"b\",\"kind\":\"absent\"}}";
        let problem = Problem::new(ProblemKind::NotFound, "a", "b");
        assert_eq!(told(text, ProblemKind::Unavailable), Some(problem));
        assert_eq!(told("noise\n[\"error\"]\n", ProblemKind::Invalid), None);
    }
}
