//! Whatever dies, the daemon or a process of a pipeline: no process is interrupted by the one, each comes back after
//! the other, and the outputs are those of one prefix of the input. `SANDBAR_KILLS` sets how often (usually 5).

use std::time::Duration;

use sandbar_tests::counted::Counted;
use sandbar_tests::daemon::Daemon;
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process::{component, signal};
use sandbar_tests::wait::{self, PATIENCE, seconds, setting};

use super::walk::file_of;
use crate::exactly_once::under_load_until;

/// Records at a time, and how often.
const LOAD: (i64, Duration) = (500, Duration::from_millis(20));

/// A daemon with a pipeline that runs.
fn with_a_pipeline(counted: &Counted) -> Daemon {
    let daemon = Daemon::start();
    daemon.done(&["tenant", "create", "team"]);
    let file = daemon.write("counts.toml", &file_of(counted, &component("count-by-key"), ""));
    daemon.done(&["apply", &file.display().to_string(), "--tenant", "team"]);
    daemon.wait_until("team", "counts", "running");
    daemon
}

pub(in crate::tenants) fn is_complete(counted: &Counted) {
    wait::until_true("every output is there", seconds(240), || {
        std::thread::sleep(Duration::from_millis(200));
        counted.is_complete()
    });
}

#[test]
fn a_daemon_that_dies_interrupts_nobody_runs_none_twice_and_forgets_none() {
    let counted = Counted::on(Kafka::shared(), "daemon-kills", 4, 50);
    let mut daemon = with_a_pipeline(&counted);
    let process = daemon.children();
    assert_eq!(process.len(), 1);
    under_load_until(
        &counted,
        LOAD,
        || {
            for kill in 0..setting("SANDBAR_KILLS", 5) {
                let before = counted.visible();
                daemon.kill();
                wait::until_true("it goes on without a daemon", PATIENCE, || counted.visible() > before);
                daemon.start_again();
                std::thread::sleep(Duration::from_millis(kill * 37 % 250));
                assert_eq!(daemon.children(), process, "after kill {kill}");
            }
            let status = daemon.wait_until("team", "counts", "running");
            assert_eq!(status["pid"], process[0], "{status}");
            assert_eq!(status["restarts"], 0, "{status}");
        },
        || is_complete(&counted),
    );
}

#[test]
fn a_process_that_dies_comes_back_and_nothing_is_lost_or_doubled() {
    let counted = Counted::on(Kafka::shared(), "child-kills", 4, 50);
    let daemon = with_a_pipeline(&counted);
    under_load_until(
        &counted,
        LOAD,
        || {
            for kill in 0..setting("SANDBAR_KILLS", 5) {
                let pid = daemon.wait_until("team", "counts", "running")["pid"].as_u64().unwrap() as u32;
                let before = counted.visible();
                wait::until_true("it puts out", PATIENCE, || counted.visible() > before);
                std::thread::sleep(Duration::from_millis(kill * 37 % 250));
                signal(pid, "KILL");
                let mut status = serde_json::Value::Null;
                wait::until_true("its end is seen", seconds(60), || {
                    status = daemon.status("team", "counts");
                    status["pid"] != pid
                });
                if status["state"] == "restarting" {
                    assert!(status["reason"].as_str().unwrap().contains("SIGKILL"), "{status}");
                }
                // Pauses grow with each failure: whoever does not want to wait starts it at once.
                daemon.done(&["resume", "counts", "--tenant", "team"]);
                wait::until_true("it is there again", seconds(120), || daemon.children().len() == 1);
                assert_ne!(daemon.children(), [pid]);
            }
        },
        || is_complete(&counted),
    );
}
