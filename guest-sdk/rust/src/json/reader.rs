//! Reads a document once: checks all of it, and remembers where the wanted value stands.

use std::fmt;
use std::ops::Range;

use super::cursor::{Cursor, Flaw};
use super::pointer::Step;

/// What is not JSON, no JSON pointer, or not the value that was asked for, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid(String);

impl Invalid {
    pub(super) fn new(why: String) -> Self {
        Self(why)
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for Invalid {}

/// Deeper nesting is refused, since each level takes a piece of the stack.
const LEVELS_MAX: usize = 128;

/// The steps that are left to the wanted value; `None` if it cannot be reached from here.
type Way<'p> = Option<&'p [Step]>;

#[derive(Debug)]
pub(super) struct Reader<'a> {
    /// Each level goes on with a copy of it, which lies in registers, and gives it back when it ends.
    here: Cursor<'a>,
    /// Where the wanted value stands, as far as it was met.
    found: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a [u8]) -> Self {
        Self {
            here: Cursor::new(document),
            found: None,
        }
    }

    /// The place of the value at the end of the steps. The document is UTF-8, and the place cuts no character in two.
    pub(super) fn find(mut self, steps: &[Step]) -> Result<Option<Range<usize>>, Invalid> {
        let done = self.whole(steps);
        let Cursor { document, at, .. } = self.here;
        done.map_err(|flaw| invalid(document, at, flaw))?;
        if !self.here.is_ascii() {
            std::str::from_utf8(document).map_err(|error| Invalid(format!("not JSON: {error}")))?;
        }
        Ok(self.found)
    }

    fn whole(&mut self, steps: &[Step]) -> Result<(), Flaw> {
        let mut here = self.here;
        here.space();
        let done = self.value(&mut here, Some(steps), 0);
        if done.is_ok() {
            here.space();
        }
        self.here = here;
        match here.at < here.document.len() {
            true => done.and(Err(Flaw::Nothing)),
            false => done,
        }
    }

    // Inlined into the loops over members and entries, so that a scalar costs no call.
    #[inline(always)]
    fn value(&mut self, here: &mut Cursor<'a>, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        let start = here.at;
        match here.peek() {
            b'"' => drop(here.string()?),
            b'0'..=b'9' => here.number()?,
            b'-' => {
                here.at += 1;
                here.number()?;
            }
            bracket @ (b'{' | b'[') => {
                self.here = *here;
                let done = match bracket {
                    b'{' => self.object(way, level + 1),
                    _ => self.array(way, level + 1),
                };
                *here = self.here;
                done?;
            }
            b't' => here.literal(b"true")?,
            b'f' => here.literal(b"false")?,
            b'n' => here.literal(b"null")?,
            _ => return Err(Flaw::Value),
        }
        if way.is_some_and(<[Step]>::is_empty) {
            self.found = Some(start..here.at);
        }
        Ok(())
    }

    #[inline(never)]
    fn object(&mut self, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        let mut here = self.here;
        let done = self.members(&mut here, way, level);
        self.here = here;
        done
    }

    #[inline(always)]
    fn members(&mut self, here: &mut Cursor<'a>, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        open(here, level)?;
        if here.took(b'}') {
            return Ok(());
        }
        let step = way.and_then(<[Step]>::split_first);
        loop {
            let name = here.name()?;
            let ahead = step.filter(|(step, _)| is_named(here.document, name, &step.name));
            if ahead.is_some() {
                // An equal name before this one may have led somewhere: the last one counts.
                self.found = None;
            }
            self.value(here, ahead.map(|(_, rest)| rest), level)?;
            if !here.goes_on(b'}', Flaw::CommaOrBrace)? {
                return Ok(());
            }
        }
    }

    #[inline(never)]
    fn array(&mut self, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        let mut here = self.here;
        let done = self.entries(&mut here, way, level);
        self.here = here;
        done
    }

