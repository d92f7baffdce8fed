//! `sandbar-wrap CORE.wasm COMPONENT.wasm [WIT WORLD]`: makes a component out of a core module. A module without a
//! world in a custom section is given WORLD of the folder WIT.

use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (core, component, world) = match arguments[..] {
        [core, component] => (core, component, None),
        [core, component, wit, world] => (core, component, Some((wit, world))),
        _ => return failed("usage: sandbar-wrap CORE.wasm COMPONENT.wasm [WIT WORLD]"),
    };
    match make(core, component, world) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&format!("failed to make {component} out of {core}: {error}")),
    }
}

fn make(core: &str, component: &str, world: Option<(&str, &str)>) -> Result<(), String> {
    let mut module = fs::read(core).map_err(|error| error.to_string())?;
    if let Some((wit, world)) = world {
        module = sandbar_wrap::embed(&module, Path::new(wit), world)?;
    }
    fs::write(component, sandbar_wrap::wrap(&module)?).map_err(|error| error.to_string())
}

#[expect(clippy::print_stderr, reason = "this is what a command line says when it fails")]
fn failed(why: &str) -> ExitCode {
    eprintln!("{why}");
    ExitCode::FAILURE
}
