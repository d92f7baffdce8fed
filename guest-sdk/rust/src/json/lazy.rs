//! A value that stands in its document, and is read when it is asked for.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer};
use serde::ser::{self, Serialize, Serializer};
use serde_json::value::RawValue;

use super::compact::compact;
use super::pointer::Pointer;
use super::reader::{Invalid, Parts, Reader};

/// As much of a value as a sentence shows.
const SHOWN: usize = 80;

/// A value as it stands in its document: a view of the bytes, of which nothing is read until it is asked for. Each
/// look-up goes through the value's text once; whoever wants most of a document takes a struct of serde's.
///
/// It may be a field of such a struct, for the part of a document that has no fixed shape, and is written as it stands.
/// Numbers without fraction and exponent are whole. Errors say where in the document what stands; a value that was a
/// field is a document of its own.
#[derive(Clone, Copy)]
pub struct LazyValue<'a> {
    document: &'a [u8],
    /// Where in the document the text begins.
    start: usize,
    /// The text is UTF-8, which is only found out again when it is asked for.
    bytes: &'a [u8],
}

impl<'a> LazyValue<'a> {
    /// The value that is the whole document.
    ///
    /// # Errors
    /// The document is not JSON, or it is nested deeper than 128 levels.
    pub fn new(document: &'a [u8]) -> Result<Self, Invalid> {
        let place = Reader::new(document).find(&[])?.unwrap_or_default();
        Ok(Self::of(document, place))
    }

    /// The value at a place of a document that was checked.
    pub(super) fn of(document: &'a [u8], place: Range<usize>) -> Self {
        Self {
            document,
            start: place.start,
            bytes: document.get(place).unwrap_or_default(),
        }
    }

    /// The value that the JSON pointer, such as `/user/tags/0`, leads to from here.
    ///
    /// # Errors
    /// There is none, or the pointer is none.
    pub fn at(&self, pointer: &str) -> Result<Self, Invalid> {
        let found = self.find(&Pointer::new(pointer)?)?;
        found.ok_or_else(|| Invalid::new(format!("there is nothing at \"{}{pointer}\"", self.place())))
    }

    /// As [`LazyValue::at`] for what need not be there: `None` if there is none.
    #[must_use]
    pub fn pointer(&self, pointer: &str) -> Option<Self> {
        self.find(&Pointer::new(pointer).ok()?).ok()?
    }

    fn find(&self, pointer: &Pointer) -> Result<Option<Self>, Invalid> {
        let found = pointer.find(self.bytes)?;
        Ok(found.map(|found| self.part(found.start..found.start + found.bytes.len())))
    }

