//! `sandbar savepoint`: the state and positions of a pipeline at one moment, kept until a person deletes them.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::checkpoint::{CheckpointedPipeline, moment};
use super::output::{Head, Output, TextTable};
use crate::checkpoint::CheckpointStore;
use crate::checkpoint::savepoint::{Savepoint as Saved, SavepointPlace};
use crate::config::{Location, Pipeline};
use crate::error::{Error, Kind, Result};
use crate::runtime;

/// Arguments of `sandbar savepoint`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar savepoint create pipeline.toml --name before-upgrade"
)]
pub struct SavepointArgs {
    #[command(subcommand)]
    action: SavepointAction,
}

#[derive(Subcommand, Debug)]
enum SavepointAction {
    /// Copy what is committed, of a running pipeline or of one that stopped
    #[command(
        after_help = "With -o json it prints one object whose `savepoint` is what `sandbar run --from` takes.\n\n\
        Examples:\n  sandbar savepoint create pipeline.toml --name before-upgrade\n  \
        sandbar savepoint create pipeline.toml --name s3://bucket/savepoints/pages"
    )]
    Create {
        #[command(flatten)]
        pipeline: CheckpointedPipeline,
        /// A name beside the checkpoints, or a place: ./folder, file://… or s3://bucket/prefix; by default a name that
        /// begins with the time
        #[arg(long, value_name = "SAVEPOINT")]
        name: Option<String>,
    },
    /// List the savepoints beside the checkpoints
    #[command(after_help = "Example:\n  sandbar savepoint list pipeline.toml")]
    List {
        #[command(flatten)]
        pipeline: CheckpointedPipeline,
    },
    /// Delete a savepoint
    #[command(after_help = "Example:\n  sandbar savepoint delete pipeline.toml before-upgrade")]
    Delete {
        #[command(flatten)]
        pipeline: CheckpointedPipeline,
        /// Its name, or its place
        savepoint: String,
    },
}

impl SavepointArgs {
    pub(super) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            SavepointAction::Create { pipeline, name } => {
                let (pipeline, location) = pipeline.load()?;
                let place = place(&name.unwrap_or_else(CheckpointStore::new_savepoint_name), &location)?;
                let (value, human) = create(&pipeline, &location, &place)?;
                out.show(&value, || human)
            }
            SavepointAction::List { pipeline } => {
                let (pipeline, location) = pipeline.load()?;
                list(
                    &CheckpointStore::look_into(&location, &pipeline.name)?.savepoints()?,
                    out,
                )
            }
            SavepointAction::Delete { pipeline, savepoint } => {
                let (pipeline, location) = pipeline.load()?;
                let place = place(&savepoint, &location)?;
                CheckpointStore::look_into(&location, &pipeline.name)?.delete_savepoint(&place)?;
                out.show(&json!({ "deleted": savepoint }), || {
                    format!("deleted savepoint {savepoint}")
                })
            }
        }
    }
}

/// Takes a savepoint of what is committed; gives it for a program, whose `savepoint` is what `--from` takes, and for a
/// person.
pub(super) fn create(pipeline: &Pipeline, location: &Location, place: &SavepointPlace) -> Result<(Value, String)> {
    let store = CheckpointStore::look_into(location, &pipeline.name)?;
    let saved = store.save(place, || runtime::committed(pipeline))?;
    let human = format!("created savepoint {place} with {} tasks", saved.tasks.len());
    Ok((saved_json(&place.to_string(), &saved), human))
}

/// What a person gave: a name beside the checkpoints, or a place. A bucket is reached with the settings of the
/// pipeline's own.
pub(super) fn place(text: &str, beside: &Location) -> Result<SavepointPlace> {
    if !text.contains('/') && !text.contains('\\') {
        return Ok(SavepointPlace::Named(text.to_owned()));
    }
    let properties = match beside {
        Location::S3 { properties, .. } => properties.clone(),
        Location::Folder(_) => Default::default(),
    };
    let location = Location::parse(text, properties)
        .map_err(|why| Error::new(Kind::Usage, format!("`{text}` is no place for a savepoint"), why))?;
    match location {
        // Wherever it is read again: a folder is told by its whole path.
        Location::Folder(path) => std::path::absolute(&path)
            .map(|path| SavepointPlace::At(Location::Folder(path)))
            .map_err(|error| Error::new(Kind::Usage, format!("`{text}` is no place for a savepoint"), error)),
        bucket => Ok(SavepointPlace::At(bucket)),
    }
}

