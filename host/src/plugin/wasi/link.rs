//! Links what a component imports of WASI.

use wasmtime::component::{Component, ComponentType, Lift, Linker, Lower};
use wasmtime::{Error, Result};

use super::interfaces::interface;
use super::streams::{Handle, WasiLinker, WasiStore};
use super::surroundings::Standard;
use super::{denied, streams};
use crate::plugin::host_calls::Guest;

/// Bytes of randomness that come at once.
const RANDOM_BYTES: u64 = 64 << 10;

#[derive(ComponentType, Lift, Lower)]
#[component(record)]
struct Datetime {
    seconds: u64,
    nanoseconds: u32,
}

/// Gives a component what it imports of WASI, under the very versions that it names. What is left of these interfaces
/// takes a file or a socket, which nobody has: it traps.
pub(in crate::plugin) fn grant(linker: &mut Linker<Guest>, component: &Component, imports: &[String]) -> Result<()> {
    let wasi = imports.iter().filter_map(|name| Some((name, interface(name)?)));
    let mut has_any = false;
    for (name, interface) in wasi {
        one(&mut linker.instance(name)?, interface)?;
        has_any = true;
    }
    match has_any {
        true => linker.define_unknown_imports_as_traps(component),
        false => Ok(()),
    }
}

fn one(linker: &mut WasiLinker<'_>, interface: &str) -> Result<()> {
    match interface {
        "cli/environment" => environment(linker),
        "cli/exit" => exit(linker),
        "cli/stdin" => linker.func_wrap("get-stdin", |_: WasiStore<'_>, ()| Ok((streams::input(),))),
        "cli/stdout" => linker.func_wrap("get-stdout", |_: WasiStore<'_>, ()| {
            Ok((streams::standard(Standard::Out),))
        }),
        "cli/stderr" => linker.func_wrap("get-stderr", |_: WasiStore<'_>, ()| {
            Ok((streams::standard(Standard::Err),))
        }),
        "cli/terminal-stdin" => linker.func_wrap("get-terminal-stdin", |_: WasiStore<'_>, ()| Ok((None::<Handle>,))),
        "cli/terminal-stdout" => linker.func_wrap("get-terminal-stdout", no_terminal),
        "cli/terminal-stderr" => linker.func_wrap("get-terminal-stderr", no_terminal),
        "clocks/wall-clock" => wall_clock(linker),
        "clocks/monotonic-clock" => monotonic_clock(linker),
        "io/poll" => streams::poll(linker),
        "io/streams" => streams::streams(linker),
        "random/random" => random(linker, "get-random-bytes", "get-random-u64"),
        "random/insecure" => random(linker, "get-insecure-random-bytes", "get-insecure-random-u64"),
        "random/insecure-seed" => linker.func_wrap("insecure-seed", |mut store: WasiStore<'_>, ()| {
            let surroundings = &mut store.data_mut().surroundings;
            Ok(((surroundings.chance(), surroundings.chance()),))
        }),
        "filesystem/preopens" => denied::preopens(linker),
        "sockets/instance-network" => denied::instance_network(linker),
        "sockets/tcp-create-socket" => denied::deny(linker, "create-tcp-socket"),
        "sockets/udp-create-socket" => denied::deny(linker, "create-udp-socket"),
        "sockets/ip-name-lookup" => denied::deny(linker, "resolve-addresses"),
        _ => Ok(()),
    }
}

fn environment(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap("get-environment", |_: WasiStore<'_>, ()| {
        Ok((Vec::<(String, String)>::new(),))
    })?;
    linker.func_wrap("get-arguments", |_: WasiStore<'_>, ()| Ok((Vec::<String>::new(),)))?;
    linker.func_wrap("initial-cwd", |_: WasiStore<'_>, ()| Ok((None::<String>,)))
}

/// A guest that ends itself is one that trapped.
fn exit(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap(
        "exit",
        |mut store: WasiStore<'_>, (_,): (std::result::Result<(), ()>,)| -> Result<()> {
            let guest = store.data_mut();
            guest.surroundings.flush(&mut guest.log);
            let words = guest.log.last_error().map(|words| format!(": {words}"));
            Err(Error::msg(format!("it ended itself{}", words.unwrap_or_default())))
        },
    )
}

fn no_terminal(_: WasiStore<'_>, (): ()) -> Result<(Option<Handle>,)> {
    Ok((None,))
}

fn wall_clock(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap("now", |store: WasiStore<'_>, ()| {
        let (seconds, nanoseconds) = store.data().surroundings.wall_clock();
        Ok((Datetime { seconds, nanoseconds },))
    })?;
    linker.func_wrap("resolution", |_: WasiStore<'_>, ()| {
        let millisecond = Datetime {
            seconds: 0,
            nanoseconds: 1_000_000,
        };
        Ok((millisecond,))
    })
}

fn monotonic_clock(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap("now", |mut store: WasiStore<'_>, ()| {
        Ok((store.data_mut().surroundings.monotonic_clock(),))
    })?;
    linker.func_wrap("resolution", |_: WasiStore<'_>, ()| Ok((1_000_u64,)))?;
    linker.func_wrap("subscribe-instant", |mut store: WasiStore<'_>, (moment,): (u64,)| {
        store.data_mut().surroundings.pass_until(moment);
        Ok((streams::pollable(),))
    })?;
    linker.func_wrap(
        "subscribe-duration",
        |mut store: WasiStore<'_>, (nanoseconds,): (u64,)| {
            store.data_mut().surroundings.pass(nanoseconds);
            Ok((streams::pollable(),))
        },
    )
}

fn random(linker: &mut WasiLinker<'_>, bytes: &str, number: &str) -> Result<()> {
    linker.func_wrap(bytes, |mut store: WasiStore<'_>, (count,): (u64,)| {
        if count > RANDOM_BYTES {
            return Err(Error::msg(format!(
                "it asked for {count} bytes of randomness at once; {RANDOM_BYTES} are the most"
            )));
        }
        let surroundings = &mut store.data_mut().surroundings;
        let mut drawn = Vec::with_capacity(count as usize + 8);
        while (drawn.len() as u64) < count {
            drawn.extend(surroundings.chance().to_le_bytes());
        }
        drawn.truncate(count as usize);
        Ok((drawn,))
    })?;
    linker.func_wrap(number, |mut store: WasiStore<'_>, ()| {
        Ok((store.data_mut().surroundings.chance(),))
    })
}
