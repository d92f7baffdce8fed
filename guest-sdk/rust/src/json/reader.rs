//! Reads a document once: checks all of it, and remembers where the wanted value stands.

use std::fmt;
use std::ops::Range;

use super::pointer::Step;

/// What is not JSON, or no JSON pointer, and where.
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

/// What was expected where the reader stands. As small as can be: it travels with every value.
struct Flaw(&'static str);

/// Where a value stands in the document.
type Place = Range<usize>;

/// The steps that are left to the wanted value; `None` where it cannot be reached from here.
type Way<'p> = Option<&'p [Step]>;

pub(super) struct Reader<'a> {
    document: &'a [u8],
    at: usize,
    /// The high bits of all bytes of strings: outside them anything beyond ASCII is a flaw anyhow.
    high: u64,
}

impl<'a> Reader<'a> {
    pub(super) fn new(document: &'a [u8]) -> Self {
        Self {
            document,
            at: 0,
            high: 0,
        }
    }

    /// The text of the value at the end of the steps.
    pub(super) fn find(mut self, steps: &[Step]) -> Result<Option<&'a str>, Invalid> {
        let place = self.whole(steps).map_err(|Flaw(expected)| self.invalid(expected))?;
        if self.high & HIGH_BITS != 0 {
            std::str::from_utf8(self.document).map_err(|error| Invalid(format!("not JSON: {error}")))?;
        }
        // A value starts and ends with an ASCII byte, so this cannot cut a character in two.
        Ok(place.and_then(|place| std::str::from_utf8(&self.document[place]).ok()))
    }

    fn invalid(&self, expected: &str) -> Invalid {
        let found = match self.document.get(self.at) {
            None => "the end".to_owned(),
            Some(byte) => format!("'{}'", byte.escape_ascii()),
        };
        Invalid(format!(
            "not JSON: expected {expected}, found {found} at byte {}",
            self.at
        ))
    }

    fn whole(&mut self, steps: &[Step]) -> Result<Option<Place>, Flaw> {
        self.space();
        let place = self.value(Some(steps), 0)?;
        self.space();
        if self.at < self.document.len() {
            return Err(Flaw("nothing more"));
        }
        Ok(place)
    }

    fn value(&mut self, way: Way<'_>, level: usize) -> Result<Option<Place>, Flaw> {
        let start = self.at;
        let inside = match self.peek() {
            b'"' => self.string().map(|_| None)?,
            b'-' | b'0'..=b'9' => self.number().map(|()| None)?,
            b'{' => self.object(way, level + 1)?,
            b'[' => self.array(way, level + 1)?,
            b't' => self.literal(b"true").map(|()| None)?,
            b'f' => self.literal(b"false").map(|()| None)?,
            b'n' => self.literal(b"null").map(|()| None)?,
            _ => return Err(Flaw("a value")),
        };
        match way {
            Some([]) => Ok(Some(start..self.at)),
            _ => Ok(inside),
        }
    }

    fn object(&mut self, way: Way<'_>, level: usize) -> Result<Option<Place>, Flaw> {
        self.open(level)?;
        if self.took(b'}') {
            return Ok(None);
        }
        let step = way.and_then(<[Step]>::split_first);
        let mut found = None;
        loop {
            let name = self.name()?;
            let ahead = step.filter(|(step, _)| self.is_named(name, &step.name));
            let place = self.value(ahead.map(|(_, rest)| rest), level)?;
            if ahead.is_some() {
                found = place;
            }
            if !self.goes_on(b'}', "a comma or '}'")? {
                return Ok(found);
            }
        }
    }

    fn array(&mut self, way: Way<'_>, level: usize) -> Result<Option<Place>, Flaw> {
        self.open(level)?;
        if self.took(b']') {
            return Ok(None);
        }
        let step = way.and_then(<[Step]>::split_first);
        let mut found = None;
        for index in 0.. {
            let ahead = step.filter(|(step, _)| step.index == Some(index));
            let place = self.value(ahead.map(|(_, rest)| rest), level)?;
            if ahead.is_some() {
                found = place;
            }
            if !self.goes_on(b']', "a comma or ']'")? {
                break;
            }
        }
        Ok(found)
    }

    /// Goes in behind the bracket.
    fn open(&mut self, level: usize) -> Result<(), Flaw> {
        if level > LEVELS_MAX {
            return Err(Flaw("at most 128 levels"));
        }
        self.at += 1;
        self.space();
        Ok(())
    }

    /// Goes to the next entry, or out behind the bracket.
    fn goes_on(&mut self, close: u8, expected: &'static str) -> Result<bool, Flaw> {
        self.space();
        if self.took(b',') {
            self.space();
            return Ok(true);
        }
        if self.took(close) {
            return Ok(false);
        }
        Err(Flaw(expected))
    }

    /// A member's name and its colon; gives the place of the name with its quotes, and whether it has escapes.
    fn name(&mut self) -> Result<(usize, usize, bool), Flaw> {
        let start = self.at;
        if self.peek() != b'"' {
            return Err(Flaw("a name in quotes"));
        }
        let has_escapes = self.string()?;
        let end = self.at;
        self.space();
        if !self.took(b':') {
            return Err(Flaw("a colon"));
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
    fn string(&mut self) -> Result<bool, Flaw> {
        self.at += 1;
        let mut has_escapes = false;
        loop {
            self.plain_characters();
            match self.peek() {
                b'"' if self.at < self.document.len() => {
                    self.at += 1;
                    return Ok(has_escapes);
                }
                b'\\' => self.escape()?,
                _ => return Err(Flaw("a character of a string, or its closing quote")),
            }
            has_escapes = true;
        }
    }

    /// Goes to the next byte that is a quote, a backslash or a control character.
    fn plain_characters(&mut self) {
        let rest = &self.document[self.at..];
        let mut words = rest.chunks_exact(8);
        for (index, chunk) in words.by_ref().enumerate() {
            let word = chunk.try_into().map_or(0, u64::from_le_bytes);
            self.high |= word;
            let stops = stops(word);
            if stops != 0 {
                self.at += index * 8 + (stops.trailing_zeros() / 8) as usize;
                return;
            }
        }
        let tail = words.remainder();
        let plain = tail
            .iter()
            .take_while(|&&byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        self.at = self.document.len() - tail.len() + plain.inspect(|&&byte| self.high |= u64::from(byte)).count();
    }

    fn escape(&mut self) -> Result<(), Flaw> {
        self.at += 1;
        match self.peek() {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => self.at += 1,
            b'u' => {
                self.at += 1;
                for _ in 0..4 {
                    if !self.peek().is_ascii_hexdigit() {
                        return Err(Flaw("four hexadecimal digits"));
                    }
                    self.at += 1;
                }
            }
            _ => return Err(Flaw("an escape that JSON knows")),
        }
        Ok(())
    }

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
        if self.at == start { Err(Flaw("a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, word: &'static [u8]) -> Result<(), Flaw> {
        if !self.document[self.at..].starts_with(word) {
            return Err(Flaw("true, false or null"));
        }
        self.at += word.len();
        Ok(())
    }

    fn space(&mut self) {
        while matches!(self.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            self.at += 1;
        }
    }

    /// Goes on if this byte comes next.
    fn took(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == byte;
        self.at += usize::from(is_it);
        is_it
    }

    /// The next byte; at the end a zero, which JSON never allows.
    fn peek(&self) -> u8 {
        self.document.get(self.at).copied().unwrap_or(0)
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
    use serde::de::IgnoredAny;

    fn is_json(document: &[u8]) -> bool {
        Reader::new(document).find(&[]).is_ok()
    }

    /// serde_json skips text without looking whether it is UTF-8.
    fn serde_says(document: &[u8]) -> bool {
        std::str::from_utf8(document).is_ok_and(|text| serde_json::from_str::<IgnoredAny>(text).is_ok())
    }

    /// A small generator with a fixed seed (xorshift), so that a failure comes again.
    struct Chance(u64);

    impl Chance {
        fn below(&mut self, limit: usize) -> usize {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            (self.0 % limit as u64) as usize
        }
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
                let at = chance.below(document.len());
                match chance.below(4) {
                    0 if document.len() > 1 => drop(document.remove(at)),
                    1 => document.insert(at, alphabet[chance.below(alphabet.len())]),
                    2 => document[at] = alphabet[chance.below(alphabet.len())],
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