fn saved_json(place: &str, saved: &Saved) -> Value {
    let tasks = saved.tasks.iter().map(|task| {
        let pointer = &task.pointer;
        json!({ "task": task.task, "seq": pointer.seq, "pointer": pointer.to_string(), "offsets": task.offsets })
    });
    json!({
        "savepoint": place,
        "pipeline": saved.pipeline,
        "created": saved.created,
        "tasks": tasks.collect::<Vec<_>>(),
    })
}

fn list(savepoints: &[(String, Result<Saved>)], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("savepoint"),
        Head::Text("created"),
        Head::Number("tasks"),
        Head::Text("pipeline"),
    ]);
    for (name, savepoint) in savepoints {
        table.row(match savepoint {
            Ok(saved) => [
                name.clone(),
                moment(saved.created),
                saved.tasks.len().to_string(),
                saved.pipeline.clone(),
            ],
            Err(error) => [name.clone(), "-".to_owned(), "-".to_owned(), error.why.clone()],
        });
    }
    let values = savepoints.iter().map(|(name, savepoint)| match savepoint {
        Ok(saved) => saved_json(name, saved),
        Err(error) => json!({ "savepoint": name, "flaw": error.why }),
    });
    out.rows(&values.collect(), &table)
}

#[cfg(test)]
mod tests {
    use super::super::checkpoint::tests::with_one_checkpoint;
    use super::super::output::OutputFormat;
    use super::*;

    #[test]
    fn savepoints_are_listed_and_deleted_without_a_broker_and_one_that_is_not_there_is_told() {
        let (_folder, pipeline, _) = with_one_checkpoint();
        let (loaded, location) = pipeline.load().unwrap();
        let store = CheckpointStore::look_into(&location, &loaded.name).unwrap();
        let newest = store.newest().unwrap().into_iter();
        let newest: Vec<_> = newest.map(|(pointer, entry)| (pointer, entry.offsets)).collect();
        store
            .save(&SavepointPlace::Named("a".into()), || Ok(newest.clone()))
            .unwrap();
        let out = Output::new(OutputFormat::Json);
        assert_eq!(list(&store.savepoints().unwrap(), &out), Ok(()));
        let delete = SavepointArgs {
            action: SavepointAction::Delete {
                pipeline,
                savepoint: "a".into(),
            },
        };
        assert_eq!(delete.run(&out), Ok(()));
        let (_folder, pipeline, _) = with_one_checkpoint();
        let missing = SavepointAction::Delete {
            pipeline,
            savepoint: "a".into(),
        };
        assert_eq!(
            SavepointArgs { action: missing }.run(&out).unwrap_err().kind,
            Kind::Corrupt
        );
    }

    #[test]
    fn a_savepoint_is_a_name_or_a_place() {
        let bucket = Location::S3 {
            bucket: "b".into(),
            prefix: "p".into(),
            properties: [("region".to_owned(), "eu-west-1".to_owned())].into(),
        };
        assert_eq!(
            place("before-upgrade", &bucket).unwrap(),
            SavepointPlace::Named("before-upgrade".into())
        );
        let SavepointPlace::At(Location::S3 {
            bucket: name,
            properties,
            ..
        }) = place("s3://c/q", &bucket).unwrap()
        else {
            panic!()
        };
        assert_eq!((name.as_str(), properties.len()), ("c", 1));
        let SavepointPlace::At(Location::Folder(path)) = place("./here", &bucket).unwrap() else {
            panic!()
        };
        assert!(path.is_absolute() && path.ends_with("here"));
        assert_eq!(place("ftp://x/y", &bucket).unwrap_err().kind, Kind::Usage);
    }
}
