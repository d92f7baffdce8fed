//! Aggregates by a configuration: what they are of values, and what does not fit.

use super::{Aggregates, Tallies};
use crate::testing::{Host, Record};
use crate::window::{Aggregate, Span, Windowed, Windows};
use crate::{Batch, Column, Event, Outputs, Plugin, Refusal, Stores};
use serde::Deserialize;

const ALL: &str = r#"{"n":"count","has":{"count":"/p"},"sum":{"sum":"/p"},"min":{"min":"/p"},"max":{"max":"/p"},
    "avg":{"avg":"/p"},"first":{"first":"/p"},"last":{"last":"/p"},"all":{"collect":"/p"},
    "kinds":{"count-distinct":"/p"},"half":{"quantile":"/p","at":0.5}}"#;

fn batch(values: &[&str]) -> Batch {
    let mut column = Column::default();
    values.iter().for_each(|value| column.push(Some(value.as_bytes())));
    let mut batch = Batch::default();
    batch.timestamps = vec![0; values.len()];
    batch.key_of = vec![crate::batch::NONE; values.len()];
    batch.values = column;
    batch
}

/// Adds values one by one, takes each back once, merges halves, and gives the same whatever of it was done.
fn of(config: &str, values: &[&str]) -> Result<String, Refusal> {
    let mut aggregates: Aggregates = serde_json::from_str(config).unwrap();
    let tallies = aggregates.take_tallies();
    let batch = batch(values);
    let mut whole = tallies.empty();
    let mut halves = [tallies.empty(), tallies.empty()];
    for (at, event) in batch.events().enumerate() {
        let taken = aggregates.read(&event)?;
        let before = format!("{whole:?}");
        match tallies.add(&mut whole, taken, at as u64) {
            Ok(undo) => tallies.undo(&mut whole, undo),
            Err(refusal) => {
                assert_eq!(format!("{whole:?}"), before);
                return Err(refusal);
            }
        }
        assert_eq!(format!("{whole:?}"), before);
        tallies.add(&mut whole, taken, at as u64)?;
        tallies.add(&mut halves[at % 2], taken, at as u64)?;
    }
    let [mut half, other] = halves;
    tallies.merge(&mut half, other)?;
    let bytes = {
        let mut bytes = Vec::new();
        <crate::Postcard as crate::Codec<_>>::write(&half, &mut bytes).unwrap();
        bytes
    };
    let mut written = Vec::new();
    tallies.write_state(&half, &mut written).unwrap();
    assert_eq!(written, bytes);
    let read = <crate::Postcard as crate::Codec<<Tallies as Aggregate>::State>>::read(&bytes).unwrap();
    // Over a state of nothing, and over one of other values.
    for mut room in [tallies.empty(), whole.clone()] {
        let mut left = &bytes[..];
        assert_eq!(tallies.read_state(&mut left, &mut room), Some(()));
        assert_eq!((format!("{room:?}"), left), (format!("{half:?}"), &[][..]));
        for end in 0..bytes.len() {
            assert_eq!(
                tallies.read_state(&mut &bytes[..end], &mut whole.clone()),
                None,
                "{end}"
            );
        }
    }
    assert_eq!(tallies.output(&read), tallies.output(&whole));
    tallies.output(&whole)
}

