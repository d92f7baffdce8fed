//! From what is there to the next phase of an upgrade. Pure, so that each row can be read and tested.

use crate::fleet::TakeoverSeen;
use crate::model::canary::CanaryReport;
use crate::model::upgrade::{PipelineUpgrade, UpgradePhase};
use crate::model::{State, Wanted};

/// So long a swap may take: the process before ends within a minute, its savepoint is taken within five.
const SWAP_MS: i64 = 600_000;
/// So long the process of a new version has at least until it runs, however short it is watched.
const START_MS: i64 = 60_000;
/// So long a daemon looks at least before it says that something is not there: it may have begun just now.
const SEEN_MS: i64 = 10_000;
/// Restarts of a new version's process with which it is taken back.
const MOST_RESTARTS: u64 = 2;

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Next {
    /// Nothing yet.
    Stay,
    /// What was compared is the same: the new version takes over, for this reason.
    Promote(String),
    /// It is not, and somebody has to decide.
    Ask(String),
    /// The new version is never started, for this reason.
    Drop(String),
    /// The new version was started, and is watched.
    Watch,
    /// It stays, for this reason.
    Done(String),
    /// It is taken back, for this reason.
    TakeBack(String),
}

/// What is looked at beside the upgrade and the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WatchMoment {
    /// Milliseconds since 1970.
    pub(super) now: i64,
    /// What is wanted of the pipeline.
    pub(super) wanted: Wanted,
    /// Whether the new version was seen to run.
    pub(super) has_run: bool,
    /// Whether it lags.
    pub(super) lags: bool,
    /// For how many milliseconds this daemon has looked at the upgrade.
    pub(super) looked_ms: i64,
}

/// The next phase of an upgrade that is under way.
pub(super) fn next(upgrade: &PipelineUpgrade, seen: &TakeoverSeen, moment: WatchMoment) -> Next {
    match upgrade.phase {
        UpgradePhase::Swapping => of_a_swap(upgrade, seen, moment),
        UpgradePhase::Watched => of_a_watch(upgrade, seen, moment),
        UpgradePhase::Compared if upgrade.until.is_none_or(|until| moment.now >= until) => {
            Next::Drop("nobody promoted it within an hour".to_owned())
        }
        // What ends a canary is its comparison.
        UpgradePhase::Canary | UpgradePhase::Compared => Next::Stay,
        UpgradePhase::Dropped | UpgradePhase::Done | UpgradePhase::TakenBack | UpgradePhase::Overtaken => Next::Stay,
    }
}

/// The next phase of a canary that came to this. Both versions read the same records and put nothing out, so what a new
/// file says of topics, partitions and sinks is not compared: `has_same_places`, whether it says the same as that of
/// the version before.
pub(super) fn after_canary(compared: &Result<CanaryReport, String>, has_same_places: bool) -> Next {
    match compared {
        Err(why) => Next::Drop(why.clone()),
        // That nothing differs of nothing says nothing.
        Ok(report) if report.old.records == 0 || !report.is_same() => Next::Ask(report.sentence()),
        Ok(report) if !has_same_places => Next::Ask(format!(
            "{}; what the new file says of topics, partitions and sinks is not compared",
            report.sentence()
        )),
        Ok(report) => Next::Promote(report.sentence()),
    }
}

fn of_a_swap(upgrade: &PipelineUpgrade, seen: &TakeoverSeen, moment: WatchMoment) -> Next {
    let (old, new) = (upgrade.from_version, upgrade.to_version);
    if let Some((name, why)) = &seen.not_saved
        && upgrade.saves.as_ref() == Some(name)
    {
        return Next::TakeBack(format!("no savepoint of version {old} can be taken: {why}"));
    }
    let is_started = seen.started == new;
    let is_saved = upgrade.saves.is_none();
    match (moment.wanted, is_started, upgrade.watch_seconds) {
        (Wanted::Paused | Wanted::Stopped, _, _) if is_saved => {
            Next::Done("it does not run, so that there is nothing to watch".to_owned())
        }
        (Wanted::Running, true, 0) => Next::Done("it was started, and is not watched".to_owned()),
        (Wanted::Running, true, _) => Next::Watch,
        _ if is_of(seen, new) && seen.status.state == State::Failed => Next::TakeBack(seen.status.reason.clone()),
        _ if moment.now.saturating_sub(upgrade.since()) > SWAP_MS => {
            let within = SWAP_MS / 60_000;
            Next::TakeBack(format!("it did not start within {within} minutes: {}", doing(seen)))
        }
        _ => Next::Stay,
    }
}

