//! `sandbar checkpoint`: what the checkpoint store of a pipeline holds, and whether it is whole.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::granted;
use super::output::{Head, Output, TextTable};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::audit::{StoredCheckpoint, Verified};
use crate::config::{self, Location};
use crate::error::{Error, Kind, Result};
use crate::offset_metadata::Pointer;
use crate::runtime;

/// Arguments of `sandbar checkpoint`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar checkpoint list pipeline.toml"
)]
pub struct CheckpointArgs {
    #[command(subcommand)]
    action: CheckpointAction,
}

#[derive(Subcommand, Debug)]
enum CheckpointAction {
    /// List the checkpoints in the store, the oldest first
    #[command(after_help = "Example:\n  sandbar checkpoint list pipeline.toml")]
    List {
        #[command(flatten)]
        pipeline: CheckpointedPipeline,
    },
    /// Show what a checkpoint says of its tasks: positions, parent, base, stores
    #[command(after_help = "Examples:\n  sandbar checkpoint show pipeline.toml\n  \
        sandbar checkpoint show pipeline.toml 0mhzqk3va-0-1y2p0ij32e8e7")]
    Show {
        #[command(flatten)]
        pipeline: CheckpointedPipeline,
        /// The checkpoint's name, as `list` has it; the newest without one
        name: Option<String>,
    },
    /// Read every byte that the committed state is built from, and check it
    #[command(
        after_help = "Asks Kafka what is committed. Exit code 6 if something is damaged or missing.\n\n\
        Examples:\n  sandbar checkpoint verify pipeline.toml\n  sandbar checkpoint verify pipeline.toml --newest"
    )]
    Verify {
        #[command(flatten)]
        pipeline: CheckpointedPipeline,
        /// Do not ask Kafka: check the newest state of each task in the store
        #[arg(long)]
        newest: bool,
    },
}

/// A pipeline that has checkpoints.
#[derive(Args, Debug)]
pub(super) struct CheckpointedPipeline {
    /// The pipeline file
    pipeline: PathBuf,
    /// Override a key of the file, such as checkpoint.store=/var/lib/checkpoints; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
}

impl CheckpointedPipeline {
    /// The pipeline, and where its checkpoints are.
    pub(super) fn load(&self) -> Result<(config::Pipeline, Location)> {
        let pipeline = granted::load(&self.pipeline, &self.sets)?;
        match &pipeline.checkpoint {
            Some(checkpoint) => {
                let location = checkpoint.location.clone();
                Ok((pipeline, location))
            }
            None => {
                let what = format!("pipeline `{}` has no checkpoints", pipeline.name);
                Err(Error::new(Kind::Invalid, what, "its file has no [checkpoint]"))
            }
        }
    }

    fn store(&self) -> Result<(config::Pipeline, CheckpointStore)> {
        let (pipeline, location) = self.load()?;
        let store = CheckpointStore::look_into(&location, &pipeline.name)?;
        Ok((pipeline, store))
    }
}

impl CheckpointArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            CheckpointAction::List { pipeline } => list(&pipeline.store()?.1.checkpoints()?, out),
            CheckpointAction::Show { pipeline, name } => show(&pipeline.store()?.1, name, out),
            CheckpointAction::Verify { pipeline, newest } => {
                let (pipeline, store) = pipeline.store()?;
                let pointers: Vec<Pointer> = match newest {
                    true => store.newest()?.into_iter().map(|(pointer, _)| pointer).collect(),
                    false => runtime::committed(&pipeline)?
                        .into_iter()
                        .map(|(pointer, _)| pointer)
                        .collect(),
                };
                report(&pointers, &store.verify(&pointers, |_| {}), out)
            }
        }
    }
}

/// A moment as people write it.
pub(super) fn moment(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |time| format!("{time:.0}"))
}

fn list(stored: &[StoredCheckpoint], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("checkpoint"),
        Head::Text("written"),
        Head::Number("bytes"),
        Head::Text("tasks"),
    ]);
    for one in stored {
        let tasks = match &one.manifest {
            Ok(checked) => {
                let tasks = checked.manifest.tasks.iter();
                let tasks: Vec<String> = tasks.map(|entry| format!("{}@{}", entry.task, entry.seq)).collect();
                tasks.join(" ")
            }
            Err(error) => format!("unreadable: {}", error.why),
        };
        table.row([one.name.clone(), moment(one.written), one.bytes.to_string(), tasks]);
    }
    out.rows(&stored.iter().map(stored_json).collect(), &table)
}

