//! Joins records of two inputs that have the same key, as its configuration says.

use sandbar_sdk::join::{Join, JoinKind, Joined, Pair};
use sandbar_sdk::prelude::*;
use sandbar_sdk::window::{Span, Windows};

/// The input of that name; the other one is `right`.
const LEFT: usize = 0;
/// The output for records that are too late.
const LATE: u8 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct JoinPlugin {
    kind: JoinKind,
    within: Option<Within>,
    window: Option<Windows>,
    table: Option<VersionedInput>,
    as_of: Option<VersionedInput>,
    #[serde(skip)]
    join: Joined<String, String>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct Within {
    #[serde(default)]
    before: Span,
    #[serde(default)]
    after: Span,
}

/// The input whose records are versions of a row.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum VersionedInput {
    Right,
}

impl JoinPlugin {
    fn join(&self) -> Result<Join, Refusal> {
        let within = self.within.map(|within| Join::within(within.before, within.after));
        let window = self.window.clone().map(Join::windows);
        let table = self.table.map(|VersionedInput::Right| Join::table());
        let as_of = self.as_of.map(|VersionedInput::Right| Join::as_of());
        let mut given = [within, window, table, as_of].into_iter().flatten();
        match (given.next(), given.next()) {
            (Some(join), None) => Ok(join.kind(self.kind)),
            _ => Err(fail("a join has one of `within`, `window`, `table` and `as-of`")),
        }
    }
}

impl Plugin for JoinPlugin {
    fn describe(description: Description) -> Description {
        description
            .inputs(&["left", "right"])
            .outputs(&["out", "late"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.joined("join", "rows", |plugin| &mut plugin.join);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.join.open(self.join()?)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let put = |pair: &Pair<String, String>| put(event, pair, out);
        let is_in_time = match event.input() {
            LEFT => self.join.left(event, whole(event.bytes()?)?, put)?,
            _ => {
                let item = event.value().map(whole).transpose()?;
                self.join.right(event, item, put)?
            }
        };
        if !is_in_time {
            out.pass(event).to(LATE);
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.join.fire(fired, |pair| put(fired, pair, out))
    }
}

/// The whole document, without the spaces between its parts.
fn whole(document: &[u8]) -> Result<String, json::Invalid> {
    let whole = json::pointer(document, "")?;
    Ok(whole.map(|whole| json::compact(whole.text())).unwrap_or_default())
}

fn put(of: &impl Keyed, pair: &Pair<String, String>, out: &mut Outputs) -> Result<(), Refusal> {
    let left = pair.left.map_or("null", String::as_str);
    let right = pair.right.map_or("null", String::as_str);
    let emitted = match pair.window {
        Some((start, end)) => out.emit_text(
            of.key(),
            format_args!("{{\"start\":{start},\"end\":{end},\"left\":{left},\"right\":{right}}}"),
        ),
        None => out.emit_text(of.key(), format_args!("{{\"left\":{left},\"right\":{right}}}")),
    };
    emitted.timestamp(pair.time);
    Ok(())
}

sandbar_sdk::plugin!(JoinPlugin);
