//! Files and sockets: there are none, and who asks for one is told so.

use wasmtime::component::Val;
use wasmtime::{Error, Result};

use super::streams::{Handle, WasiLinker, WasiStore};

/// No folder is there to begin with.
pub(super) fn preopens(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap("get-directories", |_: WasiStore<'_>, ()| {
        Ok((Vec::<(Handle, String)>::new(),))
    })
}

pub(super) fn instance_network(linker: &mut WasiLinker<'_>) -> Result<()> {
    linker.func_wrap("instance-network", |_: WasiStore<'_>, ()| Ok((Handle::new_own(0),)))
}

/// A function that gives a socket, or addresses: access is denied. Its types are the component's own, which it may have
/// made up.
pub(super) fn deny(linker: &mut WasiLinker<'_>, name: &str) -> Result<()> {
    linker.func_new(name, |mut store, _, given, results| {
        for value in given {
            if let Val::Resource(lent) = value {
                lent.resource_drop(&mut store)?;
            }
        }
        let [result] = results else {
            return Err(Error::msg("it declared a function of WASI as WASI does not have it"));
        };
        let denied = Val::Enum("access-denied".to_owned());
        *result = Val::Result(Err(Some(Box::new(denied))));
        Ok(())
    })
}
