//! Connections that break while they log in, and those that nobody uses for long.

use crate::flow::{Flow, stop};
use sandbar_tests::kafka::{Kafka, SASL_USER};
use sandbar_tests::wait::{self, PATIENCE};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A way to a broker that cuts the first connections in the middle of their log-in: the first request is answered, the
/// second one is not.
struct Cutter {
    address: String,
    cut: Arc<AtomicUsize>,
}

impl Cutter {
    fn before(broker: &str, connections: usize) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let cut = Arc::<AtomicUsize>::default();
        let (broker, counted) = (broker.to_owned(), cut.clone());
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&broker) else {
                    return;
                };
                let requests = if counted.load(Ordering::SeqCst) < connections {
                    1
                } else {
                    usize::MAX
                };
                let counted = counted.clone();
                std::thread::spawn(move || {
                    pass(stream, server, requests);
                    if requests == 1 {
                        counted.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
        });
        Self { address, cut }
    }
}

/// Passes on what comes, as long as it is within so many requests; then both ends are closed.
fn pass(mut client: TcpStream, mut server: TcpStream, requests: usize) {
    let (mut from, mut to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    let mut buffer = [0; 64 << 10];
    for _ in 0..requests {
        match client.read(&mut buffer) {
            Ok(read @ 1..) if server.write_all(&buffer[..read]).is_ok() => {}
            _ => break,
        }
    }
    if requests == 1 {
        // What comes next is the log-in.
        let _ = client.read(&mut buffer);
    }
    for end in [client, server] {
        let _closed_already = end.shutdown(std::net::Shutdown::Both);
    }
}

#[test]
fn a_log_in_that_is_cut_off_is_tried_again() {
    let mut flow = Flow::new("cut-log-in", 1, "start = \"earliest\"");
    flow.send(0..10);
    let way = Cutter::before(&Kafka::shared().sasl_bootstrap(), 3);
    flow.file.brokers = way.address.clone();
    std::fs::write(flow.file.path("password"), SASL_USER.1).unwrap();
    flow.file.properties = format!(
        "\"security.protocol\" = \"sasl_plaintext\"\n\"sasl.mechanism\" = \"PLAIN\"\n\"sasl.username\" = \"{}\"\n\
         \"sasl.password\" = {{ file = \"password\" }}",
        SASL_USER.0
    );
    let run = flow.file.run();
    flow.wait_count(10, &run);
    stop(run);
    assert!(way.cut.load(Ordering::SeqCst) >= 3, "it cut what it was to cut");
}

/// The established connections of a process: remote port, and the kind of timer that the kernel runs for it.
fn connections(process: u32) -> Vec<(u16, u8)> {
    let sockets: Vec<String> = std::fs::read_dir(format!("/proc/{process}/fd"))
        .unwrap()
        .flatten()
        .filter_map(|fd| std::fs::read_link(fd.path()).ok()?.to_str().map(str::to_owned))
        .filter_map(|link| Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned()))
        .collect();
    let table = std::fs::read_to_string(format!("/proc/{process}/net/tcp")).unwrap();
    let row = |line: &str| {
        let of: Vec<&str> = line.split_whitespace().collect();
        let is_ours = sockets.iter().any(|inode| Some(&inode.as_str()) == of.get(9));
        let is_established = of.get(3) == Some(&"01");
        let port = u16::from_str_radix(of.get(2)?.split_once(':')?.1, 16).ok()?;
        let timer = of.get(5)?.split_once(':')?.0.parse().ok()?;
        (is_ours && is_established).then_some((port, timer))
    };
    table.lines().skip(1).filter_map(row).collect()
}

#[test]
fn connections_are_kept_alive() {
    const KEEPALIVE: u8 = 2;
    let mut flow = Flow::new("keepalive", 1, "start = \"earliest\"");
    flow.file.tables = "[checkpoint]\nstore = \"checkpoints\"".into();
    flow.send(0..10);
    let run = flow.start();
    flow.wait_count(10, &run);
    let port = flow.file.brokers.rsplit_once(':').unwrap().1.parse::<u16>().unwrap();
    let mut last = Vec::new();
    wait::until_true("every connection to Kafka has the timer of keepalive", PATIENCE, || {
        last = connections(run.id());
        last.retain(|(to, _)| *to == port);
        !last.is_empty() && last.iter().all(|(_, timer)| *timer == KEEPALIVE)
    });
    println!("{} connections", last.len());
    stop(run);
}
