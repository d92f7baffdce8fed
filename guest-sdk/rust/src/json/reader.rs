//! Reads a document once: checks all of it, and remembers where the wanted value stands.

use std::fmt;
use std::ops::Range;

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

/// What was expected where the reader stands. A single byte, so that results travel in a register.
#[derive(Debug, Clone, Copy)]
enum Flaw {
    Value,
    Nothing,
    Name,
    Colon,
    CommaOrBrace,
    CommaOrBracket,
    Levels,
    Character,
    Escape,
    HexDigits,
    Digit,
    Literal,
}

impl Flaw {
    fn expected(self) -> &'static str {
        match self {
            Self::Value => "a value",
            Self::Nothing => "nothing more",
            Self::Name => "a name in quotes",
            Self::Colon => "a colon",
            Self::CommaOrBrace => "a comma or '}'",
            Self::CommaOrBracket => "a comma or ']'",
            Self::Levels => "at most 128 levels",
            Self::Character => "a character of a string, or its closing quote",
            Self::Escape => "an escape that JSON knows",
            Self::HexDigits => "four hexadecimal digits",
            Self::Digit => "a digit",
            Self::Literal => "true, false or null",
        }
    }
}

/// The steps that are left to the wanted value; `None` if it cannot be reached from here.
type Way<'p> = Option<&'p [Step]>;

