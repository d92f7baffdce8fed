//! Checkpoints and savepoints in a bucket of S3: the program, a real Kafka, and a server that speaks S3 (crates s3s and
//! s3s-fs).

use crate::checkpoints::{complete_again, run_from, save};
use crate::exactly_once::{complete, under_load};
use crate::storage::{failures, goes_on, told};
use sandbar_tests::counted::Counted;
use sandbar_tests::guard::{Folder, Guarded};
use sandbar_tests::kafka::Kafka;
use sandbar_tests::process;
use sandbar_tests::skip;
use sandbar_tests::wait::{self, PATIENCE};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A server with one bucket.
struct Server {
    address: String,
    folder: Folder,
    process: Guarded,
}

impl Server {
    fn start(test: &str) -> Option<Self> {
        let program = sandbar_tests::target().join("release/s3-server");
        if !program.exists() {
            skip(
                test,
                "the S3 server was not built (cargo build --release -p sandbar-s3)",
            );
            return None;
        }
        let folder = Folder::new("sandbar-s3-");
        std::fs::create_dir(folder.path().join("states")).unwrap();
        let mut command = Command::new(program);
        command.arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = Guarded::spawn(&mut command);
        let mut address = String::new();
        let told = process.child().stdout.take().unwrap();
        BufReader::new(told).read_line(&mut address).unwrap();
        Some(Self {
            address: address.trim().to_owned(),
            folder,
            process,
        })
    }

    /// Where the objects below a prefix are.
    fn files(&self, prefix: &str) -> PathBuf {
        self.folder.path().join("states").join(prefix)
    }

    /// A pipeline that keeps its checkpoints here.
    fn counted(&self, name: &str) -> Counted {
        let mut counted = Counted::on(Kafka::shared(), name, 4, 50);
        counted.file.tables = format!(
            "[checkpoint]\ninterval = \"100ms\"\nstore = \"s3://states/live\"\n\
             [checkpoint.properties]\nendpoint = \"http://{}\"\nregion = \"us-east-1\"\n\
             access_key_id = {{ file = \"user\" }}\nsecret_access_key = {{ file = \"secret\" }}",
            self.address
        );
        std::fs::write(counted.file.path("user"), "sandbar").unwrap();
        std::fs::write(counted.file.path("secret"), "sandbar-secret").unwrap();
        counted
    }
}

#[test]
fn kills_over_a_bucket_lose_and_double_nothing_with_local_files_and_without() {
    let Some(server) = Server::start("bucket::kills_over_a_bucket") else {
        return;
    };
    let counted = server.counted("bucket-kills");
    under_load(&counted, 100, Duration::from_millis(20), || {
        for kill in 0..4 {
            let mut run = counted.file.run();
            // Behind what the broker still had to end of the one before.
            wait::until_true("it commits", PATIENCE, || {
                assert!(run.is_running(), "{}", run.lines().join("\n"));
                told(&run, "checkpoint") > 5
            });
            std::thread::sleep(Duration::from_millis(kill * 37 % 250));
            run.kill();
            if kill % 2 == 1 {
                std::fs::remove_dir_all(counted.file.path("state").join("tasks")).unwrap();
            }
        }
    });
    let path = counted.file.write("");
    let verified = process::run(&["checkpoint".as_ref(), "verify".as_ref(), path.as_os_str()]);
    assert_eq!(verified.code, Some(0), "{}", verified.text);
}

#[test]
fn all_is_lost_but_a_savepoint_in_a_bucket() {
    let Some(server) = Server::start("bucket::all_is_lost") else {
        return;
    };
    let counted = server.counted("bucket-saved");
    counted.send(0, 2000);
    let mut run = counted.file.run();
    wait::until_true("it puts out", PATIENCE, || counted.visible() > 500 || !run.is_running());
    let saved = save(&counted, "s3://states/saved");
    counted.send(2000, 2000);
    complete(&counted, run);

    std::fs::rename(server.files("saved"), server.files("elsewhere")).unwrap();
    std::fs::remove_dir_all(server.files("live")).unwrap();
    std::fs::remove_dir_all(counted.file.path("state")).unwrap();
    counted.client.delete_group(&counted.file.group());
    counted.send(4000, 500);
    let repeated = 4000 - saved.offsets.values().sum::<i64>();
    complete_again(
        &counted,
        run_from(&counted, "", saved.name.replace("saved", "elsewhere"), &[]),
        repeated,
    );
    // Without --from it goes on where it stopped.
    counted.send(4500, 500);
    complete_again(&counted, counted.file.run(), repeated);
}

#[test]
fn a_server_that_is_away_for_a_while_costs_checkpoints_and_no_record() {
    let Some(mut server) = Server::start("bucket::a_server_that_is_away") else {
        return;
    };
    let mut counted = server.counted("bucket-away");
    let patient = "interval = \"100ms\"\ntimeout = \"5s\"\ntolerable-failures = 1000";
    counted.file.tables = counted.file.tables.replace("interval = \"100ms\"", patient);
    under_load(&counted, 200, Duration::from_millis(20), || {
        let mut run = counted.file.run();
        for _ in 0..2 {
            goes_on(&counted, &mut run);
            server.process.signal("STOP");
            let failed = failures(&run);
            wait::until_true("a checkpoint fails", PATIENCE, || failures(&run) > failed);
            server.process.signal("CONT");
        }
        goes_on(&counted, &mut run);
        crate::flow::stop(run);
    });
}
