//! How the document of the interface describes texts that have a form.

use utoipa::openapi::schema::{ObjectBuilder, Type};

/// A text of this form (a regular expression), with so many characters at most.
pub(crate) fn text_of(form: &str, most: usize) -> ObjectBuilder {
    let text = ObjectBuilder::new().schema_type(Type::String);
    text.pattern(Some(form)).max_length(Some(most))
}