fn of_a_watch(upgrade: &PipelineUpgrade, seen: &TakeoverSeen, moment: WatchMoment) -> Next {
    let (status, is_over) = (&seen.status, upgrade.until.is_none_or(|until| moment.now >= until));
    if moment.wanted != Wanted::Running {
        return Next::Done("it was told to pause or stop, so that there is nothing more to watch".to_owned());
    }
    if !is_of(seen, upgrade.to_version) && !is_over {
        return Next::Stay;
    }
    match status.state {
        State::Finished => Next::Done("it came to the end of its input".to_owned()),
        State::Failed => Next::TakeBack(format!("its process failed: {}", status.reason)),
        _ if status.restarts >= MOST_RESTARTS => Next::TakeBack(format!(
            "its process was restarted {} times: {}",
            status.restarts, status.reason
        )),
        _ if moment.lags => {
            let (lag, before) = (status.lag.unwrap_or_default(), upgrade.lag.unwrap_or_default());
            Next::TakeBack(format!(
                "it falls behind: its lag grew in three looks in a row, ten seconds apart, to {lag} records; before \
                 the upgrade it was {before}"
            ))
        }
        _ if !is_over => Next::Stay,
        State::Running | State::Waiting if moment.has_run => Next::Done("it ran as long as it was watched".to_owned()),
        _ if moment.looked_ms < SEEN_MS => Next::Stay,
        _ if !moment.has_run && moment.now.saturating_sub(upgrade.since()) < START_MS => Next::Stay,
        _ => Next::TakeBack(format!("it did not run when the watch was over: {}", doing(seen))),
    }
}

/// Whether the status is the new version's, and not that of the one before.
fn is_of(seen: &TakeoverSeen, version: i64) -> bool {
    seen.status.version == version
}

