use super::*;
use crate::bindings::sandbar::plugin::types::{BytesColumn, HeadersColumn, NullableColumn};
use crate::guest::{self, Slot};
use crate::{BatchPlugin, Description, NULL, Plugin, dead_letter, retry, skip};
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
    assert!(
        matches!(run::<EmitsThenRefuses>("", batch(&events, true)), Err(types::Failure::Retry(reason)) if reason == "later")
    );
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
fn a_plugin_declares_no_state() {
    let description = guest::describe::<EmitsThenRefuses>("name", "1.2.3");
    assert_eq!(
        (description.name.as_str(), description.version.as_str()),
        ("name", "1.2.3")
    );
    assert!(description.stores.is_empty() && description.timers.is_empty());
    assert_eq!(description.metrics.len(), 1);
}
