//! The shape of every request, walked over its bytes before it is decoded.
//!
//! The decoder of `kafka-protocol` allocates as many elements as an array's length says. This walk makes sure that the
//! bytes behind each length are really there and that the elements are not too many, so no request can make us allocate
//! what it did not send.

use bytes::{Buf, Bytes};
use kafka_protocol::messages::ApiKey;
use kafka_protocol::protocol::StrBytes;

/// Elements of all arrays of one request, tags included.
const ELEMENTS: usize = 100_000;

type ShapeResult<T> = Result<T, &'static str>;

/// Reads the rest of a request's header, behind the correlation id: the client's name.
pub(super) fn header(request: &mut Bytes, header_version: i16) -> ShapeResult<StrBytes> {
    let mut walk = Walk {
        rest: request,
        version: header_version,
        is_flexible: false,
        elements: ELEMENTS,
    };
    walk.string()?;
    if header_version >= 2 {
        walk.tags()?;
    }
    let length = request.len() - walk.rest.len();
    let mut header = request.split_to(length);
    let name = usize::try_from(header.get_i16()).unwrap_or(0);
    StrBytes::from_utf8(header.split_to(name)).map_err(|_| "the client's name is not UTF-8")
}

/// Checks that a body has its request's shape.
pub(super) fn check(key: ApiKey, version: i16, body: &[u8]) -> ShapeResult<()> {
    let (flexible_from, shape) = shape_of(key).ok_or("it has no shape")?;
    let mut walk = Walk {
        rest: body,
        version,
        is_flexible: version >= flexible_from,
        elements: ELEMENTS,
    };
    walk.fields(shape)?;
    walk.tags_if_flexible()
}

/// The first version with tags and short lengths, and the fields: `1 2 4 8` bytes of a number, `u` a uuid, `s` a
/// string, `b` bytes, `[…]` an array of structures, `{…}` of plain values. `@3` means from version 3 on, `@0-2` up to
/// version 2.
fn shape_of(key: ApiKey) -> Option<(i16, &'static str)> {
    Some(match key {
        ApiKey::Produce => (9, "s 2 4 [s [4 b]]"),
        ApiKey::Fetch => (12, "4 4 4 4 1 4@7 4@7 [s [4 4@9 8 4@12 8@5 4]] [s {4}]@7 s@11"),
        ApiKey::ListOffsets => (6, "4 1@2 [s [4 4@4 8]]"),
        ApiKey::Metadata => (9, "[u@10 s] 1@4 1@8-10 1@8"),
        ApiKey::OffsetCommit => (8, "s 4 s s@7 8@2-4 [s [4 8 4@6 s]]"),
        ApiKey::OffsetFetch => (6, "s [s {4}] 1@7"),
        ApiKey::FindCoordinator => (3, "s@0-3 1@1 {s}@4"),
        ApiKey::JoinGroup => (6, "s 4 4@1 s s@5 s [s b] s@8"),
        ApiKey::Heartbeat => (4, "s 4 s s@3"),
        ApiKey::LeaveGroup => (4, "s s@0-2 [s s s@5]@3"),
        ApiKey::SyncGroup => (4, "s 4 s s@3 s@5 s@5 [s b]"),
        ApiKey::DescribeGroups => (5, "{s} 1@3"),
        ApiKey::ListGroups => (3, "{s}@4 {s}@5"),
        ApiKey::ApiVersions => (3, "s@3 s@3"),
        ApiKey::CreateTopics => (5, "[s 4 2 [4 {4}] [s s]] 4 1"),
        ApiKey::DeleteTopics => (4, "{s} 4"),
        ApiKey::DeleteRecords => (2, "[s [4 8]] 4"),
        ApiKey::InitProducerId => (2, "s 4 8@3 2@3"),
        ApiKey::AddPartitionsToTxn => (3, "s 8 2 [s {4}]"),
        ApiKey::AddOffsetsToTxn => (3, "s 8 2 s"),
        ApiKey::EndTxn => (3, "s 8 2 1"),
        ApiKey::TxnOffsetCommit => (3, "s s 8 2 4@3 s@3 s@3 [s [4 8 4@2 s]]"),
        ApiKey::OffsetForLeaderEpoch => (4, "4@3 [s [4 4 4]]"),
        ApiKey::CreatePartitions => (2, "[s 4 [{4}]] 4 1"),
        ApiKey::DeleteGroups => (2, "{s}"),
        ApiKey::DescribeConfigs => (4, "[1 s {s}] 1 1@3"),
        ApiKey::AlterConfigs => (2, "[1 s [s s]] 1"),
        ApiKey::IncrementalAlterConfigs => (1, "[1 s [s 1 s]] 1"),
        _ => return None,
    })
}

struct Walk<'a> {
    rest: &'a [u8],
    version: i16,
    is_flexible: bool,
    elements: usize,
}

