//! Which file of the host imports which, and that no two import each other, directly or through others.
//!
//! An import through a door (a `mod.rs`, which holds no logic) leads to the file behind it, so a door is part of no
//! circle.

use super::Rule;
use super::files::{File, rust};
use super::use_paths::{Use, inline_paths, take_uses};
use std::collections::{BTreeMap, BTreeSet};

/// Circles that a reason allows: all files of one, in the alphabet's order, and why.
const CIRCLES_ALLOWED: &[(&str, &str)] = &[
    (
        "broker/api.rs broker/bounds.rs broker/configs/alter.rs broker/configs/describe.rs broker/configs/known.rs \
         broker/configs/topic.rs broker/disk/journal.rs broker/fetch.rs broker/groups/offsets.rs \
         broker/groups/requests.rs broker/produce.rs broker/server.rs broker/start.rs broker/state.rs \
         broker/topics.rs broker/transactions/ending.rs broker/transactions/offsets.rs \
         broker/transactions/requests.rs broker/transactions/transaction.rs",
        "Not cut yet: the settings quote the limits of requests, which read the state, which holds the settings.",
    ),
    (
        "cli/args.rs cli/completion.rs",
        "Completion is a verb, and is made from the definition of the whole command line.",
    ),
    (
        "login/client.rs login/endpoint.rs login/present.rs login/secret.rs",
        "Not cut yet: a secret's command is ended by a function of the client.",
    ),
    (
        "runtime/batch/refused.rs runtime/batch/task.rs runtime/commit/checkpointing.rs runtime/start/kept.rs \
         runtime/worker/process.rs runtime/worker/run.rs",
        "Not cut yet: all parts of a run are methods of `Worker`, which owns them.",
    ),
    (
        "runtime/commit/in_flight.rs runtime/commit/ports.rs",
        "Not cut yet: the ports tell what is in flight, in words of the ports.",
    ),
    (
        "runtime/tasks/checkpoints.rs runtime/tasks/restore.rs",
        "Not cut yet: `Checkpoints` holds the restores under way, and a restore ends in `Checkpoints`.",
    ),
    (
        "sink/delivery.rs sink/raw/handle.rs sink/raw/reports.rs",
        "Not cut yet: reports are told in words of `delivery`, which judges failures of `raw`.",
    ),
    (
        "sink/producer.rs sink/transaction.rs",
        "Not cut yet: a transaction is a producer's, and the producer holds it.",
    ),
    (
        "source/client.rs source/member/commit.rs source/positions/agreement.rs source/positions/counts.rs \
         source/positions/kept.rs source/positions/lookup.rs source/positions/plan.rs source/positions/topics.rs",
        "Not cut yet: the client's events name what a commit and a plan define.",
    ),
    (
        "source/member/pending.rs source/member/reader.rs",
        "Not cut yet: a reader holds its pending partitions, which are settled by its methods.",
    ),
    (
        "spec/check.rs spec/delivery.rs spec/file.rs spec/graph.rs spec/load.rs spec/location.rs spec/places.rs \
         spec/position.rs spec/properties.rs spec/source.rs spec/text/document.rs spec/text/reading.rs \
         spec/text/sets.rs spec/text/values.rs",
        "Not cut yet: `Scope` stands in `check`, which calls all parts; and the text knows which properties are \
         secret.",
    ),
    (
        "topology/state.rs topology/wiring.rs",
        "Not cut yet: the wiring checks its state, which is found by the wiring's words.",
    ),
];

pub(super) const RULES: &[Rule] = &[Rule {
    sentence: "Files of the host import each other in one direction: a circle is one subject in two files, or two \
               subjects that want a third below them.",
    find: |files| {
        let graph = graph(files);
        let mut found = Vec::new();
        for circle in circles(&graph) {
            if !CIRCLES_ALLOWED.iter().any(|(files, _)| *files == circle.join(" ")) {
                found.push(format!(
                    "{}\n        {}",
                    circle.join(" "),
                    edges(&graph, &circle).join("\n        ")
                ));
            }
        }
        found
    },
    broken: &[
        ("host/src/sink/mod.rs", "mod a;\nmod b;\npub use a::A;"),
        ("host/src/sink/a.rs", "use super::b;\nstruct A(b::B);"),
        ("host/src/sink/b.rs", "fn f(a: crate::sink::A) {}\nstruct B;"),
    ],
}];

#[test]
fn every_circle_that_is_allowed_is_there() {
    let circles = circles(&graph(&super::repository()));
    let circles: Vec<String> = circles.iter().map(|circle| circle.join(" ")).collect();
    let allowed = CIRCLES_ALLOWED.iter().map(|(files, _)| *files);
    let gone: Vec<&str> = allowed
        .filter(|files| !circles.iter().any(|circle| circle == files))
        .collect();
    assert!(
        gone.is_empty(),
        "take them from the list, or correct their files:\n{}",
        gone.join("\n")
    );
}

/// What a file imports of another, by the two paths below `host/src`.
type Graph = BTreeMap<String, BTreeMap<String, BTreeSet<String>>>;