    #[inline(always)]
    fn entries(&mut self, here: &mut Cursor<'a>, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        open(here, level)?;
        if here.took(b']') {
            return Ok(());
        }
        let step = way.and_then(<[Step]>::split_first);
        for index in 0.. {
            let ahead = step.filter(|(step, _)| step.index == Some(index));
            self.value(here, ahead.map(|(_, rest)| rest), level)?;
            if !here.goes_on(b']', Flaw::CommaOrBracket)? {
                break;
            }
        }
        Ok(())
    }
}

fn invalid(document: &[u8], at: usize, flaw: Flaw) -> Invalid {
    let expected = flaw.expected();
    let found = match document.get(at) {
        None => "the end".to_owned(),
        Some(byte) => format!("'{}'", byte.escape_ascii()),
    };
    Invalid(format!("not JSON: expected {expected}, found {found} at byte {at}"))
}

/// Goes in behind the bracket.
#[inline(always)]
fn open(here: &mut Cursor<'_>, level: usize) -> Result<(), Flaw> {
    if level > LEVELS_MAX {
        return Err(Flaw::Levels);
    }
    here.at += 1;
    here.space();
    Ok(())
}

#[inline(always)]
fn is_named(document: &[u8], (start, end, has_escapes): (usize, usize, bool), wanted: &str) -> bool {
    if has_escapes {
        return is_named_by_escapes(document.get(start..end), wanted);
    }
    end - start == wanted.len() + 2
        && document
            .get(start + 1..end - 1)
            .is_some_and(|name| name == wanted.as_bytes())
}

#[cold]
#[inline(never)]
fn is_named_by_escapes(quoted: Option<&[u8]>, wanted: &str) -> bool {
    let name = quoted.and_then(|quoted| serde_json::from_slice::<String>(quoted).ok());
    name.is_some_and(|name| name == wanted)
}

/// Where the name of a part, with its quotes, and its value stand; an entry has no name.
type PartPlace = (Range<usize>, Range<usize>);

/// The members of an object, or the entries of an array, as they stand in a document that was checked.
#[derive(Debug)]
pub(super) struct Parts<'a> {
    reader: Reader<'a>,
    is_object: bool,
    is_first: bool,
}

impl<'a> Parts<'a> {
    /// Before the first part of the object or array that the bytes are, from its first bracket to its last.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        let mut reader = Reader::new(bytes);
        reader.here.at = 1;
        Self {
            reader,
            is_object: bytes.first() == Some(&b'{'),
            is_first: true,
        }
    }

    fn next_part(&mut self) -> Result<Option<PartPlace>, Flaw> {
        let mut here = self.reader.here;
        let close = if self.is_object { b'}' } else { b']' };
        here.space();
        let is_over = match std::mem::take(&mut self.is_first) {
            true => here.took(close),
            false => !here.goes_on(close, Flaw::Value)?,
        };
        if is_over {
            return Ok(None);
        }
        let name = match self.is_object {
            true => here.name().map(|(start, end, _)| start..end)?,
            false => 0..0,
        };
        let start = here.at;
        self.reader.value(&mut here, None, 0)?;
        self.reader.here = here;
        Ok(Some((name, start..here.at)))
    }
}

