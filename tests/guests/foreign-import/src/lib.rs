//! Imports sockets, which no plugin is granted.
#![expect(missing_docs, reason = "generated")]
#![allow(
    unsafe_code,
    clippy::too_many_arguments,
    reason = "generated: the canonical ABI passes pointers"
)]

wit_bindgen::generate!({
    path: "../../../wit/v0.1",
    inline: "
        package evil:net;
        interface sockets { connect: func(to: string) -> bool; }
        world evil { include sandbar:plugin/processor@0.1.0; import sockets; }
    ",
    world: "evil:net/evil",
    generate_all,
});

use sandbar::plugin::types::Needs;

struct ForeignImport;

impl Guest for ForeignImport {
    fn describe() -> Description {
        Description {
            name: "foreign-import".to_owned(),
            version: "0.1.0".to_owned(),
            inputs: vec!["in".to_owned()],
            outputs: vec!["out".to_owned()],
            stores: Vec::new(),
            timers: Vec::new(),
            metrics: Vec::new(),
            config_schema: String::new(),
            needs: Needs::empty(),
        }
    }

    fn open(to: String) -> Result<(), String> {
        if evil::net::sockets::connect(&to) {
            Ok(())
        } else {
            Err("nobody there".to_owned())
        }
    }

    fn process(_: Batch) -> Result<Outcome, Failure> {
        Err(Failure::Fail("it got in".to_owned()))
    }
}

export!(ForeignImport);
