//! Standard input, which is at its end; standard output and error, which are the plugin's log; and polling, which never
//! waits.

use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource};
use wasmtime::{Error, Result, StoreContextMut};

use super::surroundings::Standard;
use crate::plugin::host_calls::Guest;

/// Whatever resource it is: none has anything of the host's behind it, and no two of them ever meet.
pub(super) type Handle = Resource<()>;
pub(super) type WasiLinker<'a> = LinkerInstance<'a, Guest>;
pub(super) type WasiStore<'a> = StoreContextMut<'a, Guest>;

/// What a stream's resource is known by: the one that it writes to.
const OUT: u32 = 1;
const ERR: u32 = 2;

/// Bytes that may be written at once.
const WRITABLE: u64 = 64 << 10;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Handle),
    #[component(name = "closed")]
    Closed,
}

type Streamed<T> = std::result::Result<T, StreamError>;

/// The stream of standard output or error.
pub(super) fn standard(to: Standard) -> Handle {
    Resource::new_own(match to {
        Standard::Out => OUT,
        Standard::Err => ERR,
    })
}

/// The stream of standard input.
pub(super) fn input() -> Handle {
    Resource::new_own(0)
}

/// Something that has happened already.
pub(super) fn pollable() -> Handle {
    Resource::new_own(0)
}

pub(super) fn poll(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap("[method]pollable.ready", |_: WasiStore<'_>, (_,): (Handle,)| {
        Ok((true,))
    })?;
    linker.func_wrap("[method]pollable.block", |_: WasiStore<'_>, (_,): (Handle,)| Ok(()))?;
    linker.func_wrap("poll", |_: WasiStore<'_>, (all,): (Vec<Handle>,)| {
        Ok(((0..all.len() as u32).collect::<Vec<u32>>(),))
    })
}

pub(super) fn streams(linker: &mut WasiLinker<'_>) -> Result<()> {
    reading(linker)?;
    writing(linker)
}

fn reading(linker: &mut WasiLinker<'_>) -> Result<()> {
    for name in ["read", "blocking-read"] {
        linker.func_wrap(
            &format!("[method]input-stream.{name}"),
            |_: WasiStore<'_>, (_, _): (Handle, u64)| Ok((Streamed::<Vec<u8>>::Err(StreamError::Closed),)),
        )?;
    }
    for name in ["skip", "blocking-skip"] {
        linker.func_wrap(
            &format!("[method]input-stream.{name}"),
            |_: WasiStore<'_>, (_, _): (Handle, u64)| Ok((Streamed::<u64>::Err(StreamError::Closed),)),
        )?;
    }
    linker.func_wrap("[method]input-stream.subscribe", |_: WasiStore<'_>, (_,): (Handle,)| {
        Ok((pollable(),))
    })
}

fn writing(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap(
        "[method]output-stream.check-write",
        |_: WasiStore<'_>, (_,): (Handle,)| Ok((Streamed::Ok(WRITABLE),)),
    )?;
    for name in ["write", "blocking-write-and-flush"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: WasiStore<'_>, (stream, bytes): (Handle, Vec<u8>)| {
                let to = if stream.rep() == ERR {
                    Standard::Err
                } else {
                    Standard::Out
                };
                if bytes.len() as u64 > WRITABLE {
                    return Err(Error::msg(format!(
                        "it wrote {} bytes at once; {WRITABLE} are the most",
                        bytes.len()
                    )));
                }
                let guest = store.data_mut();
                guest.surroundings.write(to, &bytes, &mut guest.log);
                Ok((Streamed::Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_: WasiStore<'_>, (_,): (Handle,)| Ok((Streamed::Ok(()),)),
        )?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_: WasiStore<'_>, (_, _): (Handle, u64)| Ok((Streamed::Ok(()),)),
        )?;
    }
    for name in ["splice", "blocking-splice"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_: WasiStore<'_>, (_, _, _): (Handle, Handle, u64)| Ok((Streamed::<u64>::Err(StreamError::Closed),)),
        )?;
    }
    linker.func_wrap(
        "[method]output-stream.subscribe",
        |_: WasiStore<'_>, (_,): (Handle,)| Ok((pollable(),)),
    )
}