impl Iterator for Parts<'_> {
    type Item = PartPlace;

    fn next(&mut self) -> Option<Self::Item> {
        // At the last bracket it stands still, and ends there each time.
        self.next_part().ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::chance::Chance;
    use serde::de::IgnoredAny;

    fn is_json(document: &[u8]) -> bool {
        Reader::new(document).find(&[]).is_ok()
    }

    /// serde_json skips text without looking whether it is UTF-8.
    fn serde_says(document: &[u8]) -> bool {
        std::str::from_utf8(document).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    }

    const SEEDS: [&str; 6] = [
        r#"{"user":"u00007","page":"/articles/0013/comments","ms":7,"ok":true,"agent":"Mozilla/5.0"}"#,
        r#" [ -0.5e+10 , 0 , 12E3 , null , [ ] , { } , false , "" ] "#,
        r#"{"ä€😀":"\u00e4\ud83d\ude00\n\\\"\/","nested":{"deep":[[[{"x":[1,2,{"y":"zzzzzzzzzzzzzzzz"}]}]]]}}"#,
        r#""just a text that is longer than a word""#,
        "-12.5",
        "{\"a\" :\t1\r\n,\"b\":[1,2,3]}",
    ];

    #[test]
    fn what_serde_json_takes_is_taken_and_nothing_else() {
        let alphabet = b"{}[]\",:\\ue0129.-+Etrfalsn \t\n\x00\x1f\x7f\x80\xc3\xa4\xff/";
        let mut chance = Chance(0x5eed);
        for round in 0..400_000 {
            let mut document = SEEDS[round % SEEDS.len()].as_bytes().to_vec();
            for _ in 0..chance.below(4) {
                let at = chance.below(document.len() as u64) as usize;
                match chance.below(4) {
                    0 if document.len() > 1 => drop(document.remove(at)),
                    1 => document.insert(at, alphabet[chance.below(alphabet.len() as u64) as usize]),
                    2 => document[at] = alphabet[chance.below(alphabet.len() as u64) as usize],
                    _ => document.truncate(at.max(1)),
                }
            }
            assert_eq!(is_json(&document), serde_says(&document), "{}", document.escape_ascii());
        }
    }

    #[test]
    fn every_place_in_a_document_is_found_as_serde_json_finds_it() {
        for seed in SEEDS {
            let tree: serde_json::Value = serde_json::from_str(seed).unwrap();
            check_places(seed, &tree, "");
        }
    }

    fn check_places(document: &str, tree: &serde_json::Value, at: &str) {
        let found = crate::json::pointer(document.as_bytes(), at).unwrap().unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(found.text()).unwrap(),
            *tree,
            "{at}"
        );
        match tree {
            serde_json::Value::Array(entries) => {
                (0..)
                    .zip(entries)
                    .for_each(|(index, entry): (usize, _)| check_places(document, entry, &format!("{at}/{index}")));
            }
            serde_json::Value::Object(members) => {
                members
                    .iter()
                    .for_each(|(name, member)| check_places(document, member, &format!("{at}/{name}")));
            }
            _ => {}
        }
    }

    #[test]
    fn a_string_is_cut_at_its_quote_wherever_words_end() {
        for length in 0..40 {
            let text = "x".repeat(length);
            assert!(is_json(format!("\"{text}\"").as_bytes()), "{length}");
            assert!(!is_json(format!("\"{text}").as_bytes()), "{length}");
            assert!(!is_json(format!("\"{text}\u{1}{text}\"").as_bytes()), "{length}");
            assert!(is_json(format!("\"{text}\\\"{text}\"").as_bytes()), "{length}");
            assert!(is_json(format!("\"{text}ü{text}\"").as_bytes()), "{length}");
            assert!(
                !is_json(&[b"\"", text.as_bytes(), b"\xc3\"", text.as_bytes()].concat()),
                "{length}"
            );
        }
    }

    #[test]
    fn nesting_has_a_limit() {
        let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        assert!(is_json(nested(LEVELS_MAX).as_bytes()));
        assert!(!is_json(nested(LEVELS_MAX + 1).as_bytes()));
        assert!(!is_json("[".repeat(1_000_000).as_bytes()));
    }

    #[test]
    fn the_reason_says_what_is_wrong_and_where() {
        let reason = |document: &[u8]| Reader::new(document).find(&[]).unwrap_err().to_string();
        assert_eq!(reason(b"{\"a\" 1}"), "not JSON: expected a colon, found '1' at byte 5");
        assert_eq!(reason(b"hello"), "not JSON: expected a value, found 'h' at byte 0");
        assert_eq!(reason(b""), "not JSON: expected a value, found the end at byte 0");
        assert_eq!(reason(b"1 2"), "not JSON: expected nothing more, found '2' at byte 2");
    }
}
