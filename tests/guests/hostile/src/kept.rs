//! What is kept, and set to fire, in numbers and under names that nobody wants.

use sandbar_sdk::prelude::*;

pub(crate) type By = Map<Vec<u8>, Vec<u8>, Raw>;

/// Entries that one call adds; a page of a scan holds a thousand.
const ENTRIES: u32 = 20_000;

/// So many new ones each time, with something in each.
pub(crate) fn many_keys(by: &mut By, event: &Event) -> Result<(), Refusal> {
    let number = event.text()?.trim_start_matches("strike").trim().to_owned();
    for entry in 0..ENTRIES {
        by.put(event, format!("{number}/{entry}").as_bytes(), &vec![b'v'; 100])?;
    }
    Ok(())
}

/// Nothing is a name too.
pub(crate) fn empty_key(by: &mut By, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
    by.put(event, b"", &b"under nothing".to_vec())?;
    let found = by.get(event, b"")?.unwrap_or_default();
    out.emit(event.key(), found);
    Ok(())
}

/// User keys that look as the host's own keys might: a prefix, a separator, a number of a store. Whatever they are, a
/// key finds its own entries and no others: those of this key that were there before this call.
pub(crate) fn look_alikes(by: &mut By, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
    let own = event.key().unwrap_or_default().to_vec();
    let names: [&[u8]; 6] = [b"\0", b"\xff\xff\xff\xff", b"../", b"\0\0\0\0by", b"strike\0", b"\xff"];
    let foreign = by
        .scan(event, b"")?
        .filter_map(Result::ok)
        .filter(|(_, whose)| *whose != own);
    let foreign = foreign.count();
    for name in names {
        by.put(event, name, &own)?;
        by.put(event, &[name, &own].concat(), &own)?;
    }
    out.emit_text(event.key(), format_args!("{foreign} foreign"));
    Ok(())
}

/// All entries of the key, a hundred scans at once of which each is held at another place.
pub(crate) fn full_scans(by: &mut By, event: &Event) -> Result<(), Refusal> {
    many_keys(by, event)?;
    let mut scans = Vec::new();
    for place in 0..100 {
        let mut scan = by.scan(event, b"")?;
        scan.by_ref().take(place * 100).for_each(drop);
        scans.push(scan);
    }
    scans.into_iter().flatten().for_each(drop);
    Ok(())
}

/// So many that one step of event time makes all of them due.
pub(crate) fn storm(later: &mut Timer, event: &Event) -> Result<(), Refusal> {
    (0..200_000).try_for_each(|number| later.set(event, event.timestamp() + number))
}