/// A module of the host: its file, and the names that its `use` lines bring.
struct Module {
    file: String,
    code: String,
    uses: Vec<Use>,
}

/// By their path of names; the crate's own is the empty one.
struct Modules(BTreeMap<Vec<String>, Module>);

/// What a path leads to: a module, or a name in one.
enum Target {
    Module(Vec<String>),
    Name(Vec<String>, String),
}

fn graph(files: &[File]) -> Graph {
    let modules = Modules::of(files);
    let mut graph = Graph::new();
    for (at, module) in modules.0.iter().filter(|(_, module)| !is_door(&module.file)) {
        let imports = module.uses.iter().map(|import| import.path.clone());
        for path in imports.chain(inline_paths(&module.code)) {
            let Some(Target::Name(home, name)) = modules.resolve(at, &path, 0) else {
                continue;
            };
            let home = &modules.0[&home].file;
            if *home != module.file && !is_door(home) {
                let edges = graph.entry(module.file.clone()).or_default();
                edges.entry(home.clone()).or_default().insert(name);
            }
        }
    }
    graph
}

fn is_door(file: &str) -> bool {
    file.ends_with("mod.rs") || file == "lib.rs"
}

impl Modules {
    fn of(files: &[File]) -> Self {
        let mut modules = BTreeMap::new();
        for file in rust(files).filter(|file| !file.is_test && file.name() != "main.rs") {
            let Some(path) = file.path.strip_prefix("host/src/") else {
                continue;
            };
            let mut at: Vec<String> = path.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            at.pop_if(|last| ["mod", "lib"].contains(&last.as_str()));
            let (uses, code) = take_uses(&file.code());
            let file = path.to_owned();
            modules.insert(at, Module { file, code, uses });
        }
        Self(modules)
    }

    /// Where a path leads that stands in a module; nothing if it leads out of the host.
    fn resolve(&self, from: &[String], path: &[String], depth: usize) -> Option<Target> {
        let (mut at, mut rest) = (from.to_vec(), path);
        match path.first()?.as_str() {
            "crate" => (at, rest) = (Vec::new(), &path[1..]),
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|word| word == "super") {
                    at.pop()?;
                    rest = &rest[1..];
                }
            }
            first => {
                let child = [from, &[first.to_owned()]].concat();
                if !self.0.contains_key(&child) {
                    let Target::Module(module) = self.imported(from, first, depth)? else {
                        return None;
                    };
                    (at, rest) = (module, &path[1..]);
                }
            }
        }
        self.walk(at, rest, depth)
    }

    fn walk(&self, mut at: Vec<String>, mut rest: &[String], depth: usize) -> Option<Target> {
        while let Some(name) = rest.first() {
            let child = [at.as_slice(), std::slice::from_ref(name)].concat();
            if self.0.contains_key(&child) {
                (at, rest) = (child, &rest[1..]);
                continue;
            }
            let module = self.0.get(&at)?;
            if is_door(&module.file) {
                match self.imported(&at, name, depth) {
                    Some(Target::Module(behind)) => {
                        (at, rest) = (behind, &rest[1..]);
                        continue;
                    }
                    Some(behind) => return Some(behind),
                    None => {}
                }
            }
            return Some(Target::Name(at, name.clone()));
        }
        self.0.contains_key(&at).then_some(Target::Module(at))
    }

    /// What a module's own `use` brings under a name.
    fn imported(&self, at: &[String], name: &str, depth: usize) -> Option<Target> {
        let module = self.0.get(at).filter(|_| depth < 8)?;
        let import = module.uses.iter().find(|import| import.name == name)?;
        self.resolve(at, &import.path, depth + 1)
    }
}

/// Sets of files each of which reaches all others of its set.
fn circles(graph: &Graph) -> Vec<Vec<String>> {
    let reached: BTreeMap<&String, BTreeSet<&String>> = graph.keys().map(|file| (file, reach(graph, file))).collect();
    let mutual = |one: &String, other: &String| {
        reached[one].contains(other) && reached.get(other).is_some_and(|reached| reached.contains(one))
    };
    let mut circles = BTreeSet::new();
    for file in graph.keys().filter(|file| mutual(file, file)) {
        circles.insert(graph.keys().filter(|other| mutual(file, other)).cloned().collect());
    }
    circles.into_iter().collect()
}

fn reach<'a>(graph: &'a Graph, file: &str) -> BTreeSet<&'a String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<&String> = graph.get(file).into_iter().flat_map(BTreeMap::keys).collect();
    while let Some(file) = next.pop() {
        if reached.insert(file) {
            next.extend(graph.get(file).into_iter().flat_map(BTreeMap::keys));
        }
    }
    reached
}

fn edges(graph: &Graph, circle: &[String]) -> Vec<String> {
    let mut edges = Vec::new();
    for from in circle {
        for (to, names) in graph[from].iter().filter(|(to, _)| circle.contains(to)) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            edges.push(format!("{from} → {to}: {}", names.join(", ")));
        }
    }
    edges
}
