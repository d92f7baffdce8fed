//! `sandbar dead-letters replay`: what was sent, and what was not.

use serde_json::{Value, json};

use super::shown::tamed;
use crate::cli::output::Output;
use crate::config::Pipeline;
use crate::error::{Error, Kind, Result};
use crate::inspect::dead_letters::{FoundLetter, LetterBox, Replay, Replayed};

/// What a person asks for.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplayAsked {
    pub(super) again: bool,
    pub(super) dry_run: bool,
}

/// Sends the records one by one, and tells each.
pub(super) fn run(
    pipeline: &Pipeline,
    dead: &LetterBox,
    letters: &[FoundLetter],
    asked: ReplayAsked,
    out: &Output,
) -> Result<()> {
    let mut replay = Replay::new(pipeline, dead, asked.again, asked.dry_run)?;
    let (mut sent, mut refused) = (0, 0);
    for letter in letters {
        let replayed = replay.send(letter).map_err(|error| match sent {
            0 => error,
            _ => error.hint(format!("the {sent} letters before {} were replayed", letter.place)),
        })?;
        match replayed {
            Replayed::Sent { .. } => sent += 1,
            Replayed::Refused(_) => refused += 1,
        }
        out.show(&as_json(letter, &replayed), || as_text(letter, &replayed))?;
    }
    if !out.is_json() {
        let verb = if asked.dry_run { "would be replayed" } else { "replayed" };
        out.line(&format!("{sent} {verb}, {refused} not"))?;
    }
    match refused {
        0 => Ok(()),
        refused => {
            let what = format!("{refused} of {} dead letters were not replayed", letters.len());
            Err(Error::new(Kind::Failed, what, "the line of each says why"))
        }
    }
}

fn as_text(letter: &FoundLetter, replayed: &Replayed) -> String {
    let told = match replayed {
        Replayed::Sent { to, offset, is_copy } => {
            let copy = match is_copy {
                true => ", the letter's copy: the record itself is gone from there",
                false => "",
            };
            match offset {
                Some(offset) => format!("sent to {to}, offset {offset}{copy}"),
                None => format!("would be sent to {to}{copy}"),
            }
        }
        Replayed::Refused(why) => format!("not replayed: {why}"),
    };
    tamed(&format!("{}  {told}", letter.place))
}

fn as_json(letter: &FoundLetter, replayed: &Replayed) -> Value {
    let mut value = json!({ "partition": letter.place.partition, "offset": letter.place.offset });
    value["replayed"] = json!(matches!(replayed, Replayed::Sent { offset: Some(_), .. }));
    match replayed {
        Replayed::Sent { to, offset, is_copy } => {
            value["to"] = json!({ "topic": &*to.topic, "partition": to.partition, "offset": offset });
            value["copy"] = json!(is_copy);
        }
        Replayed::Refused(why) => value["why"] = json!(why),
    }
    value
}
