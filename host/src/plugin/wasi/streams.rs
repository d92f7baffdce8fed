//! Standard input, which is at its end; standard output and error, which are the plugin's log; and polling, which never
//! waits.

use wasmtime::component::{ComponentType, Lift, LinkerInstance, Lower, Resource, ResourceType};
use wasmtime::{Result, StoreContextMut};

use super::surroundings::Standard;
use crate::plugin::host_calls::Guest;

/// The resources of `wasi:io`. None has anything of the host's behind it.
pub(super) struct IoError;
pub(super) struct Pollable;
pub(super) struct InputStream;
pub(super) struct OutputStream;

/// What a stream's resource is known by: the one that it writes to.
const OUT: u32 = 1;
const ERR: u32 = 2;

/// Bytes that may be written at once.
const WRITABLE: u64 = 64 << 10;

#[derive(ComponentType, Lift, Lower)]
#[component(variant)]
enum StreamError {
    #[component(name = "last-operation-failed")]
    LastOperationFailed(Resource<IoError>),
    #[component(name = "closed")]
    Closed,
}

type Store<'a> = StoreContextMut<'a, Guest>;
type Linker<'a> = LinkerInstance<'a, Guest>;
type Streamed<T> = std::result::Result<T, StreamError>;

/// The stream of standard output or error.
pub(super) fn standard(to: Standard) -> Resource<OutputStream> {
    Resource::new_own(match to {
        Standard::Out => OUT,
        Standard::Err => ERR,
    })
}

/// The stream of standard input.
pub(super) fn input() -> Resource<InputStream> {
    Resource::new_own(0)
}

/// Something that has happened already.
pub(super) fn pollable() -> Resource<Pollable> {
    Resource::new_own(0)
}

pub(super) fn error(linker: &mut Linker<'_>) -> Result<()> {
    linker.resource("error", ResourceType::host::<IoError>(), |_, _| Ok(()))?;
    linker.func_wrap(
        "[method]error.to-debug-string",
        |_: Store<'_>, (_,): (Resource<IoError>,)| Ok(("an error",)),
    )
}

pub(super) fn poll(linker: &mut Linker<'_>) -> Result<()> {
    linker.resource("pollable", ResourceType::host::<Pollable>(), |_, _| Ok(()))?;
    linker.func_wrap("[method]pollable.ready", |_: Store<'_>, (_,): (Resource<Pollable>,)| {
        Ok((true,))
    })?;
    linker.func_wrap("[method]pollable.block", |_: Store<'_>, (_,): (Resource<Pollable>,)| {
        Ok(())
    })?;
    linker.func_wrap("poll", |_: Store<'_>, (all,): (Vec<Resource<Pollable>>,)| {
        Ok(((0..all.len() as u32).collect::<Vec<u32>>(),))
    })
}

pub(super) fn streams(linker: &mut Linker<'_>) -> Result<()> {
    linker.resource("input-stream", ResourceType::host::<InputStream>(), |_, _| Ok(()))?;
    linker.resource("output-stream", ResourceType::host::<OutputStream>(), |_, _| Ok(()))?;
    reading(linker)?;
    writing(linker)
}

fn reading(linker: &mut Linker<'_>) -> Result<()> {
    for name in ["read", "blocking-read"] {
        linker.func_wrap(
            &format!("[method]input-stream.{name}"),
            |_: Store<'_>, (_, _): (Resource<InputStream>, u64)| Ok((Streamed::<Vec<u8>>::Err(StreamError::Closed),)),
        )?;
    }
    for name in ["skip", "blocking-skip"] {
        linker.func_wrap(
            &format!("[method]input-stream.{name}"),
            |_: Store<'_>, (_, _): (Resource<InputStream>, u64)| Ok((Streamed::<u64>::Err(StreamError::Closed),)),
        )?;
    }
    linker.func_wrap(
        "[method]input-stream.subscribe",
        |_: Store<'_>, (_,): (Resource<InputStream>,)| Ok((pollable(),)),
    )
}

fn writing(linker: &mut Linker<'_>) -> Result<()> {
    linker.func_wrap(
        "[method]output-stream.check-write",
        |_: Store<'_>, (_,): (Resource<OutputStream>,)| Ok((Streamed::Ok(WRITABLE),)),
    )?;
    for name in ["write", "blocking-write-and-flush"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |mut store: Store<'_>, (stream, bytes): (Resource<OutputStream>, Vec<u8>)| {
                let to = if stream.rep() == ERR {
                    Standard::Err
                } else {
                    Standard::Out
                };
                let guest = store.data_mut();
                guest.surroundings.write(to, &bytes, &mut guest.log);
                Ok((Streamed::Ok(()),))
            },
        )?;
    }
    for name in ["flush", "blocking-flush"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_: Store<'_>, (_,): (Resource<OutputStream>,)| Ok((Streamed::Ok(()),)),
        )?;
    }
    for name in ["write-zeroes", "blocking-write-zeroes-and-flush"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_: Store<'_>, (_, _): (Resource<OutputStream>, u64)| Ok((Streamed::Ok(()),)),
        )?;
    }
    for name in ["splice", "blocking-splice"] {
        linker.func_wrap(
            &format!("[method]output-stream.{name}"),
            |_: Store<'_>, (_, _, _): (Resource<OutputStream>, Resource<InputStream>, u64)| {
                Ok((Streamed::<u64>::Err(StreamError::Closed),))
            },
        )?;
    }
    linker.func_wrap(
        "[method]output-stream.subscribe",
        |_: Store<'_>, (_,): (Resource<OutputStream>,)| Ok((pollable(),)),
    )
}
