//! What a store does, done in a folder and in a bucket: the same table on both. The bucket is that of a server of its
//! own (crates s3s and s3s-fs), `cargo build --release -p sandbar-s3`; if it was not built, these tests say so and go
//! on with the folder alone.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::history::RestoreOrigin;
use super::objects::PIECE;
use super::savepoint::SavepointPlace;
use super::store::CheckpointStore;
use super::tests::{Chain, WAIT};
use crate::clock;
use crate::config::{Location, Offsets};
use crate::error::{Error, Kind};
use crate::offset_metadata::Pointer;

/// A server that speaks S3; it ends with this.
struct Server {
    process: Child,
    address: String,
    folder: tempfile::TempDir,
}

impl Server {
    /// Answers 503 to the first connections. `None`: it was not built.
    fn start(refused: usize) -> Option<Self> {
        let tests = std::env::current_exe().unwrap();
        let program = tests.ancestors().nth(2).unwrap().join("s3-server");
        if !program.exists() {
            eprintln!("SKIPPED: build the server, `cargo build --release -p sandbar-s3`");
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("bucket")).unwrap();
        let mut process = Command::new(program)
            .args([folder.path().as_os_str(), refused.to_string().as_ref()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Some(Self {
            process,
            address: address.trim().to_owned(),
            folder,
        })
    }

    fn location(&self, bucket: &str, secret: &str) -> Location {
        bucket_at(&self.address, bucket, secret)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn bucket_at(address: &str, bucket: &str, secret: &str) -> Location {
    let settings = [
        ("endpoint", format!("http://{address}")),
        ("region", "us-east-1".to_owned()),
        ("access_key_id", "sandbar".to_owned()),
        ("secret_access_key", secret.to_owned()),
    ];
    Location::S3 {
        bucket: bucket.into(),
        prefix: "some/prefix".into(),
        properties: settings.map(|(name, value)| (name.to_owned(), value)).into(),
    }
}

/// A place to keep checkpoints in, and room for files beside it.
struct Ready {
    location: Location,
    scratch: tempfile::TempDir,
    _server: Option<Server>,
}

impl Ready {
    fn store(&self) -> CheckpointStore {
        CheckpointStore::open(&self.location, "pages").unwrap()
    }

    fn scratch(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }
}

/// Does the same in a folder and in a bucket.
fn in_each_place(test: impl Fn(&Ready)) {
    let scratch = tempfile::tempdir().unwrap();
    test(&Ready {
        location: Location::Folder(scratch.path().join("store")),
        scratch,
        _server: None,
    });
    if let Some(server) = Server::start(0) {
        test(&Ready {
            location: server.location("bucket", "sandbar-secret"),
            scratch: tempfile::tempdir().unwrap(),
            _server: Some(server),
        });
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let limit = clock::now() + WAIT;
    while !done() {
        assert!(clock::now() < limit, "{what} never came");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_commit_is_found_again_by_another_process() {
    in_each_place(|place| {
        let store = place.store();
        let (mut one, mut other) = (Chain::new(&store, "views/0"), Chain::new(&store, "views/1"));
        let mut both = store.put(3, vec![one.frame(None), other.frame(None)]);
        let pointers = both.wait(WAIT).unwrap().unwrap();
        (one.at, other.at) = (pointers[0].clone(), pointers[1].clone());
        one.commit();

        let store = place.store();
        let history = store.history(&one.at, None).unwrap();
        let deltas: Vec<Vec<u8>> = history.deltas.iter().map(|delta| store.delta(delta).unwrap()).collect();
        assert_eq!(deltas, [b"views/0 at 1", b"views/0 at 2"]);
        let newest: Vec<Pointer> = store
            .newest()
            .unwrap()
            .into_iter()
            .map(|(pointer, _)| pointer)
            .collect();
        assert_eq!(newest, [one.at.clone(), other.at.clone()]);
        let listed = store.checkpoints().unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0].manifest.as_ref().unwrap().manifest.worker, 3);
        assert!(store.verify(&newest, |_| {}).iter().all(|one| one.flaw.is_none()));
    });
}

#[test]
fn a_name_that_is_taken_is_not_written_over() {
    in_each_place(|place| {
        let store = place.store();
        let name = store.bundle_path("0mhzqk3va-0-aaaaaaaaaaaaa");
        let create = |bytes: &'static [u8]| {
            store
                .objects
                .begin(store.objects.create(name.clone(), bytes.into()))
                .recv()
        };
        assert_eq!(create(b"one").unwrap(), Ok(()));
        // The answer was lost, and it is asked for again.
        assert_eq!(create(b"one").unwrap(), Ok(()));
        let error = create(b"two").unwrap().unwrap_err();
        assert_eq!(error.kind, Kind::Corrupt);
        assert_eq!(store.objects.get(&name).unwrap().unwrap(), b"one".as_slice());
    });
}

#[test]
fn a_base_of_several_pieces_comes_back_whole_and_is_read_ahead() {
    in_each_place(|place| {
        let store = place.store();
        let mut chain = Chain::new(&store, "views/0");
        let at = chain.commit();
        let files = place.scratch("db");
        std::fs::create_dir_all(&files).unwrap();
        let big: Vec<u8> = (0..3 * PIECE as u32 / 4 + 77).flat_map(u32::to_le_bytes).collect();
        std::fs::write(files.join("1.sst"), &big).unwrap();
        std::fs::write(files.join("2.sst"), &big[..PIECE as usize]).unwrap();
        std::fs::write(files.join("CURRENT"), b"").unwrap();
        let base = store.put_base("views/0", &at, &files).wait(WAIT).unwrap().unwrap();
        chain.commit_on(Some(&base));
        let store = place.store();
        let history = store.history(&chain.at, None).unwrap();
        assert_eq!(history.origin, RestoreOrigin::Base(base.clone()));
        let into = place.scratch("into");
        store.fetch_base(&base, &into, |_, _| {}).unwrap();
        assert!(std::fs::read(into.join("1.sst")).unwrap() == big);
        assert!(std::fs::read(into.join("2.sst")).unwrap() == big[..PIECE as usize]);
        assert_eq!(std::fs::read(into.join("CURRENT")).unwrap(), b"");
    });
}

#[test]
fn what_nobody_reaches_is_collected_by_the_stores_own_clock() {
    in_each_place(|place| {
        let store = place.store();
        let mut chain = Chain::new(&store, "views/0");
        for _ in 0..3 {
            chain.commit();
        }
        let old = chain.base(place.scratch.path());
        chain.commit_on(Some(&old));
        let base = chain.base(place.scratch.path());
        chain.commit_on(Some(&base));
        let collect = |age| {
            let listed = store.list_for_collection().unwrap();
            listed.collect(std::slice::from_ref(&chain.at), 1, age).unwrap();
            store.bundles().unwrap().len()
        };
        assert_eq!(collect(WAIT), 5);
        // A bucket tells times by the second.
        until("a collection of all but the last", || collect(Duration::ZERO) == 1);
        until("a collection of the old base", || {
            collect(Duration::ZERO);
            store.objects.list(&store.path("bases")).unwrap().len() == 1
        });
        assert!(store.objects.list(&store.file_path(&old.name)).unwrap().is_empty());
        assert!(
            place
                .store()
                .verify(&[chain.at.clone()], |_| {})
                .iter()
                .all(|one| one.flaw.is_none())
        );
    });
}

#[test]
fn a_savepoint_goes_from_one_place_to_the_other() {
    in_each_place(|place| {
        let store = place.store();
        let mut chain = Chain::new(&store, "views/0");
        chain.commit();
        let base = chain.base(place.scratch.path());
        chain.commit_on(Some(&base));
        let committed = || Ok(vec![(chain.at.clone(), Offsets::new())]);
        let beside = SavepointPlace::Named("beside".into());
        let far = SavepointPlace::At(Location::Folder(place.scratch("far")));
        for target in [&beside, &far] {
            let saved = store.save(target, committed).unwrap();
            assert_eq!(store.savepoint(target).unwrap(), saved);
        }
        assert_eq!(store.savepoints().unwrap().len(), 1);

        // A new store, in this place and with another name, takes it from the folder.
        let other = CheckpointStore::open(&place.location, "other").unwrap();
        let imported = other.import(&far).unwrap();
        let verified = other.verify(&[imported.tasks[0].pointer.clone()], |_| {});
        assert!(
            verified.len() == 3 && verified.iter().all(|one| one.flaw.is_none()),
            "{verified:?}"
        );
        for target in [&beside, &far] {
            store.delete_savepoint(target).unwrap();
            assert!(store.savepoint(target).is_err());
        }
        assert!(
            store
                .verify(&[chain.at.clone()], |_| {})
                .iter()
                .all(|one| one.flaw.is_none())
        );
    });
}

#[test]
fn a_missing_object_is_told_by_its_name() {
    in_each_place(|place| {
        let store = place.store();
        let mut chain = Chain::new(&store, "views/0");
        let first = chain.commit();
        chain.commit();
        let path = store.bundle_path(first.bundle.as_ref().unwrap());
        store.objects.delete(&path).unwrap();
        store.objects.delete(&path).unwrap();
        let error = place.store().history(&chain.at, None).unwrap_err();
        assert!(
            error.kind == Kind::Corrupt && error.what.contains(&path) && error.what.contains("missing"),
            "{error}"
        );
    });
}

fn refused(location: &Location) -> Error {
    let error = CheckpointStore::open(location, "pages").unwrap_err();
    assert_eq!(error.kind, Kind::Corrupt, "{error}");
    assert!(
        error.what.contains("is not writable") && error.what.contains(&location.to_string()),
        "{error}"
    );
    error
}

#[test]
fn a_folder_that_cannot_be_written_is_told_at_once() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("file");
    std::fs::write(&file, b"no folder").unwrap();
    refused(&Location::Folder(file.join("store")));
    refused(&Location::Folder(file));
    refused(&Location::Folder(Path::new("/proc/1/store").to_owned()));
}

#[test]
fn a_bucket_that_is_not_there_and_a_wrong_secret_are_told_apart() {
    let Some(server) = Server::start(0) else { return };
    let error = refused(&server.location("elsewhere", "sandbar-secret"));
    assert!(
        error.why.contains("NoSuchBucket") && error.hint.unwrap().contains("bucket"),
        "{}",
        error.why
    );
    let error = refused(&server.location("bucket", "wrong"));
    assert!(error.why.contains("SignatureDoesNotMatch"), "{}", error.why);
    assert!(error.hint.unwrap().contains("AWS_SECRET_ACCESS_KEY"));
    assert!(
        server.folder.path().join("bucket").read_dir().unwrap().next().is_none(),
        "nothing was written"
    );
}

#[test]
fn a_busy_server_is_asked_again_and_told_of_when_it_stays_busy() {
    let Some(server) = Server::start(3) else { return };
    let store = CheckpointStore::open(&server.location("bucket", "sandbar-secret"), "pages").unwrap();
    Chain::new(&store, "views/0").commit();
    let Some(server) = Server::start(usize::MAX) else {
        return;
    };
    let error = refused(&server.location("bucket", "sandbar-secret"));
    assert!(
        error.why.contains("503") && error.why.contains("SlowDown"),
        "{}",
        error.why
    );
    assert!(error.hint.unwrap().contains("overloaded"));
}

#[test]
fn a_server_that_is_away_is_told_with_its_reason() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let error = refused(&bucket_at(&address, "bucket", "sandbar-secret"));
    assert!(error.why.to_lowercase().contains("refused"), "{}", error.why);
}

#[test]
fn a_wrong_setting_is_named() {
    for (name, value) in [("regoin", "x"), ("bucket", "x"), ("aws_allow_http", "true")] {
        let location = Location::S3 {
            bucket: "bucket".into(),
            prefix: String::new(),
            properties: [(name.to_owned(), value.to_owned())].into(),
        };
        let error = CheckpointStore::open(&location, "pages").unwrap_err();
        assert!(error.kind == Kind::Invalid && error.why.contains(name), "{error}");
    }
}
