//! JSON lines: a record as a line of text.
