//! Files and sockets: there are none, and who asks for one is told so.

use wasmtime::component::{LinkerInstance, Resource, ResourceType, Val};
use wasmtime::{Result, StoreContextMut};

use crate::plugin::host_calls::Guest;

pub(super) struct Descriptor;
pub(super) struct Network;

type Store<'a> = StoreContextMut<'a, Guest>;
type Linker<'a> = LinkerInstance<'a, Guest>;

/// No folder is there to begin with.
pub(super) fn preopens(linker: &mut Linker<'_>) -> Result<()> {
    linker.func_wrap("get-directories", |_: Store<'_>, ()| {
        Ok((Vec::<(Resource<Descriptor>, String)>::new(),))
    })
}

/// What takes a descriptor is left out: nobody has one.
pub(super) fn files(linker: &mut Linker<'_>) -> Result<()> {
    linker.resource("descriptor", ResourceType::host::<Descriptor>(), |_, _| Ok(()))?;
    linker.func_new("filesystem-error-code", |_, _, _, results| {
        results[0] = Val::Option(None);
        Ok(())
    })
}

pub(super) fn network(linker: &mut Linker<'_>) -> Result<()> {
    linker.resource("network", ResourceType::host::<Network>(), |_, _| Ok(()))?;
    // An error of a stream is none of the network's.
    linker.func_new("network-error-code", |_, _, _, results| {
        results[0] = Val::Option(None);
        Ok(())
    })
}

pub(super) fn instance_network(linker: &mut Linker<'_>) -> Result<()> {
    linker.func_wrap("instance-network", |_: Store<'_>, ()| {
        Ok((Resource::<Network>::new_own(0),))
    })
}

/// A function that gives a socket, or addresses: access is denied.
pub(super) fn deny(linker: &mut Linker<'_>, name: &str) -> Result<()> {
    linker.func_new(name, |_, _, _, results| {
        let denied = Val::Enum("access-denied".to_owned());
        results[0] = Val::Result(Err(Some(Box::new(denied))));
        Ok(())
    })
}