fn doing(seen: &TakeoverSeen) -> String {
    let state = serde_json::json!(seen.status.state);
    let state = state.as_str().unwrap_or_default();
    match seen.status.reason.as_str() {
        "" => format!("it is {state}"),
        reason => format!("it is {state}: {reason}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Status;
    use crate::model::canary::CanaryRun;

    const NOW: i64 = 1_000_000;

    fn upgrade(phase: UpgradePhase) -> PipelineUpgrade {
        let mut upgrade = PipelineUpgrade {
            number: 1,
            from_version: 3,
            to_version: 4,
            back_version: None,
            phase,
            author: String::new(),
            watch_seconds: 120,
            until: Some(NOW + 120_000),
            saves: None,
            savepoint: None,
            changes_state: false,
            drops_state: false,
            to_begin: None,
            canary: None,
            lag: Some(5),
            records_out: None,
            history: Vec::new(),
        };
        upgrade.enter(phase, NOW, "");
        upgrade
    }

    fn seen(version: i64, state: State) -> TakeoverSeen {
        TakeoverSeen {
            status: Status {
                name: "p".parse().unwrap(),
                tenant: "t".parse().unwrap(),
                state,
                reason: "why".to_owned(),
                since: 0,
                restarts: 0,
                version,
                records_in: None,
                records_out: None,
                lag: Some(9),
                workers: None,
                pid: None,
            },
            started: version,
            saved: (String::new(), 0),
            not_saved: None,
            begun: 0,
        }
    }

    const MOMENT: WatchMoment = WatchMoment {
        now: NOW,
        wanted: Wanted::Running,
        has_run: false,
        lags: false,
        looked_ms: SEEN_MS,
    };

    fn is_back(next: &Next, word: &str) -> bool {
        matches!(next, Next::TakeBack(why) if why.contains(word))
    }

    #[test]
    fn a_swap_ends_with_the_start_and_without_a_savepoint_and_at_its_limit() {
        let swap = upgrade(UpgradePhase::Swapping);
        let old = seen(3, State::Failed);
        assert_eq!(
            next(&swap, &old, MOMENT),
            Next::Stay,
            "the failure is the old version's"
        );
        assert_eq!(next(&swap, &seen(4, State::Starting), MOMENT), Next::Watch);
        let unwatched = PipelineUpgrade {
            watch_seconds: 0,
            ..swap.clone()
        };
        assert!(matches!(
            next(&unwatched, &seen(4, State::Starting), MOMENT),
            Next::Done(_)
        ));
        let saves = PipelineUpgrade {
            saves: Some("s".to_owned()),
            ..swap.clone()
        };
        let not_saved = |name: &str| TakeoverSeen {
            not_saved: Some((name.to_owned(), "full".to_owned())),
            ..old.clone()
        };
        assert!(is_back(&next(&saves, &not_saved("s"), MOMENT), "full"));
        assert_eq!(next(&saves, &not_saved("another"), MOMENT), Next::Stay);
        let late = WatchMoment {
            now: NOW + SWAP_MS + 1,
            ..MOMENT
        };
        assert!(is_back(&next(&saves, &old, late), "10 minutes"));
        let not_started = TakeoverSeen {
            started: 3,
            ..seen(4, State::Failed)
        };
        assert!(is_back(&next(&swap, &not_started, MOMENT), "why"));
    }

    #[test]
    fn what_does_not_run_is_saved_and_not_watched() {
        let swap = upgrade(UpgradePhase::Swapping);
        for wanted in [Wanted::Paused, Wanted::Stopped] {
            let moment = WatchMoment { wanted, ..MOMENT };
            assert!(matches!(next(&swap, &seen(3, State::Paused), moment), Next::Done(_)));
            let saves = PipelineUpgrade {
                saves: Some("s".to_owned()),
                ..swap.clone()
            };
            assert_eq!(next(&saves, &seen(3, State::Paused), moment), Next::Stay);
            let watch = upgrade(UpgradePhase::Watched);
            assert!(matches!(next(&watch, &seen(4, State::Running), moment), Next::Done(_)));
        }
    }

    #[test]
    fn a_watch_takes_back_what_fails_restarts_twice_or_lags() {
        let watch = upgrade(UpgradePhase::Watched);
        let of = |state| next(&watch, &seen(4, state), MOMENT);
        for state in [State::Starting, State::Running, State::Waiting, State::Restarting] {
            assert_eq!(of(state), Next::Stay, "{state:?}");
        }
        assert!(is_back(&of(State::Failed), "why"));
        assert_eq!(
            next(&watch, &seen(3, State::Failed), MOMENT),
            Next::Stay,
            "it is the old one's"
        );
        assert!(matches!(of(State::Finished), Next::Done(_)));
        let mut restarted = seen(4, State::Restarting);
        restarted.status.restarts = MOST_RESTARTS;
        assert!(is_back(&next(&watch, &restarted, MOMENT), "2 times"));
        let lags = WatchMoment { lags: true, ..MOMENT };
        assert!(is_back(
            &next(&watch, &seen(4, State::Running), lags),
            "to 9 records; before the upgrade it was 5"
        ));
    }

    #[test]
    fn a_watch_has_an_end_whatever_is_there() {
        let watch = upgrade(UpgradePhase::Watched);
        let at = |has_run, state, version| {
            let moment = WatchMoment {
                now: NOW + 120_000,
                has_run,
                ..MOMENT
            };
            next(&watch, &seen(version, state), moment)
        };
        assert!(matches!(at(true, State::Running, 4), Next::Done(_)));
        assert!(
            matches!(at(true, State::Waiting, 4), Next::Done(_)),
            "Kafka is away, and it ran before"
        );
        for (has_run, state) in [
            (false, State::Starting),
            (false, State::Waiting),
            (true, State::Starting),
            (true, State::Restarting),
            (true, State::Paused),
            (true, State::Stopped),
        ] {
            assert!(is_back(&at(has_run, state, 4), "did not run"), "{has_run} {state:?}");
        }
        for state in [State::Starting, State::Failed, State::Running] {
            assert_ne!(at(false, state, 3), Next::Stay, "{state:?}");
        }
    }

    #[test]
    fn a_daemon_that_began_just_now_does_not_take_back_what_it_has_not_seen_yet() {
        let watch = upgrade(UpgradePhase::Watched);
        let late = WatchMoment {
            now: NOW + 500_000,
            looked_ms: 0,
            ..MOMENT
        };
        assert_eq!(next(&watch, &seen(4, State::Starting), late), Next::Stay);
        let later = WatchMoment {
            looked_ms: SEEN_MS,
            ..late
        };
        assert!(is_back(&next(&watch, &seen(4, State::Starting), later), "did not run"));
        // However short the watch: a process has the time that it takes to start.
        let short = PipelineUpgrade {
            until: Some(NOW + 1),
            ..watch
        };
        let soon = WatchMoment {
            now: NOW + 20_000,
            ..MOMENT
        };
        assert_eq!(next(&short, &seen(4, State::Starting), soon), Next::Stay);
    }

    #[test]
    fn a_canary_ends_with_its_comparison_and_a_question_after_its_time() {
        let canary = upgrade(UpgradePhase::Canary);
        let late = WatchMoment {
            now: NOW + 10_000_000,
            ..MOMENT
        };
        assert_eq!(next(&canary, &seen(3, State::Failed), late), Next::Stay);
        let asks = upgrade(UpgradePhase::Compared);
        for state in [State::Running, State::Failed, State::Paused] {
            assert_eq!(next(&asks, &seen(3, state), MOMENT), Next::Stay, "{state:?}");
        }
        let dropped = next(&asks, &seen(3, State::Running), late);
        assert!(matches!(dropped, Next::Drop(why) if why.contains("within an hour")));
    }

    #[test]
    fn what_is_the_same_is_promoted_what_differs_asked_about_and_what_fails_dropped() {
        let run = CanaryRun {
            records: 9,
            ..CanaryRun::default()
        };
        let report = |keys, same| CanaryReport {
            keys,
            same,
            differing: keys - same,
            old: run.clone(),
            new: run.clone(),
            ..CanaryReport::default()
        };
        assert!(matches!(after_canary(&Ok(report(5, 5)), true), Next::Promote(why) if why.contains("all of 5 keys")));
        assert!(matches!(after_canary(&Ok(report(5, 4)), true), Next::Ask(why) if why.contains("1 of 5 keys differ")));
        assert!(
            matches!(after_canary(&Ok(report(5, 5)), false), Next::Ask(why) if why.contains("topics")),
            "another file may read others"
        );
        let mut letters = report(5, 5);
        letters.new.dead_letters = 2;
        assert!(matches!(after_canary(&Ok(letters), true), Next::Ask(why) if why.contains("dead letters")));
        let nothing = CanaryReport::default();
        assert!(matches!(after_canary(&Ok(nothing), true), Next::Ask(why) if why.contains("no record")));
        let filters = report(0, 0);
        assert!(
            matches!(after_canary(&Ok(filters), true), Next::Promote(_)),
            "neither puts anything out"
        );
        assert_eq!(
            after_canary(&Err("it trapped".to_owned()), true),
            Next::Drop("it trapped".to_owned())
        );
    }

    #[test]
    fn nothing_follows_what_is_over() {
        for phase in [
            UpgradePhase::Dropped,
            UpgradePhase::Done,
            UpgradePhase::TakenBack,
            UpgradePhase::Overtaken,
        ] {
            let late = WatchMoment {
                now: i64::MAX,
                lags: true,
                ..MOMENT
            };
            assert_eq!(next(&upgrade(phase), &seen(4, State::Failed), late), Next::Stay);
        }
    }
}