fn stored_json(stored: &StoredCheckpoint) -> Value {
    let tasks: Option<Vec<Value>> = stored.manifest.as_ref().ok().map(|checked| {
        let tasks = checked.manifest.tasks.iter();
        tasks
            .map(|entry| json!({ "task": entry.task, "seq": entry.seq }))
            .collect()
    });
    json!({
        "checkpoint": stored.name,
        "written": stored.written,
        "bytes": stored.bytes,
        "tasks": tasks,
        "flaw": stored.manifest.as_ref().err().map(|error| &error.why),
    })
}

fn show(store: &CheckpointStore, name: Option<String>, out: &Output) -> Result<()> {
    let bundles = store.bundles()?;
    // Names become paths: one that is none of ours is not looked for.
    let found = match &name {
        Some(name) => bundles.iter().find(|bundle| *bundle == name),
        None => bundles.last(),
    };
    let Some(name) = found else {
        let (what, whose) = match name {
            Some(name) => (format!("there is no checkpoint `{name}`"), " of that name"),
            None => ("there is no checkpoint".to_owned(), ""),
        };
        let why = format!("the store `{}` holds none{whose}", store.place());
        return Err(
            Error::new(Kind::Corrupt, what, why).hint("`sandbar checkpoint list PIPELINE` tells which there are")
        );
    };
    let checked = store.manifest(name)?;
    let mut value = serde_json::to_value(&checked.manifest).unwrap_or_default();
    value["checkpoint"] = json!(name);
    value["hash"] = json!(checked.hash);
    let mut table = TextTable::new(&[
        Head::Text("task"),
        Head::Number("seq"),
        Head::Text("positions"),
        Head::Number("delta bytes"),
        Head::Text("stores"),
        Head::Text("base"),
        Head::Text("parent"),
    ]);
    for entry in &checked.manifest.tasks {
        let stores = entry
            .stores
            .iter()
            .map(|store| format!("{}.{}", store.operator, store.store));
        table.row([
            entry.task.clone(),
            entry.seq.to_string(),
            positions(&entry.offsets),
            entry.frame.length.to_string(),
            or_dash(stores.collect::<Vec<_>>().join(" ")),
            or_dash(entry.base.as_ref().map(|base| base.name.clone()).unwrap_or_default()),
            or_dash(entry.parent.bundle.clone().unwrap_or_default()),
        ]);
    }
    out.rows(&value, &table)
}

/// `views/0=23 views/1=31`, as `sandbar offsets set --to` takes them.
pub(super) fn positions(offsets: &config::Offsets) -> String {
    let each = offsets
        .iter()
        .flat_map(|(topic, of)| of.iter().map(move |(number, at)| format!("{topic}/{number}={at}")));
    or_dash(each.collect::<Vec<_>>().join(" "))
}

fn or_dash(text: String) -> String {
    match text.is_empty() {
        true => "-".to_owned(),
        false => text,
    }
}

