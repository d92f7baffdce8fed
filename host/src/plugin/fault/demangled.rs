//! Names as people wrote them, made of those that compilers of Rust and C++ write.
//!
//! A name of a few bytes may stand for one that fills the memory, so what is made of it ends at a limit.

use std::fmt::{self, Write};

use cpp_demangle::{DemangleOptions, Symbol};

/// The readable name, cut to `most` bytes; the name itself if no such compiler wrote it.
pub(in crate::plugin) fn demangled(name: &str, most: usize) -> String {
    let mut shown = Limited {
        text: String::new(),
        most,
    };
    // It fails when the limit is reached; what was written until then is shown.
    let _is_cut = match rustc_demangle::try_demangle(name) {
        Ok(known) => write!(shown, "{known:#}"),
        Err(_) => match Symbol::new(name) {
            Ok(known) => known.structured_demangle(&mut shown, &DemangleOptions::new()),
            Err(_) => shown.write_str(name),
        },
    };
    match shown.text.is_empty() {
        true => name[..name.floor_char_boundary(most)].to_owned(),
        false => shown.text,
    }
}

/// A text that takes no more than so many bytes.
struct Limited {
    text: String,
    most: usize,
}

impl Write for Limited {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let end = more.floor_char_boundary(self.most - self.text.len());
        self.text.push_str(&more[..end]);
        match end == more.len() {
            true => Ok(()),
            false => Err(fmt::Error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_rust_and_of_cpp_are_readable_and_others_stay() {
        for (name, shown) in [
            (
                "_ZN4core9panicking9panic_fmt17h0123456789abcdefE",
                "core::panicking::panic_fmt",
            ),
            ("_RNvCs1234_7mycrate3foo", "mycrate::foo"),
            ("_ZN3foo3barEi", "foo::bar(int)"),
            ("__main_void", "__main_void"),
            ("$dlmalloc", "$dlmalloc"),
            ("", ""),
        ] {
            assert_eq!(demangled(name, 100), shown);
        }
        assert_eq!(demangled("ääää", 5), "ää");
        assert_eq!(
            demangled("_ZN4core9panicking9panic_fmt17h0123456789abcdefE", 10),
            "core::pani"
        );
    }

    /// Each level has the one before twice: written out it would be longer than any memory.
    #[test]
    fn a_name_that_stands_for_one_without_end_is_cut() {
        let digit = |number: u32| char::from_digit(number, 36).unwrap().to_ascii_uppercase();
        let earlier = |level: u32| match 1 + 2 * level {
            number @ ..36 => format!("S{}_", digit(number)),
            number => format!("S{}{}_", digit(number / 36), digit(number % 36)),
        };
        let levels = (0..40).map(|level| format!("1cI{0}{0}E", earlier(level)));
        let name = format!("_Z1f1aI1bE{}", levels.collect::<String>());
        let shown = demangled(&name, 200);
        assert!(shown.starts_with("f(a<b>, c<a<b>, a<b>"), "{shown}");
        assert_eq!(shown.len(), 200);
    }
}
