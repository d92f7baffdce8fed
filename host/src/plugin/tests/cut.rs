//! Guests that keep state, called with batches that are cut: by chance, for a record at fault, and because their values
//! take too much memory. The same comes of them.

use std::collections::BTreeMap;

use super::kept::{Kept, count_by_key, keyed};
use super::*;
use crate::record::Column;
use crate::state::store_id;

in_both_worlds! {
    a_count_does_not_depend_on_how_batches_are_cut,
    lists_and_maps_do_not_depend_on_how_batches_are_cut,
    parts_of_a_batch_at_fault_see_what_the_parts_before_them_changed,
    a_record_with_much_state_sees_its_own_and_nobody_elses,
    a_record_with_more_state_than_the_guest_holds_is_refused_with_a_sentence,
    a_batch_whose_values_would_fill_the_guests_memory_is_cut,
}

/// Chance that is the same for the same seed.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }
}

/// Offset, key and value.
type Output = (i64, Option<Vec<u8>>, Option<Vec<u8>>);

/// What a run came to: outputs and refused records by offset, and the state of the keys.
#[derive(Debug, PartialEq, Eq, Default)]
struct Ran {
    outputs: Vec<Output>,
    refused: Vec<(i64, Refusal)>,
    state: Vec<String>,
}

const KEYS: [&str; 4] = ["a", "b", "", "long key"];

/// Processes the rows in batches of up to `most`, by chance; some batches are undone and come again, some are followed
/// by a commit.
fn run(operator: &mut Operator, rows: &[(Option<&str>, String)], chance: &mut Chance, most: usize) -> Ran {
    let (mut kept, mut ran, mut at) = (Kept::new(), Ran::default(), 0);
    while at < rows.len() {
        let end = rows.len().min(at + 1 + chance.below(most));
        let batch: Vec<_> = rows[at..end]
            .iter()
            .map(|(key, value)| (*key, value.as_str()))
            .collect();
        let mut batch = keyed(&batch);
        batch.offsets = (at as i64..end as i64).collect();
        let outcome = kept.call(operator, &mut batch).unwrap();
        if chance.below(5) == 0 {
            kept.state().undo();
            continue;
        }
        kept.state().keep();
        if chance.below(4) == 0 {
            kept.state().apply("sb1:-:views/0:0:-").unwrap();
        }
        let output = &outcome.outputs[0];
        for row in 0..output.len() {
            let owned = |column: &Column| column.get(row).map(<[u8]>::to_vec);
            ran.outputs
                .push((output.offsets[row], owned(&output.keys), owned(&output.values)));
        }
        let refused = outcome.refused.iter();
        ran.refused
            .extend(refused.map(|one| (at as i64 + i64::from(one.record), one.how)));
        at = end;
    }
    for key in KEYS {
        let key = key.as_bytes();
        ran.state.push(format!(
            "{:?} {:?} {:?} {:?}",
            kept.value("total", key),
            kept.value("value", key),
            kept.items("list", key),
            kept.entries("map", key)
        ));
    }
    ran
}

fn cut_any_way(operator: &mut Operator, rows: &[(Option<&str>, String)], chance: &mut Chance) -> Ran {
    let one_by_one = run(operator, rows, chance, 1);
    for most in [2, 5, 17, rows.len()] {
        assert_eq!(
            run(operator, rows, chance, most),
            one_by_one,
            "in batches of up to {most}"
        );
    }
    one_by_one
}

fn a_count_does_not_depend_on_how_batches_are_cut(world: World) {
    let mut operator = count_by_key(world);
    for seed in 0..10 {
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let key = |chance: &mut Chance| (chance.below(9) > 0).then(|| KEYS[chance.below(KEYS.len())]);
        let rows: Vec<_> = (0..100).map(|_| (key(&mut chance), String::new())).collect();
        let ran = cut_any_way(&mut operator, &rows, &mut chance);
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        let mut expected = Vec::new();
        for (at, (key, _)) in rows.iter().enumerate() {
            let Some(key) = key else { continue };
            let count = counts.entry(key).or_default();
            *count += 1;
            expected.push((
                at as i64,
                Some(key.as_bytes().to_vec()),
                Some(count.to_string().into_bytes()),
            ));
        }
        assert_eq!(ran.outputs, expected);
    }
}

fn lists_and_maps_do_not_depend_on_how_batches_are_cut(world: World) {
    let mut operator = operator_in(world, "keeps");
    for seed in 0..25 {
        println!("seed {seed}");
        let mut chance = Chance(seed);
        let rows: Vec<_> = (0..80)
            .map(|_| (Some(KEYS[chance.below(KEYS.len())]), words(&mut chance)))
            .collect();
        let ran = cut_any_way(&mut operator, &rows, &mut chance);
        assert!(!ran.refused.is_empty() && ran.outputs.len() > 40);
    }
}

