//! The model of the commit protocol: the host's own state machine, against a broker, a store and workers that crash.
//!
//! ```text
//! world      what there is: records, a broker with its transactions, a store, workers
//! steps      what can happen: each action and the world after it
//! carry_out  what a worker does about it, by effects
//! effects    what can be done to the world, each noted
//! invariants what must hold in every world
//! cases      how much may go wrong in one run, the conditions left out one by one, and what came of it
//! ```
//!
//! The state machine is the host's source file itself, so that it is the one that runs. What carries out its commands
//! is the model's own, and small; the host's unit tests include `world`, `steps`, `carry_out` and `effects`, and show
//! in every world of some cases that the host's coordinator does the same. So those four know nothing of the checker.

#[path = "../../../host/src/checkpoint/command.rs"]
mod command;
#[path = "../../../host/src/checkpoint/event.rs"]
mod event;
#[path = "../../../host/src/checkpoint/protocol.rs"]
mod protocol;

mod carry_out;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod controls;
mod effects;
mod invariants;
mod steps;
mod world;

pub use command::{Command, Halt};
pub use event::Event;
pub use protocol::{Mode, Protocol};
pub use steps::{Action, Outcome};
pub use world::{Case, Conditions, Faults, World};

use stateright::{Model, Property};

impl Model for Case {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        self.list_actions(world, actions);
    }

    fn next_state(&self, before: &World, action: Action) -> Option<World> {
        self.step(before, action).map(|(world, _)| world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        invariants::all()
    }
}
