//! Asks WASI for what a record's value names, and puts out what came: `clock`, `random`, `environment`, `files`,
//! `socket`, `name`, `input`, `print TEXT`, `complain TEXT`, `sleep`, `exit`.
#![expect(missing_docs, reason = "generated")]
#![allow(
    unsafe_code,
    clippy::too_many_arguments,
    reason = "generated: the canonical ABI passes pointers"
)]

wit_bindgen::generate!({
    path: ["../../../wit/v0.1", "wit"],
    world: "test:wasi/asks",
    generate_all,
});

use sandbar::plugin::output::{self, Message};
use sandbar::plugin::types::Needs;
use wasi::cli::{environment, exit, stderr, stdin, stdout};
use wasi::clocks::{monotonic_clock, wall_clock};
use wasi::filesystem::preopens;
use wasi::random::random;
use wasi::sockets::network::{ErrorCode, IpAddressFamily};
use wasi::sockets::{instance_network, ip_name_lookup, tcp_create_socket};

struct Asks;

fn answer(asked: &str) -> String {
    let (what, text) = asked.split_once(' ').unwrap_or((asked, ""));
    match what {
        "clock" => {
            let now = wall_clock::now();
            format!("{}.{:03}", now.seconds, now.nanoseconds / 1_000_000)
        }
        "random" => format!("{:?} {}", random::get_random_bytes(3), random::get_random_u64()),
        "environment" => format!("{:?}", environment::get_environment()),
        "files" => format!("{} folders", preopens::get_directories().len()),
        "socket" => match tcp_create_socket::create_tcp_socket(IpAddressFamily::Ipv4) {
            Ok(_) => "a socket".to_owned(),
            Err(error) => refused(error),
        },
        "name" => {
            let network = instance_network::instance_network();
            let found = ip_name_lookup::resolve_addresses(&network, "localhost");
            found.map_or_else(refused, |_| "addresses".to_owned())
        }
        "input" => format!("{:?}", stdin::get_stdin().blocking_read(10).map_err(|_| "closed")),
        "print" => written(&stdout::get_stdout(), text),
        "complain" => written(&stderr::get_stderr(), text),
        "sleep" => {
            let before = monotonic_clock::now();
            monotonic_clock::subscribe_duration(3_600_000_000_000).block();
            format!("{} s", (monotonic_clock::now() - before) / 1_000_000_000)
        }
        "exit" => {
            written(&stderr::get_stderr(), "about to end");
            exit::exit(Ok(()));
            "went on".to_owned()
        }
        _ => "nothing".to_owned(),
    }
}

fn refused(why: ErrorCode) -> String {
    match why {
        ErrorCode::AccessDenied => "access denied".to_owned(),
        other => format!("{other:?}"),
    }
}

fn written(stream: &wasi::io::streams::OutputStream, text: &str) -> String {
    format!("{:?}", stream.blocking_write_and_flush(text.as_bytes()).is_ok())
}

impl Guest for Asks {
    fn describe() -> Description {
        Description {
            name: "wasi".to_owned(),
            version: "0.1.0".to_owned(),
            inputs: Vec::new(),
            outputs: vec!["out".to_owned()],
            stores: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
            config_schema: String::new(),
            needs: Needs::empty(),
        }
    }

    fn open(_: String) -> Result<(), String> {
        Ok(())
    }

    fn process(event: Event) -> Result<Verdict, Failure> {
        let asked = String::from_utf8_lossy(event.value.as_deref().unwrap_or_default()).into_owned();
        output::emit(&Message {
            output: 0,
            key: None,
            value: Some(answer(&asked).into_bytes()),
            timestamp: None,
            headers: Vec::new(),
        });
        Ok(Verdict::Done)
    }

    fn fire(_: u8, _: Vec<u8>, _: i64) -> Result<(), Failure> {
        Ok(())
    }
}

export!(Asks);
