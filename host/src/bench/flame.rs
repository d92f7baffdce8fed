//! A flame graph: each function as wide as its part of the samples, above the one that called it.
//!
//! Drawn here, for the one well-kept crate that draws them has a licence that Sandbar does not take (`deny.toml`).

use crate::plugin::GuestProfile;
use std::collections::BTreeMap;
use std::fmt::Write;

/// In pixels.
const WIDTH: f64 = 1200.0;
const MARGIN: f64 = 10.0;
const HEAD: f64 = 40.0;
const ROW: f64 = 18.0;
/// A function that is narrower is left out, and what it called with it: at most so many stand beside each other.
const NARROWEST: f64 = 0.5;
/// Width of a letter.
const LETTER: f64 = 6.6;

/// A function called in one place, and all that it called.
#[derive(Default)]
struct FlameCall<'a> {
    samples: u64,
    called: BTreeMap<&'a str, FlameCall<'a>>,
}

/// The picture of a profile's samples.
pub(super) fn svg(title: &str, profile: &GuestProfile) -> String {
    let mut all = FlameCall::default();
    for sample in &profile.samples {
        all.add(&names(profile, sample.stack));
    }
    let height = HEAD + ROW * all.depth() as f64 + MARGIN;
    let mut picture = String::new();
    // Writing to a text does not fail, here and below.
    let _ = write!(
        picture,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height}\" \
         viewBox=\"0 0 {WIDTH} {height}\" font-family=\"monospace\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fffdf8\"/>\n\
         <text x=\"{MARGIN}\" y=\"24\" font-size=\"15\">{}: {} samples</text>\n",
        escaped(title),
        all.samples
    );
    let frame = FlameFrame {
        x: MARGIN,
        y: height - MARGIN - ROW,
        pixels_per_sample: (WIDTH - 2.0 * MARGIN) / all.samples.max(1) as f64,
        all: all.samples,
    };
    frame.draw("all", &all, &mut picture);
    picture.push_str("</svg>\n");
    picture
}

/// The functions of a stack, the outermost first.
fn names(profile: &GuestProfile, stack: usize) -> Vec<&str> {
    let caller = |stack: &usize| profile.stacks[*stack].caller;
    let stacks = std::iter::successors(Some(stack), caller);
    let mut names: Vec<&str> = stacks
        .map(|stack| profile.functions[profile.stacks[stack].function].as_str())
        .collect();
    names.reverse();
    names
}

impl<'a> FlameCall<'a> {
    fn add(&mut self, stack: &[&'a str]) {
        let mut call = self;
        call.samples += 1;
        for function in stack {
            call = call.called.entry(function).or_default();
            call.samples += 1;
        }
    }

    fn depth(&self) -> usize {
        1 + self.called.values().map(FlameCall::depth).max().unwrap_or(0)
    }
}

/// Where a call is drawn.
#[derive(Clone, Copy)]
struct FlameFrame {
    x: f64,
    y: f64,
    pixels_per_sample: f64,
    /// All samples.
    all: u64,
}

impl FlameFrame {
    fn draw(self, name: &str, call: &FlameCall<'_>, picture: &mut String) {
        let width = call.samples as f64 * self.pixels_per_sample;
        if width < NARROWEST {
            return;
        }
        let percent = 100.0 * call.samples as f64 / self.all.max(1) as f64;
        let letters = ((width - 6.0) / LETTER).max(0.0) as usize;
        let (x, y) = (self.x, self.y);
        let _ = write!(
            picture,
            "<g><title>{} ({} samples, {percent:.1} %)</title>\
             <rect x=\"{x:.2}\" y=\"{y:.0}\" width=\"{width:.2}\" height=\"{:.0}\" rx=\"2\" fill=\"{}\"/>",
            escaped(name),
            call.samples,
            ROW - 1.0,
            colour(name)
        );
        if letters > 2 {
            let _ = write!(
                picture,
                "<text x=\"{:.2}\" y=\"{:.0}\">{}</text>",
                x + 3.0,
                y + 13.0,
                escaped(&shortened(name, letters))
            );
        }
        picture.push_str("</g>\n");
        let mut above = Self {
            y: self.y - ROW,
            ..self
        };
        for (name, call) in &call.called {
            above.draw(name, call, picture);
            above.x += call.samples as f64 * self.pixels_per_sample;
        }
    }
}

/// The end of a path says more than its beginning.
fn shortened(name: &str, letters: usize) -> String {
    let count = name.chars().count();
    match count <= letters {
        true => name.to_owned(),
        false => "…".chars().chain(name.chars().skip(count + 1 - letters)).collect(),
    }
}

/// Of the same name the same, warm.
fn colour(name: &str) -> String {
    let mixed = name
        .bytes()
        .fold(7u32, |mixed, byte| mixed.wrapping_mul(31).wrapping_add(byte.into()));
    format!(
        "hsl({} {}% {}%)",
        mixed % 50,
        70 + mixed / 50 % 20,
        62 + mixed / 1000 % 14
    )
}

fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            letter if letter.is_control() || ['\u{fffe}', '\u{ffff}'].contains(&letter) => escaped.push(' '),
            letter => escaped.push(letter),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::plugin::{GuestSample, GuestStack};
    use std::time::Duration;

    /// Samples in functions that `process` called: each with how many found the guest there.
    fn profile(called: &[(&str, usize)]) -> GuestProfile {
        let mut profile = GuestProfile::default();
        let mut push = |name: &str, caller| {
            profile.functions.push(name.to_owned());
            profile.stacks.push(GuestStack {
                caller,
                function: profile.functions.len() - 1,
            });
            profile.stacks.len() - 1
        };
        let process = push("process", None);
        let stacks: Vec<usize> = called.iter().map(|(name, _)| push(name, Some(process))).collect();
        for (stack, (_, count)) in stacks.into_iter().zip(called) {
            let sample = GuestSample {
                at: Duration::ZERO,
                stack,
            };
            profile.samples.extend(vec![sample; *count]);
        }
        profile
    }

    #[test]
    fn a_function_is_as_wide_as_its_part_of_the_samples_and_names_cannot_break_out() {
        let picture = svg("a<b", &profile(&[("<burn>&\"\u{1}", 3), ("idle", 1)]));
        for part in [
            "a&lt;b: 4 samples",
            "<title>all (4 samples, 100.0 %)</title>",
            "<title>process (4 samples, 100.0 %)</title>",
            "<title>&lt;burn&gt;&amp;&quot;  (3 samples, 75.0 %)</title>",
            "width=\"885.00\"",
            "<title>idle (1 samples, 25.0 %)</title>",
        ] {
            assert!(picture.contains(part), "{part} in\n{picture}");
        }
    }

    #[test]
    fn what_is_too_narrow_to_be_seen_is_left_out() {
        let picture = svg("plugin", &profile(&[("wide", 10_000), ("narrow", 1)]));
        assert!(picture.contains("wide") && !picture.contains("narrow"));
        assert_eq!(svg("nothing", &GuestProfile::default()).matches("<rect").count(), 1);
    }

    #[test]
    fn a_name_that_does_not_fit_ends_as_it_does() {
        assert_eq!(shortened("core::fmt::write", 8), "…::write");
        assert_eq!(shortened("write", 8), "write");
    }
}
