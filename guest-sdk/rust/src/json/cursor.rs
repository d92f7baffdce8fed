//! Goes over a document piece by piece: space, strings, numbers, words.
//!
//! What is short and usual is inlined and works on the cursor's copy in registers; the rest is a call that takes the
//! cursor and gives it back, for a cursor of which somebody has the address lies in memory.

/// What was expected where the reader stands. A single byte, so that results travel in a register.
#[derive(Debug, Clone, Copy)]
pub(super) enum Flaw {
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
    pub(super) fn expected(self) -> &'static str {
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

/// A place in a document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cursor<'a> {
    pub(super) document: &'a [u8],
    pub(super) at: usize,
    /// The high bits of all bytes of strings: outside them anything beyond ASCII is a flaw anyhow.
    high: u64,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(document: &'a [u8]) -> Self {
        Self {
            document,
            at: 0,
            high: 0,
        }
    }

    /// Whether no string until here has a byte beyond ASCII.
    pub(super) fn is_ascii(&self) -> bool {
        self.high & HIGH_BITS == 0
    }

    /// The next byte; at the end a zero, which JSON never allows.
    #[inline(always)]
    pub(super) fn peek(&self) -> u8 {
        self.document.get(self.at).copied().unwrap_or(0)
    }

    /// Goes on if this byte comes next.
    #[inline(always)]
    pub(super) fn took(&mut self, byte: u8) -> bool {
        let is_it = self.peek() == byte;
        self.at += usize::from(is_it);
        is_it
    }

    #[inline(always)]
    pub(super) fn space(&mut self) {
        if self.peek() <= b' ' {
            self.at = self.behind_space();
        }
    }

    #[inline(never)]
    fn behind_space(self) -> usize {
        let mut here = self;
        while matches!(here.peek(), b' ' | b'\t' | b'\n' | b'\r') {
            here.at += 1;
        }
        here.at
    }

    /// Goes to the next entry, or out behind the bracket.
    #[inline(always)]
    pub(super) fn goes_on(&mut self, close: u8, flaw: Flaw) -> Result<bool, Flaw> {
        self.space();
        if self.peek() == b',' {
            self.at += 1;
            self.space();
            return Ok(true);
        }
        self.expect(close, flaw)?;
        Ok(false)
    }

    /// Goes behind the byte that has to come next. A branch, and not a sum with what was compared: behind a branch that
    /// it foretells right a processor does not wait for the byte.
    #[inline(always)]
    fn expect(&mut self, byte: u8, flaw: Flaw) -> Result<(), Flaw> {
        if self.peek() != byte {
            return Err(flaw);
        }
        self.at += 1;
        Ok(())
    }

    /// A member's name and its colon; gives the place of the name with its quotes, and whether it has escapes.
    #[inline(always)]
    pub(super) fn name(&mut self) -> Result<(usize, usize, bool), Flaw> {
        let start = self.at;
        if self.peek() != b'"' {
            return Err(Flaw::Name);
        }
        let has_escapes = self.string()?;
        let end = self.at;
        self.space();
        self.expect(b':', Flaw::Colon)?;
        self.space();
        Ok((start, end, has_escapes))
    }

    /// Goes behind a string; says whether it has escapes.
    #[inline(always)]
    pub(super) fn string(&mut self) -> Result<bool, Flaw> {
        self.at += 1;
        if let Some(word) = self.word() {
            let stop = stops(word).trailing_zeros() & !7;
            if stop < u64::BITS && (word >> stop) as u8 == b'"' {
                self.high |= word;
                self.at += stop as usize / 8 + 1;
                return Ok(false);
            }
        }
        let done;
        (*self, done) = self.long_string();
        done
    }

    #[inline(never)]
    fn long_string(self) -> (Self, Result<bool, Flaw>) {
        let mut here = self;
        let mut has_escapes = false;
        loop {
            here.plain_words();
            match here.document.get(here.at) {
                Some(b'"') => {
                    here.at += 1;
                    return (here, Ok(has_escapes));
                }
                Some(b'\\') => {
                    if let Err(flaw) = here.escape() {
                        return (here, Err(flaw));
                    }
                    has_escapes = true;
                }
                // One of the last seven bytes of the document, which make no word.
                Some(&byte) if byte >= b' ' => {
                    here.high |= u64::from(byte);
                    here.at += 1;
                }
                _ => return (here, Err(Flaw::Character)),
            }
        }
    }

    /// Goes on, eight bytes at a time, to the next quote, backslash or control character.
    #[inline(always)]
    fn plain_words(&mut self) {
        while let Some(word) = self.word() {
            self.high |= word;
            let stops = stops(word);
            if stops != 0 {
                self.at += stops.trailing_zeros() as usize / 8;
                break;
            }
            self.at += 8;
        }
    }

    /// The next eight bytes.
    #[inline(always)]
    fn word(&self) -> Option<u64> {
        let chunk = self.document.get(self.at..).and_then(<[u8]>::first_chunk);
        chunk.map(|chunk| u64::from_le_bytes(*chunk))
    }

    #[inline(always)]
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

    /// Goes behind a number without its sign.
    #[inline(always)]
    pub(super) fn number(&mut self) -> Result<(), Flaw> {
        let (start, first) = (self.at, self.peek());
        self.digits()?;
        if first == b'0' {
            // Nothing of a number follows its zero but a fraction or an exponent.
            self.at = start + 1;
        }
        if !matches!(self.peek(), b'.' | b'e' | b'E') {
            return Ok(());
        }
        let done;
        (*self, done) = self.fraction_and_exponent();
        done
    }

    #[inline(never)]
    fn fraction_and_exponent(self) -> (Self, Result<(), Flaw>) {
        let mut here = self;
        let mut done = Ok(());
        if here.took(b'.') {
            done = here.digits();
        }
        if done.is_ok() && (here.took(b'e') || here.took(b'E')) {
            let _ = here.took(b'+') || here.took(b'-');
            done = here.digits();
        }
        (here, done)
    }

    #[inline(always)]
    fn digits(&mut self) -> Result<(), Flaw> {
        let start = self.at;
        while let Some(word) = self.word() {
            let others = others_than_digits(word);
            self.at += others.trailing_zeros() as usize / 8;
            if others != 0 {
                return if self.at == start { Err(Flaw::Digit) } else { Ok(()) };
            }
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        if self.at == start { Err(Flaw::Digit) } else { Ok(()) }
    }

    #[inline(always)]
    pub(super) fn literal(&mut self, word: &'static [u8]) -> Result<(), Flaw> {
        if !self.document[self.at..].starts_with(word) {
            return Err(Flaw::Literal);
        }
        self.at += word.len();
        Ok(())
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

/// Marks the bytes of the word that are no digits, at least the lowest of them exactly.
fn others_than_digits(word: u64) -> u64 {
    const ZEROS: u64 = u64::from_ne_bytes([b'0'; 8]);
    const TO_THE_HIGH_BIT: u64 = u64::from_ne_bytes([0x80 - 10; 8]);
    let above = word ^ ZEROS;
    (above.wrapping_add(TO_THE_HIGH_BIT) | above) & HIGH_BITS
}

/// Marks the bytes that are zero in their highest bit; the other bits say nothing.
fn zeros(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    word.wrapping_sub(ONES) & !word
}
