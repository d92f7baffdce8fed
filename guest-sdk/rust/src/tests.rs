//! Plugins of each kind, run through the glue as the host runs them.

use crate::batch::NONE;
use crate::bindings::sandbar::plugin::types::{BytesColumn, HeadersColumn, NullableColumn};
use crate::bindings::sandbar::plugin::{batches, types};
use crate::guest::{self, Slot};
use crate::{
    Batch, BatchPlugin, Column, Description, Event, Failure, Headers, List, Map, NULL, Outputs, Plugin, Raw, Refusal,
    Stores, Value, dead_letter, retry, skip,
};
use serde::Deserialize;

type Row<'a> = (Option<&'a str>, Option<&'a str>);

/// A batch with a key an event, or with distinct keys; event 1 has the header `h`.
fn batch(rows: &[Row], distinct: bool) -> batches::Batch {
    let (mut keys, mut values, mut headers) = (Column::default(), Column::default(), Headers::default());
    let mut key_of = Vec::new();
    for (key, value) in rows {
        let known = keys
            .iter()
            .position(|known| known == key.map(str::as_bytes))
            .filter(|_| distinct);
        key_of.push(match (key, known) {
            (None, _) => NONE,
            (Some(_), Some(known)) => known as u32,
            (Some(key), None) => {
                keys.push(Some(key.as_bytes()));
                keys.len() as u32 - 1
            }
        });
        values.push(value.map(str::as_bytes));
    }
    if rows.len() > 1 {
        headers.push(1, b"h", None);
    }
    batches::Batch {
        keys: BytesColumn::from(keys),
        events: batches::Events {
            input: Vec::new(),
            key: key_of,
            timestamp: (100..).take(rows.len()).collect(),
            value: NullableColumn::from(values),
            partition: Vec::new(),
            offset: Vec::new(),
            headers: HeadersColumn::from(headers),
        },
        values: Vec::new(),
        watermark: 0,
        advances: Vec::new(),
        due: Vec::new(),
        processing_time: 0,
        seed: 0,
    }
}

fn run<P: BatchPlugin>(config: &str, batch: batches::Batch) -> Result<batches::Outcome, types::Failure> {
    let slot: Slot<P> = Slot::default();
    guest::open(&slot, config).unwrap();
    guest::process(&slot, batch)
}

fn rows(outputs: &batches::Outputs) -> Vec<(Option<String>, Option<String>)> {
    let text = |column: &NullableColumn| -> Vec<Option<String>> {
        let column = Column::from(column.clone());
        column
            .iter()
            .map(|entry| entry.map(|bytes| String::from_utf8_lossy(bytes).into_owned()))
            .collect()
    };
    text(&outputs.key).into_iter().zip(text(&outputs.value)).collect()
}

fn owned(rows: &[Row]) -> Vec<(Option<String>, Option<String>)> {
    let text = |text: Option<&str>| text.map(str::to_owned);
    rows.iter().map(|&(key, value)| (text(key), text(value))).collect()
}

#[derive(Deserialize)]
struct PassAll;

impl BatchPlugin for PassAll {
    fn process_batch(&mut self, batch: Batch, out: &mut Outputs) -> Result<(), Failure> {
        out.pass_all(batch);
        Ok(())
    }
}

#[derive(Deserialize)]
struct PassEach;

impl Plugin for PassEach {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        out.pass(event);
        Ok(())
    }
}

#[test]
fn passing_all_is_passing_each_whatever_the_keys_are() {
    let cases: [&[Row]; 4] = [
        &[],
        &[(Some("a"), Some("1")), (Some("b"), None), (Some("a"), Some(""))],
        &[(None, Some("1")), (Some(""), Some("2")), (None, None)],
        &[(Some("a"), Some("1")), (Some("a"), Some("2"))],
    ];
    for case in cases {
        for distinct in [false, true] {
            let all = run::<PassAll>("", batch(case, distinct)).unwrap().outputs;
            let each = run::<PassEach>("", batch(case, distinct)).unwrap().outputs;
            assert_eq!(rows(&all), owned(case));
            assert_eq!(format!("{all:?}"), format!("{each:?}"));
            assert_eq!(all.headers.of.len(), usize::from(case.len() > 1));
        }
    }
}