    /// The entries of an array.
    ///
    /// # Errors
    /// It is no array.
    pub fn entries(&self) -> Result<impl Iterator<Item = Self> + use<'a>, Invalid> {
        let all = *self;
        let parts = self.parts(b'[', "an array was expected")?;
        Ok(parts.map(move |(_, value)| all.part(value)))
    }

    /// The members of an object in their order, each with its name; of equal names all. A name that has an escape that
    /// is no character is given as it is written.
    ///
    /// # Errors
    /// It is no object.
    pub fn members(&self) -> Result<impl Iterator<Item = (Cow<'a, str>, Self)> + use<'a>, Invalid> {
        let all = *self;
        let parts = self.parts(b'{', "an object was expected")?;
        Ok(parts.map(move |(name, value)| (all.part(name).name(), all.part(value))))
    }

    fn parts(&self, open: u8, expected: &str) -> Result<Parts<'a>, Invalid> {
        match self.bytes.first() == Some(&open) {
            true => Ok(Parts::of(self.bytes)),
            false => Err(self.unexpected(&expected)),
        }
    }

    fn part(&self, place: Range<usize>) -> Self {
        Self::of(self.document, self.start + place.start..self.start + place.end)
    }

    /// A number that is written without fraction and exponent.
    ///
    /// # Errors
    /// It is something else, or beyond 64 bits.
    pub fn as_i64(&self) -> Result<i64, Invalid> {
        let number = self.text().parse();
        number.map_err(|_| self.unexpected(&"a whole number of 64 bits was expected"))
    }

    /// The `f64` nearest to a number, whole or not.
    ///
    /// # Errors
    /// It is something else, or beyond the range of `f64`.
    pub fn as_f64(&self) -> Result<f64, Invalid> {
        let number = self.number().filter(|number| number.is_finite());
        number.ok_or_else(|| self.unexpected(&"a number within the range of 64 bits was expected"))
    }

    /// A text; one without escapes is borrowed from the document.
    ///
    /// # Errors
    /// It is something else, or has an escape that is no character.
    pub fn as_str(&self) -> Result<Cow<'a, str>, Invalid> {
        let why = match self.bytes.first() == Some(&b'"') {
            true => "an escape in it is no character",
            false => "a text was expected",
        };
        self.characters().ok_or_else(|| self.unexpected(&why))
    }

    /// What stands between the quotes of a text.
    fn quoted(&self) -> Option<&'a str> {
        self.text().strip_prefix('"')?.strip_suffix('"')
    }

    fn characters(&self) -> Option<Cow<'a, str>> {
        match self.quoted()? {
            plain if !plain.contains('\\') => Some(Cow::Borrowed(plain)),
            _ => serde_json::from_str(self.text()).ok().map(Cow::Owned),
        }
    }

    /// The name of a member, of which this is the text.
    fn name(&self) -> Cow<'a, str> {
        let written = || Cow::Borrowed(self.quoted().unwrap_or_default());
        self.characters().unwrap_or_else(written)
    }

    /// True or false.
    ///
    /// # Errors
    /// It is something else.
    pub fn as_bool(&self) -> Result<bool, Invalid> {
        let truth = self.text().parse();
        truth.map_err(|_| self.unexpected(&"true or false was expected"))
    }

    /// Whether it is null.
    #[must_use]
    pub fn is_null(&self) -> bool {
        self.bytes == b"null"
    }

    /// The value read into a type, such as `Vec<u64>` or a struct.
    ///
    /// # Errors
    /// It is not such a value.
    pub fn to<T: Deserialize<'a>>(&self) -> Result<T, Invalid> {
        serde_json::from_str(self.text()).map_err(|error| self.unexpected(&error))
    }

    /// The JSON text of the value.
    #[must_use]
    pub fn text(&self) -> &'a str {
        std::str::from_utf8(self.bytes).unwrap_or_default()
    }

    #[inline]
    pub(crate) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    fn unexpected(&self, why: &dyn fmt::Display) -> Invalid {
        let place = match self.place() {
            top if top.is_empty() => "the top".to_owned(),
            below => format!("\"{below}\""),
        };
        let mut shown = compact(self.text());
        if let Some((end, _)) = shown.char_indices().nth(SHOWN) {
            shown.truncate(end);
            shown.push('…');
        }
        Invalid::new(format!("at {place} stands {shown}: {why}"))
    }

    /// The pointer that leads to the value from the top of its document: found out when an error is told, so that no
    /// look-up has to carry it along.
    fn place(&self) -> String {
        let mut place = String::new();
        let Ok(mut around) = Self::new(self.document) else {
            return place;
        };
        while around.bytes.len() > self.bytes.len() {
            let parts = Parts::of(around.bytes).map(|(name, value)| (around.part(name), around.part(value)));
            let ends_behind = |(_, (_, value)): &(usize, (Self, Self))| value.start + value.bytes.len() > self.start;
            let Some((index, (name, value))) = (0..).zip(parts).find(ends_behind) else {
                break;
            };
            place.push('/');
            match around.bytes.first() == Some(&b'{') {
                true => place.push_str(&name.name().replace('~', "~0").replace('/', "~1")),
                false => place.push_str(&index.to_string()),
            }
            around = value;
        }
        place
    }

    /// Bytes that are equal if the values are: a number is the same however it is written (beyond 64 bits: if it is
    /// written the same), a text is its characters, anything else its JSON without spaces. Empty for null.
    #[must_use]
    pub fn identity(&self) -> Vec<u8> {
        let text = self.text();
        let tagged = |kind: u8, bytes: &[u8]| [&[kind], bytes].concat();
        match self.bytes {
            b"null" => Vec::new(),
            [b'-' | b'0'..=b'9', ..] => match (text.parse::<i64>(), text.parse::<f64>()) {
                (Ok(number), _) => tagged(b'i', number.to_string().as_bytes()),
                (_, Ok(float)) if float as i64 as f64 == float && float.abs() < WHOLE_EXACT => {
                    tagged(b'i', (float as i64).to_string().as_bytes())
                }
                (_, Ok(float)) if float.is_finite() && text.contains(['.', 'e', 'E']) => {
                    tagged(b'f', &float.to_be_bytes())
                }
                _ => tagged(b'n', self.bytes),
            },
            [b'"', ..] => match self.as_str() {
                Ok(text) => tagged(b's', text.as_bytes()),
                Err(_) => tagged(b'j', self.bytes),
            },
            _ => tagged(b'j', compact(text).as_bytes()),
        }
    }

    /// The value as the number nearest to it, infinite beyond the range of `f64`; `None` if it is no number.
    #[must_use]
    pub fn number(&self) -> Option<f64> {
        match self.bytes {
            [b'-' | b'0'..=b'9', ..] => {
                let whole = self.short_whole().map(|whole| whole as f64);
                whole.or_else(|| self.text().parse().ok())
            }
            _ => None,
        }
    }

    /// A number that is written with few digits and nothing else. Most are; reading them this way takes a fifth of the
    /// time of `parse`.
    #[inline]
    pub(crate) fn short_whole(&self) -> Option<u64> {
        let digits = self.bytes.iter().map(|byte| byte.wrapping_sub(b'0'));
        let is_it = (1..=DIGITS_EXACT).contains(&self.bytes.len()) && digits.clone().all(|digit| digit < 10);
        is_it.then(|| digits.fold(0, |number, digit| number * 10 + u64::from(digit)))
    }
}

impl fmt::Debug for LazyValue<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("LazyValue").field(&self.text()).finish()
    }
}

impl<'a, 'de: 'a> Deserialize<'de> for LazyValue<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = <&RawValue>::deserialize(from)?.get();
        Self::new(text.as_bytes()).map_err(de::Error::custom)
    }
}

impl Serialize for LazyValue<'_> {
    fn serialize<S: Serializer>(&self, into: S) -> Result<S::Ok, S::Error> {
        let text: &RawValue = serde_json::from_str(self.text()).map_err(ser::Error::custom)?;
        text.serialize(into)
    }
}

/// 2^53: a float below it stands for one whole number.
const WHOLE_EXACT: f64 = 9_007_199_254_740_992.0;

/// So many digits are less than 2^53, up to which `f64` is exact.
const DIGITS_EXACT: usize = 15;