#[derive(Debug)]
pub(super) struct Reader<'a> {
    document: &'a [u8],
    at: usize,
    /// The high bits of all bytes of strings: outside them anything beyond ASCII is a flaw anyhow.
    high: u64,
    /// Where the wanted value stands, as far as it was met.
    found: Option<Range<usize>>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a [u8]) -> Self {
        Self {
            document,
            at: 0,
            high: 0,
            found: None,
        }
    }

    /// The value at the end of the steps: where it begins, and its text.
    pub(super) fn find(mut self, steps: &[Step]) -> Result<Option<(usize, &'a str)>, Invalid> {
        self.whole(steps).map_err(|flaw| self.invalid(flaw))?;
        if self.high & HIGH_BITS != 0 {
            std::str::from_utf8(self.document).map_err(|error| Invalid(format!("not JSON: {error}")))?;
        }
        // A value starts and ends with an ASCII byte, so this cannot cut a character in two.
        let text = |place: Range<usize>| Some((place.start, std::str::from_utf8(&self.document[place]).ok()?));
        Ok(self.found.and_then(text))
    }

    fn invalid(&self, flaw: Flaw) -> Invalid {
        let expected = flaw.expected();
        let found = match self.document.get(self.at) {
            None => "the end".to_owned(),
            Some(byte) => format!("'{}'", byte.escape_ascii()),
        };
        Invalid(format!(
            "not JSON: expected {expected}, found {found} at byte {}",
            self.at
        ))
    }

    fn whole(&mut self, steps: &[Step]) -> Result<(), Flaw> {
        self.space();
        self.value(Some(steps), 0)?;
        self.space();
        if self.at < self.document.len() {
            return Err(Flaw::Nothing);
        }
        Ok(())
    }

    // Inlined into the loops over members and entries, so that a scalar costs no call.
    #[inline(always)]
    fn value(&mut self, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        let start = self.at;
        match self.peek() {
            b'"' => drop(self.string()?),
            b'-' | b'0'..=b'9' => self.number()?,
            b'{' => self.object(way, level + 1)?,
            b'[' => self.array(way, level + 1)?,
            b't' => self.literal(b"true")?,
            b'f' => self.literal(b"false")?,
            b'n' => self.literal(b"null")?,
            _ => return Err(Flaw::Value),
        }
        if way.is_some_and(<[Step]>::is_empty) {
            self.found = Some(start..self.at);
        }
        Ok(())
    }

    #[inline(never)]
    fn object(&mut self, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        self.open(level)?;
        if self.took(b'}') {
            return Ok(());
        }
        let step = way.and_then(<[Step]>::split_first);
        loop {
            let name = self.name()?;
            let ahead = step.filter(|(step, _)| self.is_named(name, &step.name));
            if ahead.is_some() {
                // An equal name before this one may have led somewhere: the last one counts.
                self.found = None;
            }
            self.value(ahead.map(|(_, rest)| rest), level)?;
            if !self.goes_on(b'}', Flaw::CommaOrBrace)? {
                return Ok(());
            }
        }
    }

    #[inline(never)]
    fn array(&mut self, way: Way<'_>, level: usize) -> Result<(), Flaw> {
        self.open(level)?;
        if self.took(b']') {
            return Ok(());
        }
        let step = way.and_then(<[Step]>::split_first);
        for index in 0.. {
            let ahead = step.filter(|(step, _)| step.index == Some(index));
            self.value(ahead.map(|(_, rest)| rest), level)?;
            if !self.goes_on(b']', Flaw::CommaOrBracket)? {
                break;
            }
        }
        Ok(())
    }

    /// Goes in behind the bracket.
    fn open(&mut self, level: usize) -> Result<(), Flaw> {
        if level > LEVELS_MAX {
            return Err(Flaw::Levels);
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Goes to the next entry, or out behind the bracket.
    fn goes_on(&mut self, close: u8, flaw: Flaw) -> Result<bool, Flaw> {
        self.space();
        if self.took(b',') {
            self.space();
            return Ok(true);
        }
        if self.took(close) {
            return Ok(false);
        }
        Err(flaw)
    }

    /// A member's name and its colon; gives the place of the name with its quotes, and whether it has escapes.
    #[inline(always)]
    fn name(&mut self) -> Result<(usize, usize, bool), Flaw> {
        let start = self.at;
        if self.peek() != b'"' {
            return Err(Flaw::Name);
        }
        let has_escapes = self.string()?;
        let end = self.at;
        self.space();
        if !self.took(b':') {
            return Err(Flaw::Colon);
        }
        self.space();
        Ok((start, end, has_escapes))
    }

    fn is_named(&self, (start, end, has_escapes): (usize, usize, bool), wanted: &str) -> bool {
        let quoted = &self.document[start..end];
        if has_escapes {
            return serde_json::from_slice::<String>(quoted).is_ok_and(|name| name == wanted);
        }
        quoted.len() == wanted.len() + 2 && &quoted[1..quoted.len() - 1] == wanted.as_bytes()
    }

    /// Goes behind a string; says whether it has escapes.
    #[inline(always)]
    fn string(&mut self) -> Result<bool, Flaw> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.plain_words();
            match self.document.get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                Some(b'\\') => {
                    self.escape()?;
                    has_escapes = true;
                }
                // One of the last seven bytes of the document, which make no word.
                Some(&byte) if byte >= b' ' => {
                    self.high |= u64::from(byte);
                    self.at += 1;
                }
                _ => return Err(Flaw::Character),
            }
        }
    }

    /// Goes on, eight bytes at a time, to the next quote, backslash or control character.
    #[inline]
    fn plain_words(&mut self) {
        let (mut at, mut high) = (self.at, self.high);
        while let Some(chunk) = self.document.get(at..).and_then(<[u8]>::first_chunk) {
            let word = u64::from_le_bytes(*chunk);
            high |= word;
            let stops = stops(word);
            if stops != 0 {
                at += (stops.trailing_zeros() / 8) as usize;
                break;
            }
            at += 8;
        }
        (self.at, self.high) = (at, high);
    }

    #[inline(never)]
    fn escape(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(Flaw::HexDigits);
                    }
                    self.at += 1;
                }
            }
            _ => return Err(Flaw::Escape),
        }
        Ok(())
    }

    #[inline(never)]
    fn number(&mut self) -> Result<(), Flaw> {
        self.took(b'-');
        if !self.took(b'0') {
            self.digits()?;
        }
        if self.took(b'.') {
            self.digits()?;
        }
        if self.took(b'e') || self.took(b'E') {
            let _ = self.took(b'+') || self.took(b'-');
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(Flaw::Digit) } else { Ok(()) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Flaw> {
        if !self.document[self.at..].starts_with(word) {
            return Err(Flaw::Literal);
        }
        self.at += word.len();
        Ok(())
    }

    #[inline]
    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Goes on if this byte comes next.
    #[inline]
    fn took(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == byte;
        self.at += usize::from(is_it);
        is_it
    }

    /// The next byte; at the end a zero, which JSON never allows.
    #[inline]
    fn peek(&self) -> u8 {
        self.document.get(self.at).copied().unwrap_or(0)
    }
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
    /// Before the first part of the object or array that the text is, from its first bracket to its last.
    pub(super) fn of(text: &'a str) -> Self {
        let mut reader = Reader::new(text.as_bytes());
        reader.at = 1;
        Self {
            reader,
            is_object: text.starts_with('{'),
            is_first: true,
        }
    }

    fn next_part(&mut self) -> Result<Option<PartPlace>, Flaw> {
        let (reader, close) = (&mut self.reader, if self.is_object { b'}' } else { b']' });
        reader.space();
        let is_over = match std::mem::take(&mut self.is_first) {
            true => reader.took(close),
            false => !reader.goes_on(close, Flaw::Value)?,
        };
        if is_over {
            return Ok(None);
        }
        let name = match self.is_object {
            true => reader.name().map(|(start, end, _)| start..end)?,
            false => 0..0,
        };
        let start = reader.at;
        reader.value(None, 0)?;
        Ok(Some((name, start..reader.at)))
    }
}

impl Iterator for Parts<'_> {
    type Item = PartPlace;

    fn next(&mut self) -> Option<Self::Item> {
        // Behind the last bracket nothing follows, so what has ended stays so.
        self.next_part().ok().flatten()
    }
}

const HIGH_BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Marks the bytes of the word at which a string's plain characters stop, at least the lowest of them exactly.
fn stops(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let controls = word.wrapping_sub(ONES * 0x20) & !word;
    let quotes = zeros(word ^ (ONES * 0x22));
    let backslashes = zeros(word ^ (ONES * 0x5c));
    (controls | quotes | backslashes) & HIGH_BITS
}

/// Marks the bytes that are zero in their highest bit; the other bits say nothing.
fn zeros(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    word.wrapping_sub(ONES) & !word
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