fn words(chance: &mut Chance) -> String {
    let mut words = String::new();
    for _ in 0..=chance.below(5) {
        let number = chance.below(100);
        let key = ["k1", "k2", "k22", "j", ""][chance.below(5)];
        words += &match chance.below(40) {
            0..6 => format!("push:{number} "),
            6..8 => "clear-list ".to_owned(),
            8..14 => format!("put:{key}={number} "),
            14..18 => format!("delete:{key} "),
            18..20 => "clear-map ".to_owned(),
            20..23 => format!("set:{number} "),
            23 => "unset ".to_owned(),
            24..28 => "items ".to_owned(),
            28..31 => format!("get:{key} "),
            31..34 => "scan: ".to_owned(),
            34..36 => "scan:k2 ".to_owned(),
            36..38 => "value ".to_owned(),
            38 => "refuse ".to_owned(),
            _ => ["trap ", "items "][usize::from(chance.below(4) > 0)].to_owned(),
        };
    }
    words
}

fn parts_of_a_batch_at_fault_see_what_the_parts_before_them_changed(world: World) {
    let (mut kept, mut operator) = (Kept::new(), operator_in(world, "keeps"));
    let batch = [
        (Some("a"), "push:1 put:x=1"),
        (Some("a"), "push:2 items"),
        (Some("a"), "push:3 trap"),
        (Some("a"), "items get:x scan"),
        (Some("b"), "items"),
    ];
    let outcome = kept.call(&mut operator, &mut keyed(&batch)).unwrap();
    assert_eq!(refusals(&outcome), [(2, Refusal::Fault)]);
    let said = values(&outcome.outputs[0]);
    assert_eq!(said, ["", r#"["1", "2"]"#, r#"["1", "2"]Some("1")x=1,"#, "[]"]);
    assert!(!operator.left_changes());
}

/// An operator with so much memory.
fn keeps_within(world: World, memory_bytes: u64) -> Operator {
    let limits = Limits {
        memory_bytes,
        ..limits()
    };
    guest_in(world, "keeps").operator("op", "", limits).unwrap()
}

fn a_record_with_much_state_sees_its_own_and_nobody_elses(world: World) {
    let (mut kept, mut operator) = (Kept::new(), keeps_within(world, 16 << 20));
    for (key, bytes) in [("small", 1), ("large", 5 << 20)] {
        kept.state()
            .put(store_id("op", "value"), key.as_bytes(), &vec![7; bytes]);
    }
    let set = [
        (Some("small"), "set-other:smalls"),
        (Some("nothing"), "set-other:nothings"),
    ];
    kept.call(&mut operator, &mut keyed(&set)).unwrap();
    // The values of the large key are more than a quarter of the memory: no batch has so much, and this record stands
    // alone.
    for before in ["small", "nothing"] {
        kept.call(&mut operator, &mut keyed(&[(Some(before), "other")]))
            .unwrap();
        let outcome = kept
            .call(&mut operator, &mut keyed(&[(Some("large"), "other")]))
            .unwrap();
        assert_eq!(values(&outcome.outputs[0]), ["None"], "behind the key `{before}`");
        assert_eq!(refusals(&outcome), []);
    }
}

fn a_record_with_more_state_than_the_guest_holds_is_refused_with_a_sentence(world: World) {
    let (mut kept, mut operator) = (Kept::new(), keeps_within(world, 16 << 20));
    kept.state()
        .put(store_id("op", "value"), b"large", &vec![7; (8 << 20) + 1]);
    let batch = [
        (Some("a"), "set-other:as"),
        (Some("large"), "other"),
        (Some("a"), "other"),
    ];
    let outcome = kept.call(&mut operator, &mut keyed(&batch)).unwrap();
    assert_eq!(refusals(&outcome), [(1, Refusal::Fault)]);
    assert_eq!(
        outcome.refused[0].reason,
        "was not called: the values that its stores have for the record's key take more than half of its memory \
         limit of 16MiB"
    );
    assert_eq!(values(&outcome.outputs[0]), ["", "Some(\"as\")"]);
    assert_eq!(operator.stats().memory_limits, 1);
}

fn a_batch_whose_values_would_fill_the_guests_memory_is_cut(world: World) {
    let (mut kept, mut operator) = (Kept::new(), operator_in(world, "keeps"));
    let names: Vec<_> = (0..300).map(|number| format!("key-{number:03}")).collect();
    let large = vec![7; 512 << 10];
    for name in &names {
        kept.state().put(store_id("op", "value"), name.as_bytes(), &large);
    }
    kept.state().keep();
    let rows: Vec<_> = names.iter().map(|name| (Some(name.as_str()), "push:1 items")).collect();
    let outcome = kept.call(&mut operator, &mut keyed(&rows)).unwrap();
    assert_eq!(refusals(&outcome), []);
    assert_eq!(values(&outcome.outputs[0]), vec![r#"["1"]"#; 300]);
    let keys: Vec<_> = outcome.outputs[0].keys.iter().flatten().collect();
    assert!(keys.is_sorted(), "in their order");
    let stats = operator.stats();
    assert_eq!((stats.traps, stats.memory_limits), (0, 0), "{stats:?}");
}
