//! Lets one record through of those that are the same, as its configuration says.

use sandbar_sdk::deduplicate::{Deduplicated, Keep, Sighting};
use sandbar_sdk::prelude::*;
use sandbar_sdk::window::Span;

/// The output for records that are too late.
const LATE: u8 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Deduplicate {
    by: Option<Pointer>,
    within: Span,
    #[serde(default)]
    keep: Keep,
    #[serde(skip)]
    groups: Deduplicated,
}

impl Plugin for Deduplicate {
    fn describe(description: Description) -> Description {
        description
            .outputs(&["out", "late"])
            .config_schema(include_str!("../config.schema.json"))
            .keeps_key()
    }

    fn stores(stores: &mut Stores<Self>) {
        stores.deduplicated("groups", "ends", |plugin| &mut plugin.groups);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        self.groups.open(self.within, self.keep)
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let found = match &self.by {
            Some(by) => by.find(event.bytes()?)?,
            None => None,
        };
        let id = found.map(|found| found.identity()).unwrap_or_default();
        match self.groups.add(event, &id)? {
            Sighting::First if self.keep == Keep::First => {
                out.pass(event);
            }
            Sighting::Late => {
                out.pass(event).to(LATE);
            }
            Sighting::First | Sighting::Again => {}
        }
        Ok(())
    }

    fn fire(&mut self, fired: &Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.groups.fire(fired, |last| {
            last.emit(fired.key(), out);
        })
    }
}

sandbar_sdk::plugin!(Deduplicate);
