//! From what is there to the state that people are shown. Pure, so that each row can be read and tested.

use crate::model::{State, Wanted};

use super::ending::Ending;
use super::process::ProcessStatus;

/// What is there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen<'a> {
    /// What is wanted of the pipeline.
    pub(super) wanted: Wanted,
    /// Whether its process lives.
    pub(super) is_alive: bool,
    /// What the process says of itself, if it answers.
    pub(super) says: Option<&'a ProcessStatus>,
    /// Whether it answered before, or has had the time for it.
    pub(super) is_to_answer: bool,
    /// Whether it was asked to end by us.
    pub(super) is_asked_to_end: bool,
    /// How the newest process ended, if it did and was not started again.
    pub(super) ended: Option<&'a Ending>,
    /// Seconds until the next start, if one is waited for.
    pub(super) next_start: Option<u64>,
}

/// The state, and why, in a sentence that is empty if the state says all.
pub(super) fn derive(seen: &Seen<'_>) -> (State, String) {
    match seen.is_alive {
        true => of_a_living(seen),
        false => of_a_dead(seen),
    }
}

fn of_a_living(seen: &Seen<'_>) -> (State, String) {
    let Some(says) = seen.says else {
        return match seen.is_to_answer {
            true => (State::Waiting, "its process does not answer".to_owned()),
            false => (State::Starting, String::new()),
        };
    };
    if seen.is_asked_to_end {
        return (State::Running, "it was asked to end, and finishes its batch".to_owned());
    }
    if let Some(standstill) = &says.standstill {
        return (State::Waiting, format!("it stands still: {standstill}"));
    }
    if let Some(words) = &says.asks_again {
        return (State::Waiting, format!("a plugin asks for its call again: {words}"));
    }
    match (says.disconnected, says.running) {
        (true, _) => (State::Waiting, "a Kafka cluster is out of reach".to_owned()),
        (false, true) => (State::Running, says.held_at.as_deref().map_or_else(String::new, held)),
        (false, false) => (State::Starting, String::new()),
    }
}

/// A quota is nobody's failure: the process goes on, more slowly.
fn held(quota: &str) -> String {
    format!("it is slowed down, for it uses all that the tenant's quota `{quota}` gives")
}

fn of_a_dead(seen: &Seen<'_>) -> (State, String) {
    match (seen.wanted, seen.ended) {
        (Wanted::Stopped, _) => (State::Stopped, String::new()),
        (Wanted::Paused, _) => (State::Paused, String::new()),
        (Wanted::Running, Some(Ending::Finished)) => (State::Finished, String::new()),
        (Wanted::Running, Some(Ending::Failed { is_lasting: true, why })) => (State::Failed, why.clone()),
        (Wanted::Running, Some(ending)) => {
            let why = match ending {
                Ending::Failed { why, .. } => why.as_str(),
                Ending::Finished | Ending::Stopped => "its process was stopped by somebody else",
            };
            let next = seen
                .next_start
                .map_or_else(String::new, |seconds| format!("; next start in {seconds} s"));
            (State::Restarting, format!("{why}{next}"))
        }
        (Wanted::Running, None) => (State::Starting, String::new()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TURNS: ProcessStatus = ProcessStatus {
        running: true,
        disconnected: false,
        standstill: None,
        asks_again: None,
        records_in: 1,
        records_out: 1,
        bytes_in: 1,
        bytes_out: 1,
        held_at: None,
        lag: 0,
        workers: 1,
    };

    fn seen(is_alive: bool) -> Seen<'static> {
        Seen {
            wanted: Wanted::Running,
            is_alive,
            says: None,
            is_to_answer: false,
            is_asked_to_end: false,
            ended: None,
            next_start: None,
        }
    }

    #[test]
    fn running_is_said_of_a_process_that_answers_and_of_no_other() {
        for wanted in [Wanted::Running, Wanted::Paused, Wanted::Stopped] {
            let of = |says| {
                derive(&Seen {
                    wanted,
                    says,
                    ..seen(true)
                })
                .0
            };
            assert_eq!(of(None), State::Starting);
            let silent = derive(&Seen {
                wanted,
                is_to_answer: true,
                ..seen(true)
            });
            assert_eq!(silent, (State::Waiting, "its process does not answer".to_owned()));
            assert_eq!(of(Some(&TURNS)), State::Running);
            assert_ne!(
                derive(&Seen {
                    wanted,
                    says: Some(&TURNS),
                    ..seen(false)
                })
                .0,
                State::Running
            );
        }
    }

    #[test]
    fn one_that_is_held_at_a_quota_runs_and_says_so() {
        let held = ProcessStatus {
            held_at: Some("bytes-in".to_owned()),
            ..TURNS
        };
        let (state, reason) = derive(&Seen {
            says: Some(&held),
            ..seen(true)
        });
        assert!(
            state == State::Running && reason.contains("quota `bytes-in`"),
            "{reason}"
        );
    }

    #[test]
    fn a_process_that_waits_says_for_what() {
        let of = |says: &ProcessStatus| {
            derive(&Seen {
                says: Some(says),
                ..seen(true)
            })
        };
        let away = ProcessStatus {
            disconnected: true,
            ..TURNS
        };
        assert_eq!(
            of(&away),
            (State::Waiting, "a Kafka cluster is out of reach".to_owned())
        );
        let still = ProcessStatus {
            standstill: Some("worker 1, 75 s".to_owned()),
            ..TURNS
        };
        assert_eq!(
            of(&still),
            (State::Waiting, "it stands still: worker 1, 75 s".to_owned())
        );
        let again = ProcessStatus {
            asks_again: Some("operator `op`: no luck".to_owned()),
            ..TURNS
        };
        assert_eq!(
            of(&again),
            (
                State::Waiting,
                "a plugin asks for its call again: operator `op`: no luck".to_owned()
            )
        );
        assert_eq!(
            of(&ProcessStatus {
                running: false,
                ..TURNS
            })
            .0,
            State::Starting
        );
    }

    #[test]
    fn how_it_ended_and_what_is_wanted_say_what_a_dead_one_is() {
        let failed = |is_lasting| Ending::Failed {
            is_lasting,
            why: "no plugin".to_owned(),
        };
        let of = |wanted, ended: &Ending| {
            derive(&Seen {
                wanted,
                ended: Some(ended),
                next_start: Some(4),
                ..seen(false)
            })
        };
        assert_eq!(of(Wanted::Running, &Ending::Finished), (State::Finished, String::new()));
        assert_eq!(
            of(Wanted::Running, &failed(true)),
            (State::Failed, "no plugin".to_owned())
        );
        assert_eq!(
            of(Wanted::Running, &failed(false)),
            (State::Restarting, "no plugin; next start in 4 s".to_owned())
        );
        assert_eq!(of(Wanted::Running, &Ending::Stopped).0, State::Restarting);
        for ended in [Ending::Finished, Ending::Stopped, failed(true), failed(false)] {
            assert_eq!(of(Wanted::Stopped, &ended).0, State::Stopped);
            assert_eq!(of(Wanted::Paused, &ended).0, State::Paused);
        }
    }
}
