//! JSON as short as it can be written.

/// JSON without the spaces between its parts; nothing else of it changes.
#[must_use]
pub fn compact(json: &str) -> String {
    let (mut is_text, mut is_escaped) = (false, false);
    let keeps = |letter: &char| {
        let is_space = matches!(letter, ' ' | '\t' | '\n' | '\r') && !is_text;
        match letter {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => is_text = !is_text,
            _ => {}
        }
        !is_space
    };
    json.chars().filter(keeps).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_loses_its_spaces_and_no_others() {
        assert_eq!(
            compact(" { \"a b\" : [ 1 ,\t\"\\\" \\\\\" , \" \" ] } "),
            r#"{"a b":[1,"\" \\"," "]}"#
        );
    }
}
