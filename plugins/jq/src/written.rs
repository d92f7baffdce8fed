//! How results become bytes.

use jaq_json::{Num, Val};
use sandbar_sdk::prelude::*;
use sandbar_sdk::serde_json;

/// As deep as the other plugins read.
const LEVELS_MAX: usize = 128;
/// Up to here jq writes whole numbers without an exponent, and an `i64` holds them.
const WHOLE_MAX: f64 = 1e17;

/// The bytes of a key; text as it is, and null is none.
pub(crate) fn key<'a>(result: &Val, into: &'a mut Vec<u8>) -> Result<Option<&'a [u8]>, Refusal> {
    into.clear();
    if let Val::Null = result {
        return Ok(None);
    }
    value(result, true, into)?;
    Ok(Some(into))
}

/// Adds a result as JSON or, if it is text and asked for raw, as it is.
pub(crate) fn value(result: &Val, is_raw: bool, into: &mut Vec<u8>) -> Result<(), Refusal> {
    match result {
        Val::TStr(text) if is_raw => {
            into.extend_from_slice(text);
            Ok(())
        }
        _ => write(result, 0, into),
    }
}

/// The time that a result is.
pub(crate) fn milliseconds(result: &Val) -> Result<i64, Refusal> {
    let mut text = Vec::new();
    write(result, 0, &mut text)?;
    let text = String::from_utf8_lossy(&text);
    let whole = || {
        text.parse::<f64>()
            .ok()
            .filter(|number| number.fract() == 0.0 && number.abs() < WHOLE_MAX)
    };
    let time = text.parse::<i64>().ok().or_else(|| whole().map(|number| number as i64));
    time.ok_or_else(|| {
        dead_letter(format!(
            "`timestamp` gives {text}, which is no whole number of milliseconds"
        ))
    })
}

fn write(value: &Val, level: usize, into: &mut Vec<u8>) -> Result<(), Refusal> {
    if level >= LEVELS_MAX && matches!(value, Val::Arr(_) | Val::Obj(_)) {
        return Err(dead_letter(format!(
            "a result is nested deeper than {LEVELS_MAX} levels"
        )));
    }
    match value {
        Val::Null => into.extend_from_slice(b"null"),
        Val::Bool(is_true) => into.extend_from_slice(if *is_true { b"true" } else { b"false" }),
        Val::Num(number) => into.extend_from_slice(written(number).as_bytes()),
        Val::TStr(text) => serde_json::to_writer(into, std::str::from_utf8(text)?)?,
        Val::BStr(_) => return Err(dead_letter("a result has bytes in it, which JSON does not know")),
        Val::Arr(entries) => {
            into.push(b'[');
            for (at, entry) in entries.iter().enumerate() {
                if at > 0 {
                    into.push(b',');
                }
                write(entry, level + 1, into)?;
            }
            into.push(b']');
        }
        Val::Obj(members) => {
            into.push(b'{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    into.push(b',');
                }
                let Val::TStr(_) = name else {
                    return Err(dead_letter("a result has an object with a name that is no text"));
                };
                write(name, level + 1, into)?;
                into.push(b':');
                write(member, level + 1, into)?;
            }
            into.push(b'}');
        }
    }
    Ok(())
}

/// As jq 1.7 writes a number: one that was not computed as it came, whole ones without fraction.
fn written(number: &Num) -> String {
    match number {
        Num::Float(float) => written_float(*float),
        Num::Dec(text) => match json::pointer(text.as_bytes(), "") {
            Ok(_) => text.to_string(),
            // Such as `"1." | tonumber`.
            Err(_) => text.parse().map_or_else(|_| "null".to_owned(), written_float),
        },
        Num::Int(_) | Num::BigInt(_) => number.to_string(),
    }
}

fn written_float(float: f64) -> String {
    if float.is_nan() {
        return "null".to_owned();
    }
    let float = float.clamp(f64::MIN, f64::MAX);
    if float.fract() == 0.0 && float.abs() < WHOLE_MAX && (float != 0.0 || float.is_sign_positive()) {
        return (float as i64).to_string();
    }
    Num::Float(float).to_string()
}