/// Emits, then does what the value says.
#[derive(Deserialize)]
struct EmitsThenRefuses;

impl Plugin for EmitsThenRefuses {
    fn describe(description: Description) -> Description {
        description.counter("seen", "")
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        out.count(0, 1.0);
        out.pass(event);
        out.emit(NULL, "more").header("x", "y").to(1).timestamp(7);
        match event.text()? {
            "skip" => Err(skip("so said")),
            "dead" => Err(dead_letter("so said")),
            "retry" => Err(retry("later")),
            number => {
                number.parse::<u8>()?;
                Ok(())
            }
        }
    }
}

#[test]
fn what_a_refused_event_emitted_is_taken_back() {
    let events: [Row; 5] = [
        (Some("a"), Some("1")),
        (Some("a"), Some("skip")),
        (Some("b"), None),
        (None, Some("x")),
        (Some("c"), Some("2")),
    ];
    let outcome = run::<EmitsThenRefuses>("null", batch(&events, true)).unwrap();
    let outputs = outcome.outputs;
    assert_eq!(
        rows(&outputs),
        owned(&[
            (Some("a"), Some("1")),
            (None, Some("more")),
            (Some("c"), Some("2")),
            (None, Some("more"))
        ])
    );
    assert_eq!((outputs.output, outputs.cause), (vec![0, 1, 0, 1], vec![0, 0, 4, 4]));
    assert_eq!(
        (outputs.timestamp, outputs.headers.of),
        (vec![100, 7, 104, 7], vec![1, 3])
    );
    let refused: Vec<_> = outcome
        .refused
        .iter()
        .map(|refused| (refused.event, refused.how, refused.reason.as_str()))
        .collect();
    assert_eq!(
        refused,
        [
            (1, types::Refusal::Skip, "so said"),
            (2, types::Refusal::DeadLetter, "the value is null"),
            (3, types::Refusal::DeadLetter, "invalid digit found in string"),
        ]
    );
    assert_eq!(
        outcome
            .measured
            .iter()
            .map(|measured| measured.value)
            .collect::<Vec<_>>(),
        [5.0]
    );
}

#[test]
fn a_retry_is_the_whole_calls() {
    let events: [Row; 2] = [(None, Some("1")), (None, Some("retry"))];
    let answer = run::<EmitsThenRefuses>("", batch(&events, true));
    assert!(matches!(answer, Err(types::Failure::Retry(reason)) if reason == "later"));
}

/// Emits what cannot be written as JSON.
#[derive(Deserialize)]
struct BadJson;

impl Plugin for BadJson {
    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let odd = std::collections::BTreeMap::from([([1, 2], 3)]);
        if out.emit_json("k", &odd).is_err() {
            out.emit_json(event.key(), &(1, "two"))?;
        }
        Ok(())
    }
}

#[test]
fn json_that_cannot_be_written_leaves_nothing_behind() {
    let outcome = run::<BadJson>("{}", batch(&[(Some("a"), None)], true)).unwrap();
    assert_eq!(rows(&outcome.outputs), owned(&[(Some("a"), Some("[1,\"two\"]"))]));
}

#[derive(Deserialize, Debug)]
#[serde(deny_unknown_fields)]
struct Configured {
    #[serde(rename = "field")]
    _field: crate::json::Pointer,
}

impl Plugin for Configured {
    fn process(&mut self, _: &Event, _: &mut Outputs) -> Result<(), Refusal> {
        Ok(())
    }
}

