//! What a process can still do that is shut in: this test's program starts itself again, builds the walls, and attacks.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::{Pid, Resource, Signal, getppid, getrlimit, kill_process};
use serde_json::{Value, json};

use super::walls::connect_only_to;
use super::{enter, keep_doors_shut, lacking};
use crate::process::grant::{Grant, GrantedCode, GrantedLimits};

/// Where the process that is shut in finds its folder.
const INSIDE: &str = "SANDBAR_TEST_INSIDE";

fn grant(root: &Path) -> Grant {
    Grant {
        tenant: "team".parse().unwrap(),
        pipeline: "views".parse().unwrap(),
        plugins: BTreeMap::from([("count".to_owned(), root.join("plugins/count.wasm"))]),
        code: GrantedCode {
            folder: root.join("code"),
            key: [7; 32],
            is_made_here: false,
        },
        clusters: None,
        secrets: BTreeMap::new(),
        reads: None,
        writes: None,
        folders: vec![root.join("socket")],
        canary: None,
        limits: GrantedLimits {
            memory: Some(64 << 20),
            ..GrantedLimits::default()
        },
        is_isolation_required: true,
    }
}

/// `ok`, or the sort of the error.
fn outcome<T>(of: io::Result<T>) -> Value {
    match of {
        Ok(_) => json!("ok"),
        Err(error) => json!(format!("{:?}", error.kind())),
    }
}

/// In the process that is shut in: each attack, and what came of it. Without its variable it is no test.
#[test]
fn inside() {
    let Ok(root) = std::env::var(INSIDE).map(PathBuf::from) else {
        return;
    };
    let ports: Value = serde_json::from_slice(&fs::read(root.join("ports.json")).unwrap()).unwrap();
    let port = |name: &str| ports[name].as_u64().unwrap() as u16;
    let (granted, other) = (port("granted"), port("other"));
    std::env::set_current_dir(root.join("own")).unwrap();
    enter(&grant(&root)).unwrap();
    connect_only_to(&[granted].into()).unwrap();
    let socket = UnixListener::bind(root.join("socket/s"));
    keep_doors_shut().unwrap();

    let at = |path: &str| root.join(path);
    let read = |path: PathBuf| outcome(fs::read(path));
    let write = |path: PathBuf| outcome(fs::write(path, "x"));
    let parent = getppid().unwrap();
    let of_parent = |name: &str| PathBuf::from(format!("/proc/{}/{name}", parent.as_raw_nonzero()));
    let family = |family, kind| outcome(rustix::net::socket(family, kind, None).map_err(io::Error::from));
    use rustix::net::{AddressFamily as Family, SocketType as Kind};
    let found = json!({
        "own file": write(at("own/state")),
        "own file read": read(at("own/state")),
        "own folder": outcome(fs::create_dir(at("own/folder"))),
        "own link": outcome(
            fs::create_dir(at("own/linked")).and_then(|()| fs::hard_link(at("own/state"), at("own/linked/state")))
        ),
        "own socket": outcome(socket),
        "a plugin": read(at("plugins/count.wasm")),
        "a library": outcome(fs::read_dir("/usr/lib")),
        "itself": read("/proc/self/status".into()),
        "the granted port": outcome(TcpStream::connect(("127.0.0.1", granted))),
        "a thread": outcome(std::thread::Builder::new().spawn(|| ()).map(|thread| thread.join())),

        "write a plugin": write(at("plugins/count.wasm")),
        "write code": write(at("code/x")),
        "another tenant's file": read(at("other/secret")),
        "a file of the system": read("/etc/passwd".into()),
        "a link to it": read(at("own/link")),
        "a folder beside": outcome(fs::read_dir(&root)),
        "a link in another tenant's folder": outcome(fs::hard_link(at("own/state"), at("other/state"))),
        "a temporary file": write("/tmp/sandbar-test-inside".into()),
        "the memory of its parent": read(of_parent("mem")),
        "the variables of its parent": read(of_parent("environ")),
        "another port": outcome(TcpStream::connect(("127.0.0.1", other))),
        "listen": outcome(TcpListener::bind("127.0.0.1:0")),
        "listen for datagrams": outcome(UdpSocket::bind("127.0.0.1:0")),
        "a socket of the machine": outcome(UnixStream::connect(at("other/socket"))),
        "a raw socket": family(Family::INET, Kind::RAW),
        "a socket to the kernel": family(Family::NETLINK, Kind::RAW),
        "a program": outcome(Command::new("/bin/true").status()),
        "a signal": outcome(kill_process(parent, Signal::CONT).map_err(io::Error::from)),
        "a signal to the first": outcome(Pid::from_raw(1).map_or(Ok(()), |first| {
            kill_process(first, Signal::CONT).map_err(io::Error::from)
        })),
        "privileges": fs::read_to_string("/proc/thread-self/status").unwrap().lines()
            .filter(|line| ["CapEff", "CapPrm", "NoNewPrivs", "Seccomp:"].iter().any(|begin| line.starts_with(begin)))
            .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>(),
        "core": getrlimit(Resource::Core).maximum,
    });
    fs::write(at("own/found.json"), found.to_string()).unwrap();
}

#[test]
fn who_is_shut_in_reaches_its_own_and_nothing_else() {
    let lacking = lacking();
    if !lacking.is_empty() {
        eprintln!("SKIPPED: the kernel of this machine has no wall around {lacking:?}");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    for name in ["own", "plugins", "code", "socket", "other"] {
        fs::create_dir(root.join(name)).unwrap();
    }
    for name in ["plugins/count.wasm", "other/secret"] {
        fs::write(root.join(name), "secret").unwrap();
    }
    std::os::unix::fs::symlink("/etc/passwd", root.join("own/link")).unwrap();
    let (granted, other) = (
        TcpListener::bind("127.0.0.1:0").unwrap(),
        TcpListener::bind("127.0.0.1:0").unwrap(),
    );
    let _socket = UnixListener::bind(root.join("other/socket")).unwrap();
    let port = |listener: &TcpListener| listener.local_addr().unwrap().port();
    let ports = json!({ "granted": port(&granted), "other": port(&other) });
    fs::write(root.join("ports.json"), ports.to_string()).unwrap();

    let ended = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "process::isolation::tests::inside", "--test-threads=1"])
        .env(INSIDE, &root)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
    let found = fs::read(root.join("own/found.json")).unwrap();
    let found: BTreeMap<String, Value> = serde_json::from_slice(&found).unwrap();
    let privileges = json!([
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
        "NoNewPrivs: 1",
        "Seccomp: 2"
    ]);
    for (attack, came) in &found {
        let expected = match attack.as_str() {
            "own file" | "own file read" | "own folder" | "own link" | "own socket" | "a plugin" | "a library"
            | "itself" | "the granted port" | "a thread" => json!("ok"),
            "privileges" => privileges.clone(),
            "core" => json!(0),
            _ => json!("PermissionDenied"),
        };
        assert_eq!(came, &expected, "{attack}");
    }
    assert!(found.len() > 25, "{found:?}");
}
