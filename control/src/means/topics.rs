//! Which topics a tenant may read and write.
//!
//! Always: a pattern is the name of a topic, or its beginning and a `*`.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa::openapi::schema::{ArrayBuilder, Schema, SchemaType, Type};

use crate::model::problem::{Problem, ProblemKind, Result};
use crate::model::texts::text_of;

/// Patterns of a list, at most.
const MOST_PATTERNS: usize = 64;
/// Characters of a topic's name, at most, as Kafka has it.
const TOPIC_CHARS: usize = 249;

/// Which topics a tenant may read and write.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Access {
    /// Those that it may read: names, or beginnings of names with a `*` behind, 64 at most. An empty list: none.
    /// Without it: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = patterns)]
    pub reads: Option<Vec<String>>,
    /// Those that it may write, in the same way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(schema_with = patterns)]
    pub writes: Option<Vec<String>>,
}

impl Access {
    /// Whether each pattern is one, and there are not too many.
    ///
    /// # Errors
    ///
    /// `Invalid` if not.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        for (called, patterns) in [("reads", &self.reads), ("writes", &self.writes)] {
            let patterns = patterns.as_deref().unwrap_or_default();
            let refused = |why: String| Err(Problem::new(ProblemKind::Invalid, what, why));
            if patterns.len() > MOST_PATTERNS {
                let count = patterns.len();
                return refused(format!(
                    "{called} has {count} patterns, and {MOST_PATTERNS} are taken at most"
                ));
            }
            if let Some(wrong) = patterns.iter().find(|pattern| !is_pattern(pattern)) {
                let shown: String = wrong.chars().take(TOPIC_CHARS).collect();
                return refused(format!(
                    "{shown:?} in {called} is no pattern: one is the name of a topic, or its beginning and a `*`"
                ));
            }
        }
        Ok(())
    }
}

/// What the document says of a list of patterns.
fn patterns() -> Schema {
    let pattern = text_of(r"^(?!\.{1,2}$)([A-Za-z0-9._-]{1,249}\*?|\*)$", TOPIC_CHARS + 1);
    let list = ArrayBuilder::new().items(pattern).max_items(Some(MOST_PATTERNS));
    let is_list_or_nothing = SchemaType::from_iter([Type::Array, Type::Null]);
    list.schema_type(is_list_or_nothing).into()
}

fn is_pattern(text: &str) -> bool {
    let is_of_topic = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let begin = text.strip_suffix('*').unwrap_or(text);
    let is_name = !matches!(text, "" | "." | "..");
    is_name && begin.len() <= TOPIC_CHARS && begin.chars().all(is_of_topic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_a_name_or_a_beginning_with_a_star() {
        for text in ["a", "team.*", "*", "A_b-c.9", &"x".repeat(249), "..a", ".*"] {
            assert!(is_pattern(text), "{text}");
        }
        for text in [
            "",
            ".",
            "..",
            "a*b",
            "**",
            "*a",
            "a b",
            "a/b",
            "ä",
            "a\0",
            "a\n",
            "^a",
            "a?",
            &"x".repeat(250),
        ] {
            assert!(!is_pattern(text), "{text:?}");
            let access = Access {
                reads: None,
                writes: Some(vec!["ok".to_owned(), text.to_owned()]),
            };
            let problem = access.check("failed").unwrap_err();
            assert!(problem.why.contains("in writes is no pattern"), "{problem}");
        }
    }

    #[test]
    fn a_list_has_sixty_four_patterns_at_most() {
        let of = |count| Access {
            reads: Some(vec!["a".to_owned(); count]),
            writes: None,
        };
        assert!(of(64).check("failed").is_ok() && of(0).check("failed").is_ok());
        assert!(Access::default().check("failed").is_ok());
        let problem = of(65).check("failed").unwrap_err();
        assert!(problem.why.contains("65 patterns, and 64"), "{problem}");
    }
}
