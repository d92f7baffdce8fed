//! What windows and interval joins owe, by their rules alone: a record is seen, then time moves.

use sandbar_tests::client::Record;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What a partition puts out: key, value, time.
pub type Row = (String, Value, i64);

/// Which windows there are; times in milliseconds.
#[derive(Debug, Clone, Copy)]
pub enum WindowRule {
    /// Windows side by side, which count what comes so much later too.
    Tumbling { size: i64, lateness: i64 },
    /// Records up to one gap apart are together.
    Session { gap: i64 },
}

/// A window of a key, with its records' numbers in the order in which they came.
#[derive(Debug, Clone)]
pub struct OpenWindow {
    pub key: String,
    pub start: i64,
    pub end: i64,
    pub numbers: Vec<i64>,
}

/// The windows of a partition.
pub struct Recomputed {
    rule: WindowRule,
    out_of_orderness: i64,
    watermark: i64,
    open: Vec<OpenWindow>,
    /// As they were put out, in that order.
    pub results: Vec<OpenWindow>,
    /// The numbers of the records that were too late.
    pub late: Vec<i64>,
}

impl Recomputed {
    pub fn new(rule: WindowRule, out_of_orderness: i64) -> Self {
        Self {
            rule,
            out_of_orderness,
            watermark: i64::MIN,
            open: Vec::new(),
            results: Vec::new(),
            late: Vec::new(),
        }
    }

    pub fn see(&mut self, key: &str, at: i64, number: i64) {
        let (lateness, start, end) = match self.rule {
            WindowRule::Tumbling { size, lateness } => {
                let start = at - at.rem_euclid(size);
                (lateness, start, start + size)
            }
            WindowRule::Session { gap } => (0, at, at + gap),
        };
        let is_session = matches!(self.rule, WindowRule::Session { .. });
        let is_same = |of: &OpenWindow| match is_session {
            true => of.start <= end && start <= of.end,
            false => of.start == start,
        };
        let mut window = OpenWindow {
            key: key.to_owned(),
            start,
            end,
            numbers: vec![number],
        };
        for of in self.open.iter().filter(|of| of.key == key && is_same(of)) {
            (window.start, window.end) = (window.start.min(of.start), window.end.max(of.end));
            window.numbers.extend(&of.numbers);
        }
        if window.end - 1 + lateness <= self.watermark {
            self.late.push(number);
        } else {
            // Numbers go up in the log.
            window.numbers.sort_unstable();
            self.open.retain(|of| of.key != key || !is_same(of));
            if window.end - 1 <= self.watermark {
                self.results.push(window.clone());
            }
            self.open.push(window);
        }
        self.move_to(at - self.out_of_orderness - 1);
    }

    pub fn move_to(&mut self, watermark: i64) {
        if watermark <= self.watermark {
            return;
        }
        let closes = |of: &&OpenWindow| of.end - 1 > self.watermark && of.end - 1 <= watermark;
        let mut closed: Vec<OpenWindow> = self.open.iter().filter(closes).cloned().collect();
        closed.sort_by(|one, other| (one.end, &one.key).cmp(&(other.end, &other.key)));
        self.results.extend(closed);
        let lateness = match self.rule {
            WindowRule::Tumbling { lateness, .. } => lateness,
            WindowRule::Session { .. } => 0,
        };
        self.open.retain(|of| (of.end - 1).saturating_add(lateness) > watermark);
        self.watermark = watermark;
    }

    /// The keys of which something is kept.
    pub fn keys_kept(&self) -> usize {
        self.open.iter().map(|of| &of.key).collect::<BTreeSet<_>>().len()
    }
}

/// How far apart the records of an outer join's pairs may be: right.time from left.time − `before` to left.time +
/// `after`, in milliseconds.
#[derive(Debug, Clone, Copy)]
pub struct JoinRule {
    pub before: i64,
    pub after: i64,
    pub out_of_orderness: i64,
}

/// The pairs of a partition's records that came from the topics `left` and another one, and the records for which no
/// partner can come any more, in no order. And of how many keys something is kept.
pub fn joined(rule: JoinRule, left: &str, log: &[Record]) -> (Vec<Row>, usize) {
    let mut sides: [BTreeMap<(String, i64), Vec<i64>>; 2] = Default::default();
    let mut newest = [i64::MIN; 2];
    for record in log {
        let (key, at, number) = of(record);
        let side = usize::from(record.topic != left);
        sides[side].entry((key, at)).or_default().push(number);
        newest[side] = newest[side].max(at);
    }
    let least = newest[0].min(newest[1]);
    let watermark = if least == i64::MIN {
        least
    } else {
        least - rule.out_of_orderness - 1
    };
    let (mut rows, mut keys_kept) = (Vec::new(), BTreeSet::new());
    for side in 0..2 {
        let (back, ahead) = if side == 0 {
            (rule.before, rule.after)
        } else {
            (rule.after, rule.before)
        };
        for ((key, at), numbers) in &sides[side] {
            let partners = sides[1 - side].range((key.clone(), at - back)..=(key.clone(), at + ahead));
            let partners: Vec<_> = partners
                .flat_map(|((_, of), all)| all.iter().map(|one| (*of, *one)))
                .collect();
            if at + ahead > watermark {
                keys_kept.insert(key);
            }
            for number in numbers {
                // Each pair is met twice, once from each side.
                if side == 0 {
                    rows.extend(partners.iter().map(|(other, partner)| {
                        (key.clone(), json!({ "left": number, "right": partner }), *at.max(other))
                    }));
                }
                if partners.is_empty() && at + ahead <= watermark {
                    let alone = [
                        json!({ "left": number, "right": null }),
                        json!({ "left": null, "right": number }),
                    ];
                    rows.push((key.clone(), alone[side].clone(), *at));
                }
            }
        }
    }
    (rows, keys_kept.len())
}

/// A record's key, time, and number.
pub fn of(record: &Record) -> (String, i64, i64) {
    let key = String::from_utf8(record.key.clone().expect("a key")).expect("text");
    (
        key,
        record.timestamp.expect("a time"),
        record.text().parse().unwrap_or(0),
    )
}

/// A record as a row.
pub fn row(record: &Record) -> Row {
    let (key, at, _) = of(record);
    (key, serde_json::from_str(&record.text()).expect("JSON"), at)
}
