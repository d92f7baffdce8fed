//! A naive account of a join: every record is kept, and each question is answered by looking at all of them.

use super::Step;

/// A record that was not late.
#[derive(Debug, Clone)]
struct NaiveRow {
    key: &'static str,
    is_right: bool,
    text: Option<String>,
    time: i64,
    arrival: usize,
    is_matched: bool,
    /// It was given up, or its session is closed.
    is_done: bool,
}

pub(super) struct Account {
    how: Vec<String>,
    kind: String,
    all: Vec<NaiveRow>,
    watermark: i64,
    said: Vec<String>,
}

impl Account {
    /// What the steps put out.
    pub(super) fn of(how: &str, kind: &str, steps: &[Step]) -> Vec<String> {
        let mut account = Self {
            how: how.split(' ').map(str::to_owned).collect(),
            kind: kind.to_owned(),
            all: Vec::new(),
            watermark: i64::MIN,
            said: Vec::new(),
        };
        for (arrival, step) in steps.iter().enumerate() {
            match step {
                Step::Push { text: Some(text), .. } if text.ends_with('!') => {}
                Step::Push {
                    key,
                    is_right,
                    text,
                    time,
                } => account.push(NaiveRow {
                    key,
                    is_right: *is_right,
                    text: text.clone(),
                    time: *time,
                    arrival,
                    is_matched: false,
                    is_done: false,
                }),
                Step::Advance(watermark) => account.advance(*watermark),
            }
        }
        account.said
    }

    fn number(&self, at: usize) -> i64 {
        self.how[at].parse().unwrap()
    }

    fn keeps(&self, is_right: bool) -> bool {
        let side = if is_right { "right" } else { "left" };
        self.kind == side || self.kind == "outer"
    }

    fn push(&mut self, mut row: NaiveRow) {
        let is_late = match &self.how[0][..] {
            "within" => row.time <= self.watermark,
            "session" => self.session_of(&row).1 - 1 <= self.watermark,
            "table" => false,
            "as-of" if row.is_right => self.all.iter().any(|other| {
                let is_newer = other.time > row.time && other.time - 1 <= self.watermark;
                other.is_right && !other.is_done && other.key == row.key && is_newer
            }),
            "as-of" => row.time <= self.watermark,
            _ => self.windows(row.time).iter().all(|(_, end)| end - 1 <= self.watermark),
        };
        if is_late {
            let text = row.text.unwrap_or_else(|| "null".to_owned());
            self.said.push(format!("late {}={text} @{}", row.key, row.time));
            return;
        }
        match &self.how[0][..] {
            "within" => self.match_partners(&mut row),
            "table" if !row.is_right => {
                let mut of_key = self.all.iter().filter(|other| other.is_right && other.key == row.key);
                let latest = of_key.next_back().cloned();
                self.say_version(&row, latest.as_ref());
            }
            _ => {}
        }
        self.all.push(row);
        self.forget_what_is_ended();
    }

    /// The last moment at which a partner can come.
    fn due(&self, row: &NaiveRow) -> i64 {
        row.time + self.number(if row.is_right { 1 } else { 2 })
    }

    fn match_partners(&mut self, row: &mut NaiveRow) {
        let (before, after) = (self.number(1), self.number(2));
        let mut partners: Vec<usize> = (0..self.all.len()).collect();
        partners.sort_by_key(|at| self.all[*at].time);
        for at in partners {
            let other = self.all[at].clone();
            let (left, right) = if row.is_right { (&other, &*row) } else { (&*row, &other) };
            let is_near = right.time >= left.time - before && right.time <= left.time + after;
            if other.key == row.key && other.is_right != row.is_right && is_near {
                let time = left.time.max(right.time);
                let (left, right) = (text(left), text(right));
                self.said.push(format!("out {}={left} {right} @{time}", row.key));
                self.all[at].is_matched = true;
                row.is_matched = true;
            }
        }
        if self.due(row) <= self.watermark {
            row.is_done = true;
            if self.keeps(row.is_right) && !row.is_matched {
                self.say_alone(row);
            }
        }
    }

    fn advance(&mut self, watermark: i64) {
        match &self.how[0][..] {
            "within" => self.give_up(watermark),
            "session" => self.close_sessions(watermark),
            "table" => {}
            "as-of" => self.ask_versions(watermark),
            _ => self.close_windows(watermark),
        }
        self.watermark = watermark;
        self.forget_what_is_ended();
    }

    fn give_up(&mut self, watermark: i64) {
        let due = |row: &&NaiveRow| !row.is_done && self.due(row) <= watermark;
        let mut due: Vec<NaiveRow> = self.all.iter().filter(due).cloned().collect();
        due.sort_by_key(|row| (self.due(row), row.key, row.is_right, row.time, row.arrival));
        for row in due {
            if self.keeps(row.is_right) && !row.is_matched {
                self.say_alone(&row);
            }
            let known = self.all.iter_mut().find(|known| known.arrival == row.arrival);
            known.unwrap().is_done = true;
        }
    }

    /// The windows of a time, found by trying.
    fn windows(&self, time: i64) -> Vec<(i64, i64)> {
        let size = self.number(1);
        let (step, start_step) = match &self.how[0][..] {
            "tumbling" => (size, size),
            "hopping" => (size, self.number(2)),
            _ => (self.number(2), size),
        };
        let mut found = Vec::new();
        for start in time - 2 * size..=time {
            for length in (step..=size).step_by(step as usize) {
                if start.rem_euclid(start_step) == 0 && start + length > time {
                    found.push((start, start + length));
                }
            }
        }
        found
    }