#[test]
fn of_nothing_there_is_a_count_of_none_and_null() {
    let nothing = [
        r#""has":0,"sum":null,"min":null,"max":null,"avg":null"#,
        r#""first":null,"last":null,"all":[],"kinds":0,"half":null"#,
    ]
    .join(",");
    assert_eq!(of(ALL, &[]), Ok(format!("\"n\":0,{nothing}")));
    assert_eq!(
        of(ALL, &[r#"{"p":null}"#, "{}", "[5]"]),
        Ok(format!("\"n\":3,{nothing}"))
    );
}

#[test]
fn each_aggregate_is_what_its_name_says() {
    let values = [
        r#"{"p":4}"#,
        r#"{"p":-7}"#,
        r#"{"q":9}"#,
        r#"{"p":10}"#,
        r#"{"p":-6.50}"#,
    ];
    let said = of(ALL, &values).unwrap();
    let (said, half) = said.rsplit_once("\"half\":").unwrap();
    let all = r#""n":5,"has":4,"sum":0.5,"min":-7,"max":10,"avg":0.125,"first":4,"last":-6.50,"all":[4,-7,10,-6.50],"#;
    assert_eq!(said, format!("{all}\"kinds\":4,"));
    let half: f64 = half.parse().unwrap();
    assert!((half + 6.5).abs() <= 0.065, "{half}");
    assert_eq!(
        of(
            r#"{"s":{"sum":"/p"},"a":{"avg":"/p"}}"#,
            &[r#"{"p":9007199254740993}"#, r#"{"p":2}"#]
        ),
        Ok(r#""s":9007199254740995,"a":4503599627370498.0"#.to_owned())
    );
    let distinct = r#"{"d":{"count-distinct":"/p"}}"#;
    let numbers = [r#"{"p":5}"#, r#"{"p":5.0}"#, r#"{"p":"5"}"#, r#"{"p":0.5e1}"#];
    assert_eq!(of(distinct, &numbers), Ok("\"d\":2".to_owned()));
    let texts = [r#"{"p":"b\u0061"}"#, r#"{"p":"ba"}"#, r#"{"p":"é\"\n"}"#];
    assert_eq!(
        of(
            r#"{"z":{"max":"/p"},"a":{"min":"/p"},"d":{"count-distinct":"/p"}}"#,
            &texts
        ),
        Ok(r#""z":"é\"\n","a":"ba","d":2"#.to_owned())
    );
    assert_eq!(
        of(
            r#"{"l":{"last":""},"c":{"collect":"/x y"}}"#,
            &[r#" { "x y" : [ 1 , " " ] , "b" : true } "#]
        ),
        Ok(r#""l":{"x y":[1," "],"b":true},"c":[[1," "]]"#.to_owned())
    );
}

#[test]
fn what_does_not_fit_is_refused_with_a_sentence() {
    for (config, values, why) in [
        (
            r#"{"s":{"sum":"/p"}}"#,
            &["{\"p\":\"5\"}"][..],
            "the value at /p is no number",
        ),
        (
            r#"{"s":{"quantile":"/p","at":1}}"#,
            &["{\"p\":true}"],
            "the value at /p is no number",
        ),
        (r#"{"s":{"min":"/p"}}"#, &["{\"p\":{}}"], "neither a number nor a text"),
        (
            r#"{"n":"count","s":{"max":"/p"}}"#,
            &["{\"p\":5}", "{\"p\":\"5\"}"],
            "do not compare",
        ),
        (
            r#"{"n":"count","s":{"sum":"/p"}}"#,
            &["{\"p\":9223372036854775807}", "{\"p\":1}"],
            "beyond 64 bits",
        ),
        (
            r#"{"s":{"sum":"/p"}}"#,
            &["{\"p\":1.7e308}", "{\"p\":1.7e308}"],
            "beyond 64 bits",
        ),
        (
            r#"{"s":{"avg":"/p"}}"#,
            &["{\"p\":1.7e308}", "{\"p\":1.7e308}"],
            "beyond 64 bits",
        ),
        (
            r#"{"s":{"count":"/p"}}"#,
            &["{\"p\":9223372036854775808}"],
            "9223372036854775808 is beyond 64 bits",
        ),
        (r#"{"s":{"count":"/p"}}"#, &["{\"p\":1e999}"], "1e999 is beyond 64 bits"),
        (r#"{"s":{"first":"/p"}}"#, &["{\"p\":\"\\ud800\"}"], "no character"),
        (r#"{"s":{"sum":"/p"}}"#, &["{\"p\":5"], "not JSON"),
    ] {
        let said = of(config, values).unwrap_err();
        assert!(
            matches!(&said, Refusal::DeadLetter(reason) if reason.contains(why)),
            "{values:?}: {said:?}"
        );
    }
    // Nobody looks at the value.
    assert_eq!(of(r#"{"n":"count"}"#, &["no JSON"]), Ok("\"n\":1".to_owned()));
}

#[test]
fn aggregates_that_are_none_are_refused_with_the_reason() {
    for (config, why) in [
        ("{}", "no aggregate"),
        (
            r#"{"a":"sum"}"#,
            "aggregate `a`: \"sum\" is no aggregate without a pointer",
        ),
        (r#"{"a":{}}"#, "one of count, sum"),
        (r#"{"a":{"sum":"/p","min":"/p"}}"#, "one of count, sum"),
        (r#"{"a":{"sum":"p"}}"#, "does not start with a slash"),
        (r#"{"a":{"quantile":"/p"}}"#, "from 0 to 1"),
        (r#"{"a":{"quantile":"/p","at":1.5}}"#, "from 0 to 1"),
        (r#"{"a":{"sum":"/p","at":0.5}}"#, "only a quantile"),
        (r#"{"start":"count"}"#, "as a field of the output"),
        (r#"{"a":"count","a":"count"}"#, "two aggregates"),
        (r#"{"a":{"median":"/p"}}"#, "did not match"),
        ("[]", "aggregates by their names"),
    ] {
        let said = serde_json::from_str::<Aggregates>(config).unwrap_err().to_string();
        assert!(said.contains(why), "{config}: {said}");
    }
}

/// Puts windows out as they are; its aggregates may be other ones after a restore.
#[derive(Deserialize)]
struct Plain {
    aggregates: Aggregates,
    #[serde(skip)]
    windows: Windowed<Tallies>,
}

impl Plugin for Plain {
    fn stores(stores: &mut Stores<Self>) {
        stores.windowed("windows", |plain| &mut plain.windows);
    }

    fn open(&mut self) -> Result<(), Refusal> {
        let windows = Windows::session(Span::of_ms(10));
        self.windows.open_with(windows, self.aggregates.take_tallies())
    }

    fn process(&mut self, event: &Event, _: &mut Outputs) -> Result<(), Refusal> {
        let taken = self.aggregates.read(event)?;
        self.windows.add(event, taken, |_| Ok(()))?;
        Ok(())
    }

    fn fire(&mut self, fired: &crate::Fired, out: &mut Outputs) -> Result<(), Refusal> {
        self.windows.fire(fired, |window| {
            out.emit(fired.key(), window.value()?);
            Ok(())
        })
    }
}

#[test]
fn windows_of_other_aggregates_stop_the_pipeline_instead_of_being_misread() {
    let mut before = Host::<Plain>::open(r#"{"aggregates":{"a":"count","b":{"sum":"/p"}}}"#).unwrap();
    before.push(Record::new("k", r#"{"p":5}"#, 0));
    before.run().unwrap();
    for other in [r#"{"a":"count"}"#, r#"{"a":"count","b":{"min":"/p"}}"#] {
        let mut host = Host::<Plain>::open(&format!("{{\"aggregates\":{other}}}")).unwrap();
        host.restore(&before.snapshot());
        host.push(Record::new("k", r#"{"p":5}"#, 1));
        host.run().unwrap();
        let refused = host.take_refused();
        assert!(
            matches!(&refused[..], [Refusal::Fail(reason)] if reason.contains("other aggregates")),
            "{refused:?}"
        );
        host.advance(1000);
        assert!(host.run().is_err());
    }
    before.advance(1000);
    before.run().unwrap();
    assert_eq!(before.take_outputs()[0].to_string(), "out k=\"a\":1,\"b\":5 @9");
}

/// Golden: a change here needs another version of the store.
#[test]
fn what_is_kept_stays_as_it_was_written() {
    let numbers = [r#"{"p":-7}"#, r#"{"p":2.5}"#];
    let texts = [r#"{"p":"b"}"#, r#"{"p":"a"}"#];
    for (config, values, golden) in [
        (r#"{"n":"count"}"#, numbers, "010002"),
        (
            r#"{"n":"count","sum":{"sum":"/p"}}"#,
            numbers,
            "02000201010d010000000000000440",
        ),
        (
            r#"{"min":{"min":"/p"},"max":{"max":"/p"}}"#,
            texts,
            "0203010101610301010162",
        ),
        (
            ALL,
            numbers,
            "0b0002000201010d010000000000000440030100000d030100010000000000000440020d000000000000044002040100022d37\
             04010103322e35050200022d370103322e3506000298a3cbb38acbb79c01bee38e91adc3bb9fa8010700015e0101c60101",
        ),
    ] {
        let mut aggregates: Aggregates = serde_json::from_str(config).unwrap();
        let tallies = aggregates.take_tallies();
        let mut state = tallies.empty();
        for (arrival, event) in batch(&values).events().enumerate() {
            let taken = aggregates.read(&event).unwrap();
            drop(tallies.add(&mut state, taken, arrival as u64).unwrap());
        }
        let mut bytes = Vec::new();
        tallies.write_state(&state, &mut bytes).unwrap();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, golden, "{config}");
    }
}

#[test]
fn what_is_kept_can_be_shown() {
    let schema = <Windowed<Tallies> as crate::Store>::schema();
    assert!(schema["value"]["struct"].is_array(), "{schema}");
}