#[test]
fn a_configuration_that_does_not_fit_is_refused_with_the_reason() {
    let open = |config: &str| guest::open::<Configured>(&Slot::default(), config);
    assert_eq!(open(r#"{"field":"/a"}"#), Ok(()));
    for (config, reason) in [
        ("", "missing field `field`"),
        ("{\"field\":\"a\"}", "does not start with a slash"),
        ("{\"field\":\"/a\",\"other\":1}", "unknown field `other`"),
        ("{", "EOF"),
    ] {
        let said = open(config).unwrap_err();
        assert!(said.contains(reason), "{said}");
    }
}

#[test]
fn a_plugin_without_stores_declares_none() {
    let description = guest::describe::<EmitsThenRefuses>("name", "1.2.3");
    assert_eq!(
        (description.name.as_str(), description.version.as_str()),
        ("name", "1.2.3")
    );
    assert!(description.stores.is_empty() && description.timers.is_empty());
    assert_eq!(description.metrics.len(), 1);
}

/// Does with each store what the value says.
#[derive(Deserialize)]
struct Keeps {
    #[serde(skip)]
    value: Value<String>,
    #[serde(skip)]
    raw: Value<Vec<u8>, Raw>,
    #[serde(skip)]
    list: List<u32>,
    #[serde(skip)]
    map: Map<i16, u32>,
}

impl Plugin for Keeps {
    fn stores(stores: &mut Stores<Self>) {
        stores.add("list", |keeps| &mut keeps.list);
        stores
            .add("value", |keeps| &mut keeps.value)
            .version(3)
            .readable_from(2);
        stores.add("map", |keeps| &mut keeps.map);
        stores.add("raw", |keeps| &mut keeps.raw).version(2);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let before = self.value.get(event)?;
        let word = event.text()?;
        match word {
            "read" => {}
            "unset" => self.value.delete(event)?,
            "clear" => {
                self.list.clear(event)?;
                self.map.clear(event)?;
            }
            word => {
                self.value.set(event, &word.to_owned())?;
                self.list.push(event, &(word.len() as u32))?;
                self.map.put(event, &-1, &7)?;
                self.map.put(event, &0, &8)?;
                self.map.delete(event, &-1)?;
            }
        }
        let items = self.list.items(event)?;
        let entries: Vec<(i16, u32)> = self.map.scan(event, b"")?.collect::<Result<_, _>>()?;
        out.emit_text(event.key(), format_args!("{before:?} {items:?} {entries:?}"));
        match word {
            "refused" => Err(skip("told to")),
            _ => Ok(()),
        }
    }
}

/// A batch with distinct keys and these stored values of `value`; `raw` has none.
fn keyed(rows: &[Row], stored: &[Option<&[u8]>]) -> batches::Batch {
    let mut batch = batch(rows, true);
    let (mut value, mut raw) = (Column::default(), Column::default());
    for &entry in stored {
        value.push(entry);
        raw.push(None);
    }
    batch.values = vec![value.into(), raw.into()];
    batch
}

#[test]
fn stores_are_declared_in_their_order_with_their_versions() {
    let stores = guest::describe::<Keeps>("name", "1").stores;
    let stores: Vec<_> = stores
        .iter()
        .map(|store| {
            (
                store.name.as_str(),
                store.kind,
                store.codec.as_str(),
                store.schema_version,
                store.readable_from,
            )
        })
        .collect();
    use types::StoreKind::{ListOf, MapOf, Value};
    assert_eq!(
        stores,
        [
            ("list", ListOf, "postcard", 1, 1),
            ("value", Value, "postcard", 3, 2),
            ("map", MapOf, "postcard", 1, 1),
            ("raw", Value, "raw", 2, 2),
        ]
    );
}

/// A change's store, kind, key, user key and value.
type Change = (u8, u8, u32, Option<Vec<u8>>, Option<Vec<u8>>);

fn changes(outcome: &batches::Outcome) -> Vec<Change> {
    let changes = &outcome.changes;
    let (user_keys, values) = (
        Column::from(changes.user_key.clone()),
        Column::from(changes.value.clone()),
    );
    let owned = |column: &Column, at: usize| column.get(at).map(<[u8]>::to_vec);
    (0..changes.store.len())
        .map(|at| {
            (
                changes.store[at],
                changes.kind[at],
                changes.key[at],
                owned(&user_keys, at),
                owned(&values, at),
            )
        })
        .collect()
}

#[test]
fn a_call_gives_back_the_last_write_of_each_key() {
    let events: [Row; 5] = [
        (Some("a"), Some("one")),
        (Some("b"), Some("read")),
        (Some("a"), Some("three")),
        (None, Some("x")),
        (Some("b"), Some("unset")),
    ];
    let outcome = run::<Keeps>("", keyed(&events, &[None, Some(b"\x03old")])).unwrap();
    let said: Vec<_> = rows(&outcome.outputs)
        .into_iter()
        .filter_map(|(_, value)| value)
        .collect();
    assert_eq!(
        said,
        [
            "None [3] [(0, 8)]",
            "Some(\"old\") [] []",
            "Some(\"one\") [3, 5] [(0, 8)]",
            "Some(\"old\") [] []"
        ]
    );
    assert_eq!(outcome.refused[0].reason, "the record has no key");
    let bytes = |bytes: &[u8]| Some(bytes.to_vec());
    assert_eq!(
        changes(&outcome),
        [
            (0, 2, 0, None, bytes(&[3])),
            (0, 2, 0, None, bytes(&[5])),
            (1, 0, 0, None, bytes(b"\x05three")),
            (1, 1, 1, None, None),
            (2, 1, 0, bytes(&[0x7f, 0xff]), None),
            (2, 0, 0, bytes(&[0x80, 0]), bytes(&[8])),
        ]
    );
}

#[test]
fn what_a_refused_event_wrote_is_taken_back() {
    let events: [Row; 4] = [
        (Some("a"), Some("refused")),
        (Some("b"), Some("refused")),
        (Some("a"), Some("read")),
        (Some("b"), Some("read")),
    ];
    let outcome = run::<Keeps>("", keyed(&events, &[None, Some(b"\x03old")])).unwrap();
    assert_eq!(changes(&outcome), []);
    let said: Vec<_> = rows(&outcome.outputs)
        .into_iter()
        .filter_map(|(_, value)| value)
        .collect();
    assert_eq!(said, ["None [] []", "Some(\"old\") [] []"]);
}

#[test]
fn state_that_cannot_be_read_stops_the_pipeline() {
    for stored in [&b"\x05shor"[..], b"\x01xy", b""] {
        let outcome = run::<Keeps>("", keyed(&[(Some("a"), Some("read"))], &[Some(stored)])).unwrap();
        assert_eq!(outcome.refused[0].how, types::Refusal::Fail);
        let reason = &outcome.refused[0].reason;
        assert!(
            reason.starts_with("store `value` has bytes that cannot be read: "),
            "{reason}"
        );
    }
}

/// Writes its value, which is large, again and again under one key.
#[derive(Deserialize)]
struct Overwrites {
    #[serde(skip)]
    value: Value<Vec<u8>, Raw>,
}

impl Plugin for Overwrites {
    fn stores(stores: &mut Stores<Self>) {
        stores.add("value", |plugin| &mut plugin.value);
    }

    fn process(&mut self, event: &Event, out: &mut Outputs) -> Result<(), Refusal> {
        let before = self.value.get(event)?.unwrap_or_default();
        self.value.set(event, &vec![event.index() as u8; 100_000])?;
        out.emit(event.key(), [before.first().copied().unwrap_or(255)]);
        match event.index() % 3 {
            0 => Err(skip("each third")),
            _ => Ok(()),
        }
    }
}

#[test]
fn what_is_overwritten_is_given_up_and_nothing_else() {
    let rows: Vec<Row> = (0..200).map(|at| (Some(["a", "b"][at % 2]), None)).collect();
    let mut batch = batch(&rows, true);
    batch.values = vec![];
    let outcome = run::<Overwrites>("", batch).unwrap();
    let found = changes(&outcome);
    let last: Vec<_> = found
        .iter()
        .map(|change| change.4.as_ref().map(|value| (value[0], value.len())))
        .collect();
    assert_eq!(last, [Some((196, 100_000)), Some((199, 100_000))]);
    let outputs = Column::from(outcome.outputs.value);
    for (at, cause) in outcome.outputs.cause.iter().enumerate().skip(2) {
        let before = (0..*cause).rev().find(|event| event % 2 == cause % 2 && event % 3 != 0);
        assert_eq!(
            outputs.get(at),
            before.map(|event| event as u8).as_ref().map(std::slice::from_ref)
        );
    }
}