    fn close_windows(&mut self, watermark: i64) {
        let mut closed = Vec::new();
        for row in &self.all {
            for (start, end) in self.windows(row.time) {
                if end - 1 > self.watermark && end - 1 <= watermark {
                    closed.push((end, row.key, start));
                }
            }
        }
        closed.sort_unstable();
        closed.dedup();
        for (end, key, start) in closed {
            self.say_window(key, start, end);
        }
    }

    /// The open session that a record lies in, together with it.
    fn session_of(&self, row: &NaiveRow) -> (i64, i64) {
        let gap = self.number(1);
        let (mut first, mut last) = (row.time, row.time);
        loop {
            let near = |other: &&NaiveRow| {
                let is_near = other.time >= first - gap && other.time <= last + gap;
                other.key == row.key && !other.is_done && is_near
            };
            let near = self.all.iter().filter(near).map(|other| other.time);
            let (from, to) = near.fold((first, last), |(from, to), time| (from.min(time), to.max(time)));
            if (from, to) == (first, last) {
                return (first, last + gap);
            }
            (first, last) = (from, to);
        }
    }

    fn close_sessions(&mut self, watermark: i64) {
        let open = self.all.iter().filter(|row| !row.is_done);
        let mut closed: Vec<(i64, &str, i64)> = open
            .map(|row| (self.session_of(row), row.key))
            .filter(|((_, end), _)| end - 1 <= watermark)
            .map(|((start, end), key)| (end, key, start))
            .collect();
        closed.sort_unstable();
        closed.dedup();
        for (end, key, start) in closed {
            self.say_window(key, start, end);
            let done = |row: &&mut NaiveRow| row.key == key && row.time >= start && row.time < end;
            self.all.iter_mut().filter(done).for_each(|row| row.is_done = true);
        }
    }

    fn say_window(&mut self, key: &str, start: i64, end: i64) {
        let lies_in = |row: &&NaiveRow| row.key == key && !row.is_done && row.time >= start && row.time < end;
        let mut rows: Vec<NaiveRow> = self.all.iter().filter(lies_in).cloned().collect();
        rows.sort_by_key(|row| (row.time, row.arrival));
        let (rights, lefts): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.is_right);
        let window = format!("{start}..{end} ");
        for left in &lefts {
            for right in &rights {
                let time = left.time.max(right.time);
                let (left, right) = (text(left), text(right));
                self.said.push(format!("out {key}={window}{left} {right} @{time}"));
            }
        }
        for (alone, others) in [(&lefts, &rights), (&rights, &lefts)] {
            if others.is_empty() && alone.first().is_some_and(|row| self.keeps(row.is_right)) {
                self.said.extend(alone.iter().map(|row| alone_text(row, &window)));
            }
        }
    }

    fn ask_versions(&mut self, watermark: i64) {
        let asks = |row: &&NaiveRow| !row.is_right && row.time > self.watermark && row.time <= watermark;
        let mut asks: Vec<NaiveRow> = self.all.iter().filter(asks).cloned().collect();
        asks.sort_by_key(|row| (row.time, row.key, row.arrival));
        for row in asks {
            let versions = self.all.iter().filter(|version| {
                version.is_right && !version.is_done && version.key == row.key && version.time <= row.time
            });
            let valid = versions.max_by_key(|version| (version.time, version.arrival)).cloned();
            self.say_version(&row, valid.as_ref());
        }
    }

    /// A null that is valid for all that come is forgotten with what it ends.
    fn forget_what_is_ended(&mut self) {
        if self.how[0] != "as-of" {
            return;
        }
        for key in ["a", "b", ""] {
            let watermark = self.watermark;
            let passed = |row: &NaiveRow| row.is_right && row.key == key && !row.is_done && row.time <= watermark;
            let newest = self
                .all
                .iter()
                .filter(|row| passed(row))
                .max_by_key(|row| (row.time, row.arrival));
            if newest.is_some_and(|newest| newest.text.is_none()) {
                self.all
                    .iter_mut()
                    .filter(|row| passed(row))
                    .for_each(|row| row.is_done = true);
            }
        }
    }

    fn say_version(&mut self, row: &NaiveRow, version: Option<&NaiveRow>) {
        let version = version.filter(|version| version.text.is_some());
        match version {
            Some(version) => {
                let time = row.time.max(version.time);
                let (left, right) = (text(row), text(version));
                self.said.push(format!("out {}={left} {right} @{time}", row.key));
            }
            None if self.keeps(false) => self.say_alone(row),
            None => {}
        }
    }

    fn say_alone(&mut self, row: &NaiveRow) {
        self.said.push(alone_text(row, ""));
    }
}

fn text(row: &NaiveRow) -> String {
    row.text.clone().unwrap_or_default()
}

fn alone_text(row: &NaiveRow, window: &str) -> String {
    let (key, text, time) = (row.key, text(row), row.time);
    match row.is_right {
        true => format!("out {key}={window}- {text} @{time}"),
        false => format!("out {key}={window}{text} - @{time}"),
    }
}