impl Walk<'_> {
    fn fields(&mut self, mut shape: &str) -> ShapeResult<()> {
        while let Some(field) = Field::next(&mut shape) {
            if !field.versions.contains(&self.version) {
                continue;
            }
            match field.kind {
                b'1' | b'2' | b'4' | b'8' => self.skip(usize::from(field.kind - b'0'))?,
                b'u' => self.skip(16)?,
                b's' => self.string()?,
                b'b' => self.bytes()?,
                kind => self.array(field.inside, kind == b'[')?,
            }
        }
        Ok(())
    }

    fn array(&mut self, inside: &str, of_structures: bool) -> ShapeResult<()> {
        let count = if self.is_flexible {
            self.short_length()?
        } else {
            self.number(4)?
        };
        for _ in 0..count {
            self.element()?;
            self.fields(inside)?;
            if of_structures {
                self.tags_if_flexible()?;
            }
        }
        Ok(())
    }

    fn tags_if_flexible(&mut self) -> ShapeResult<()> {
        if self.is_flexible { self.tags() } else { Ok(()) }
    }

    fn tags(&mut self) -> ShapeResult<()> {
        for _ in 0..self.varint()? {
            self.element()?;
            self.varint()?;
            let size = self.varint()?;
            self.skip(size)?;
        }
        Ok(())
    }

    fn element(&mut self) -> ShapeResult<()> {
        self.elements = self.elements.checked_sub(1).ok_or("it has too many elements")?;
        Ok(())
    }

    fn string(&mut self) -> ShapeResult<()> {
        let length = if self.is_flexible {
            self.short_length()?
        } else {
            self.number(2)?
        };
        self.skip(length)
    }

    fn bytes(&mut self) -> ShapeResult<()> {
        let length = if self.is_flexible {
            self.short_length()?
        } else {
            self.number(4)?
        };
        self.skip(length)
    }

    /// A length of a flexible version: one more than it says, 0 for null.
    fn short_length(&mut self) -> ShapeResult<usize> {
        Ok(self.varint()?.saturating_sub(1))
    }

    /// A length of an older version, -1 for null.
    fn number(&mut self, size: usize) -> ShapeResult<usize> {
        let mut rest = self.rest;
        self.skip(size)?;
        let length = rest.get_int(size);
        if length < -1 {
            return Err("it has a negative length");
        }
        Ok(usize::try_from(length).unwrap_or(0))
    }

    fn varint(&mut self) -> ShapeResult<usize> {
        let mut value = 0u32;
        for shift in (0..35).step_by(7) {
            let byte = *self.rest.first().ok_or("it ends too early")?;
            self.skip(1)?;
            value |= u32::from(byte & 0x7f).checked_shl(shift).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value as usize);
            }
        }
        Err("it has a number that is too long")
    }

    fn skip(&mut self, count: usize) -> ShapeResult<()> {
        self.rest = self.rest.get(count..).ok_or("it ends too early")?;
        Ok(())
    }
}

struct Field<'a> {
    kind: u8,
    inside: &'a str,
    versions: std::ops::RangeInclusive<i16>,
}

impl<'a> Field<'a> {
    /// Takes the next field off a shape.
    fn next(shape: &mut &'a str) -> Option<Self> {
        let text = shape.trim_start();
        let kind = *text.as_bytes().first()?;
        let length = match kind {
            b'[' | b'{' => closing(text),
            _ => 1,
        };
        let (field, rest) = text.split_at(length);
        let (versions, rest) = match rest.strip_prefix('@') {
            Some(rest) => rest.split_at(rest.find([' ', ']', '}']).unwrap_or(rest.len())),
            None => ("", rest),
        };
        *shape = rest;
        let (from, to) = versions.split_once('-').unwrap_or((versions, ""));
        let versions = from.parse().unwrap_or(0)..=to.parse().unwrap_or(i16::MAX);
        Some(Self {
            kind,
            inside: field.get(1..length.max(2) - 1).unwrap_or(""),
            versions,
        })
    }
}

/// The length of the bracketed front of a shape.
fn closing(text: &str) -> usize {
    let mut depth = 0usize;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return index + 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_array_that_claims_more_than_was_sent_is_refused() {
        // DeleteGroups version 0: an array of two billion names, of which none follows.
        assert_eq!(
            check(ApiKey::DeleteGroups, 0, &[0x7f, 0xff, 0xff, 0xff]),
            Err("it ends too early")
        );
        assert_eq!(
            check(ApiKey::DeleteGroups, 2, &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            Err("it ends too early")
        );
    }

    #[test]
    fn more_elements_than_the_limit_are_refused_even_if_they_are_there() {
        let mut body = (200_000i32).to_be_bytes().to_vec();
        body.resize(4 + 2 * 200_000, 0);
        assert_eq!(check(ApiKey::DeleteGroups, 0, &body), Err("it has too many elements"));
    }

    #[test]
    fn fields_follow_their_versions() {
        // Heartbeat: group, generation, member, and from version 3 on an instance.
        let old = [0, 1, b'g', 0, 0, 0, 1, 0, 1, b'm'];
        assert_eq!(check(ApiKey::Heartbeat, 2, &old), Ok(()));
        assert_eq!(check(ApiKey::Heartbeat, 3, &old), Err("it ends too early"));
        let with_null_instance = [&old[..], &[0xff, 0xff]].concat();
        assert_eq!(check(ApiKey::Heartbeat, 3, &with_null_instance), Ok(()));
        let flexible = [2, b'g', 0, 0, 0, 1, 2, b'm', 0, 0];
        assert_eq!(check(ApiKey::Heartbeat, 4, &flexible), Ok(()));
    }
}