fn report(pointers: &[Pointer], verified: &[Verified], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[Head::Text("object"), Head::Number("bytes"), Head::Text("found")]);
    for one in verified {
        let found = match &one.flaw {
            None => "whole".to_owned(),
            Some(error) => format!("{}: {}", error.what, error.why),
        };
        table.row([one.object.clone(), one.bytes.to_string(), found]);
    }
    let objects = verified.iter().map(|one| {
        let flaw = one.flaw.as_ref().map(|error| format!("{}: {}", error.what, error.why));
        json!({ "object": one.object, "bytes": one.bytes, "flaw": flaw })
    });
    let bytes: u64 = verified.iter().map(|one| one.bytes).sum();
    let flawed: Vec<&Error> = verified.iter().filter_map(|one| one.flaw.as_ref()).collect();
    let value = json!({
        "ok": flawed.is_empty(),
        "tasks": pointers.len(),
        "bytes": bytes,
        "objects": objects.collect::<Vec<_>>(),
    });
    out.rows(&value, &table)?;
    match flawed.as_slice() {
        [] => Ok(()),
        [first, ..] => {
            let what = format!("{} of {} objects are damaged or missing", flawed.len(), verified.len());
            let error = Error::new(Kind::Corrupt, what, format!("{}: {}", first.what, first.why));
            Err(match &first.hint {
                Some(hint) => error.hint(hint.clone()),
                None => error,
            })
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Duration;

    use super::super::output::OutputFormat;
    use super::*;
    use crate::checkpoint::TaskFrame;

    const OUT: fn() -> Output = || Output::new(OutputFormat::Json);

    /// A pipeline file whose store holds one checkpoint, and the name of that.
    pub(in crate::cli) fn with_one_checkpoint() -> (tempfile::TempDir, CheckpointedPipeline, String) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pages.toml");
        let text = "name = \"pages\"\ndelivery = \"at-least-once\"\n[kafka]\nbrokers = \"127.0.0.1:1\"\n\
            [source.views]\ntopics = [\"views\"]\n\
                    [sink.out]\nfrom = [\"views\"]\ntopic = \"out\"\n[checkpoint]\nstore = \"kept\"\n";
        std::fs::write(&file, text).unwrap();
        let store = CheckpointStore::open(&Location::Folder(folder.path().join("kept")), "pages").unwrap();
        let frame = TaskFrame {
            task: "views/0".into(),
            seq: 1,
            parent: Pointer::first("views/0"),
            base: None,
            offsets: [("views".to_owned(), [(0, 23)].into())].into(),
            stops: [].into(),
            partition_counts: [].into(),
            stores: Vec::new(),
            delta: b"what changed".to_vec(),
        };
        let pointers = store
            .put(0, vec![frame])
            .wait(Duration::from_secs(60))
            .unwrap()
            .unwrap();
        let pipeline = CheckpointedPipeline {
            pipeline: file,
            sets: Vec::new(),
        };
        (folder, pipeline, pointers[0].bundle.clone().unwrap())
    }

    #[test]
    fn a_store_is_listed_shown_and_verified_without_a_broker() {
        let (folder, pipeline, name) = with_one_checkpoint();
        let again = || CheckpointedPipeline {
            pipeline: pipeline.pipeline.clone(),
            sets: Vec::new(),
        };
        let run = |action| CheckpointArgs { action }.run(&OUT());
        let show = |name: &str| CheckpointAction::Show {
            pipeline: again(),
            name: Some(name.into()),
        };
        let verify = || CheckpointAction::Verify {
            pipeline: again(),
            newest: true,
        };
        assert_eq!(run(CheckpointAction::List { pipeline: again() }), Ok(()));
        assert_eq!(run(show(&name)), Ok(()));
        let newest = CheckpointAction::Show {
            pipeline: again(),
            name: None,
        };
        assert_eq!(run(newest), Ok(()));
        assert_eq!(run(show("../../escape")).unwrap_err().kind, Kind::Corrupt);
        assert_eq!(run(verify()), Ok(()));
        let bundle = folder.path().join("kept/pages/bundles").join(&name);
        let mut bytes = std::fs::read(&bundle).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&bundle, bytes).unwrap();
        let error = run(verify()).unwrap_err();
        assert!(error.kind == Kind::Corrupt && error.why.contains(&name), "{error}");
        assert_eq!(run(CheckpointAction::List { pipeline: again() }), Ok(()));
    }

    #[test]
    fn a_pipeline_without_checkpoints_is_told_so() {
        let (_folder, pipeline, _) = with_one_checkpoint();
        let text = std::fs::read_to_string(&pipeline.pipeline).unwrap();
        let (before, _) = text.split_once("[checkpoint]").unwrap();
        std::fs::write(&pipeline.pipeline, before.replace("delivery", "# delivery")).unwrap();
        let error = CheckpointArgs {
            action: CheckpointAction::List { pipeline },
        }
        .run(&OUT())
        .unwrap_err();
        assert!(
            error.kind == Kind::Invalid && error.why.contains("[checkpoint]"),
            "{error}"
        );
    }

    #[test]
    fn a_moment_is_told_to_the_second() {
        assert_eq!(moment(1_795_000_000_999), "2026-11-18T11:06:40Z");
        assert_eq!(moment(i64::MAX), i64::MAX.to_string());
    }

    #[test]
    fn positions_are_written_as_they_can_be_set() {
        let offsets = config::Offsets::from([("views".into(), [(0, 23), (1, 31)].into())]);
        assert_eq!(positions(&offsets), "views/0=23 views/1=31");
        assert_eq!(positions(&config::Offsets::new()), "-");
    }

    #[test]
    fn a_flaw_is_an_error_after_everything_was_told() {
        let whole = Verified {
            object: "pages/bundles/a".into(),
            bytes: 5,
            flaw: None,
        };
        let damaged = Verified {
            object: "pages/bundles/b".into(),
            bytes: 0,
            flaw: Some(Error::new(Kind::Corrupt, "object `b` is damaged", "x").hint("y")),
        };
        let out = OUT();
        assert_eq!(report(&[], std::slice::from_ref(&whole), &out), Ok(()));
        let error = report(&[], &[whole, damaged], &out).unwrap_err();
        assert_eq!(error.kind.exit_code(), 6);
        assert!(
            error.what.contains("1 of 2") && error.why.contains("`b`") && error.hint.is_some(),
            "{error}"
        );
    }
}
