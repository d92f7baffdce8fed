//! Makes records of each record by a program in jq's language.

mod program;
mod written;

use jaq_core::Vars;
use jaq_json::{Map, Num, Val, read};
use program::Program;
use sandbar_sdk::prelude::*;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Jq {
    program: String,
    key: Option<String>,
    timestamp: Option<String>,
    #[serde(default)]
    raw: bool,
    #[serde(skip)]
    compiled: Option<Compiled>,
}

struct Compiled {
    program: Program,
    key: Option<Program>,
    timestamp: Option<Program>,
    /// The whole of a value.
    document: Pointer,
    /// Room for a key and a value.
    written: (Vec<u8>, Vec<u8>),
}

impl Plugin for Jq {
    fn describe(description: Description) -> Description {
        description
            .config_schema(include_str!("../config.schema.json"))
            .coordinates()
    }

    fn open(&mut self) -> Result<(), Refusal> {
        let compiled = |name, text: &Option<String>| {
            let program = text.as_ref().map(|text| Program::compile(name, text));
            program.transpose()
        };
        self.compiled = Some(Compiled {
            program: Program::compile("program", &self.program)?,
            key: compiled("key", &self.key)?,
            timestamp: compiled("timestamp", &self.timestamp)?,
            document: Pointer::new("")?,
            written: (Vec::new(), Vec::new()),
        });
        Ok(())
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let compiled = self
            .compiled
            .as_mut()
            .ok_or_else(|| fail("the plugin was not opened"))?;
        compiled.process(event, self.raw, out)
    }
}

impl Compiled {
    fn process(&mut self, event: &Event, is_raw: bool, out: &mut Outputs) -> Result<(), Refusal> {
        // jaq reads more than JSON, so this is checked first.
        let Some(document) = self.document.find(event.bytes()?)? else {
            return Ok(());
        };
        let input = read::parse_single(document.text().as_bytes())?;
        let bound = bound(event);
        for result in self.program.run(&bound, input) {
            let result = result?;
            let timestamp = match &self.timestamp {
                Some(program) => written::milliseconds(&program.one(&bound, &result)?)?,
                None => event.timestamp(),
            };
            let (own_key, value) = &mut self.written;
            let key = match &self.key {
                Some(program) => written::key(&program.one(&bound, &result)?, own_key)?,
                None => event.key(),
            };
            value.clear();
            written::value(&result, is_raw, value)?;
            let emitted = out.emit(key, &*value).timestamp(timestamp);
            event.headers().try_fold(emitted, |emitted, (name, value)| {
                std::str::from_utf8(name).map(|name| emitted.header(name, value))
            })?;
        }
        Ok(())
    }
}

/// What a program finds beside its input, in the order of [`program::BOUND`].
fn bound(event: &Event) -> Vars<Val> {
    let text = |bytes: Option<&[u8]>| bytes.map_or(Val::Null, |bytes| Val::utf8_str(bytes.to_vec()));
    let headers: Map = event
        .headers()
        .map(|(name, value)| (text(Some(name)), text(value)))
        .collect();
    let (partition, offset) = match event.coordinates() {
        Some((partition, offset)) => (whole(partition.into()), whole(offset)),
        None => (Val::Null, Val::Null),
    };
    Vars::new([
        text(event.key()),
        whole(event.timestamp()),
        Val::obj(headers),
        partition,
        offset,
    ])
}

fn whole(number: i64) -> Val {
    Val::Num(Num::from_integral(number))
}

sandbar_sdk::plugin!(Jq);
