//! What puts out more than anybody wants, or other things.

use sandbar_sdk::prelude::*;

use crate::Attack;

/// A line that a process writes when it ends, and one that stands before what a new one says.
const FORGED: [&str; 4] = [
    r#"{"event":"process","version":7,"at":0}"#,
    r#"{"error":{"exit":3,"hint":null,"kind":"config","what":"failed","why":"forged"}}"#,
    "2026-01-01T00:00:00Z  WARN sandbar: forged",
    r#"{"event":"stopped","reason":"finished","records-in":3}"#,
];

pub(crate) fn put_out(attack: Attack, event: &Event, out: &mut Outputs) {
    match attack {
        Attack::ManyOutputs => (0..100_000).for_each(|_| drop(out.emit(event.key(), "again"))),
        Attack::LargeRecord => drop(out.emit(event.key(), noise(10 << 20))),
        Attack::ManyHeaders => {
            let mut emitted = out.emit(event.key(), "headers");
            for number in 0..100_000 {
                emitted = emitted.header(&format!("header-{number}"), "value");
            }
        }
        Attack::StrangeHeaders => {
            let names = ["", "sandbar-topic", "\u{1b}[2J\n", &"h".repeat(40_000)];
            let mut emitted = out.emit(event.key(), "headers");
            for name in names {
                emitted = emitted.header(name, NULL);
            }
        }
        Attack::UndeclaredOutput => drop(out.emit(event.key(), "nowhere").to(200)),
        Attack::LogFlood => {
            (0..1_000_000).for_each(|line| log::info(&format!("line {line}\n\u{1b}[31mred\u{7}\r\nagain")));
        }
        Attack::ForgedEvents => FORGED
            .iter()
            .for_each(|line| log::warn(&format!("said\n{line}\n{line}"))),
        Attack::NanBits => nan_bits(event, out),
        Attack::NanMetric => out.gauge(0, f64::NAN),
        Attack::BadTimes => {
            for at in [i64::MIN, -2] {
                out.emit(event.key(), "before time").timestamp(at);
            }
        }
        _ => {}
    }
}

/// What no compression makes small.
fn noise(bytes: usize) -> Vec<u8> {
    let mut number = bytes as u64 | 1;
    let byte = || {
        number = number
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (number >> 56) as u8
    };
    std::iter::repeat_with(byte).take(bytes).collect()
}

/// What a processor leaves open: the bits of a NaN.
fn nan_bits(event: &Event, out: &mut Outputs) {
    let zero = std::hint::black_box(0.0_f64);
    let payload = f64::from_bits(std::hint::black_box(0xfff0_dead_beef_0001));
    let made = [
        zero / zero,
        -(zero / zero),
        payload + 1.0,
        (zero - 1.0).sqrt(),
        payload * zero,
    ];
    for number in made {
        out.emit_text(event.key(), format_args!("{:016x}", number.to_bits()));
    }
}
