//! `sandbar-wrap CORE.wasm COMPONENT.wasm`: makes a component out of a core module that carries its world in a custom
//! section, as the bindings of every language leave it there. Brings no adapter, so a module that imports WASI is an
//! error.

use std::env;
use std::error::Error;
use std::fs;
use std::process::ExitCode;

use wit_component::ComponentEncoder;

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [core, component] = arguments.as_slice() else {
        return failed("usage: sandbar-wrap CORE.wasm COMPONENT.wasm");
    };
    match wrap(core, component) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("failed to make {component} out of {core}: {error}")),
    }
}

fn wrap(core: &str, component: &str) -> Result<(), Box<dyn Error>> {
    let module = fs::read(core)?;
    let mut encoder = ComponentEncoder::default()
        .validate(true)
        .module(&module)
        .map_err(|error| format!("{error:#}"))?;
    let bytes = encoder.encode().map_err(|error| format!("{error:#}"))?;
    fs::write(component, bytes)?;
    Ok(())
}

#[expect(clippy::print_stderr, reason = "this is what a command line says when it fails")]
fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
