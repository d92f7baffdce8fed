//! The savepoint that is taken between two versions, of what the first of them committed.
//!
//! Always: it is taken while no process runs, and nothing starts before it is there; whoever dies in between takes it
//! again under the same name, and finds it if it was there already.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use super::asking::{VerbSaid, ask_program};
use super::home::{PipelineHome, RunCard};
use super::keeper::{KeepOrder, Keeper};
use crate::grant::Grant;

/// How long a savepoint may take.
const SAVE: Duration = Duration::from_secs(300);
/// How long a look at the savepoints may take.
const LIST: Duration = Duration::from_secs(30);
/// The pipeline file of the version before, beside that of the one that starts: the folder of its state is the same.
const FILE: &str = "before.toml";

/// A savepoint to take, with what its process is granted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct SaveOrder {
    pub(super) name: String,
    pub(super) file: String,
    pub(super) grant: Arc<Grant>,
}

/// Whether a process may start.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SaveOutcome {
    /// Nothing is to be saved, or it is.
    Yes,
    /// It was tried, and could not be done; somebody decides.
    No(String),
    /// Something else is wanted meanwhile.
    Interrupted,
}

impl Keeper {
    /// Takes the savepoint that is wanted of the version before, if it was not taken. No process runs.
    pub(super) async fn save(&mut self, order: &KeepOrder, card: &mut RunCard) -> io::Result<SaveOutcome> {
        let Some(save) = order.save.as_ref().filter(|save| card.saved != save.name) else {
            return Ok(SaveOutcome::Yes);
        };
        if let Some((_, why)) = card.not_saved.as_ref().filter(|(name, _)| *name == save.name) {
            return Ok(SaveOutcome::No(why.clone()));
        }
        // Of one that never began nothing is committed; and as long as it is held, none begins.
        let (Some(_lock), Ok(start)) = (self.home.lock()?, &order.start) else {
            return Ok(SaveOutcome::Interrupted);
        };
        let taken = match card.began {
            0 => Ok(0),
            _ => tokio::select! {
                taken = take(&self.home, &start.program, save) => taken?,
                _ = self.orders.changed() => {
                    self.orders.mark_changed();
                    return Ok(SaveOutcome::Interrupted);
                }
            },
        };
        let saved = match taken {
            Ok(tasks) => {
                let before = std::mem::replace(&mut card.saved, save.name.clone());
                (card.saved_tasks, card.not_saved) = (tasks, None);
                forget(&self.home, &start.program, save, before);
                SaveOutcome::Yes
            }
            Err(why) => {
                card.not_saved = Some((save.name.clone(), why.clone()));
                SaveOutcome::No(why)
            }
        };
        self.home.write_card(card)?;
        Ok(saved)
    }
}

/// Takes it; of how many tasks it is, or why it cannot be taken.
async fn take(home: &PipelineHome, program: &Path, save: &SaveOrder) -> io::Result<Result<u64, String>> {
    home.write_beside(FILE, &save.file)?;
    let words = ["savepoint", "create", FILE, "--name", &save.name];
    let said = match ask_program(program, &words, home.folder(), &save.grant, SAVE).await {
        Ok(said) => said,
        Err(why) => return Ok(Err(why.to_string())),
    };
    if said.code() == Some(0) {
        return Ok(Ok(said.value().as_ref().map_or(0, tasks)));
    }
    // One that was taken by a daemon that did not live to note it is the same: nothing ran since.
    let list = ["savepoint", "list", FILE];
    let listed = ask_program(program, &list, home.folder(), &save.grant, LIST).await;
    Ok(
        match listed.ok().as_ref().and_then(|listed| found(listed, &save.name)) {
            Some(tasks) => Ok(tasks),
            None => {
                let problem = said.problem("the savepoint could not be taken");
                Err(format!("{}: {}", problem.what, problem.why))
            }
        },
    )
}

/// Deletes the savepoint of an upgrade before: nothing goes back behind the newest one. Nobody waits for that.
fn forget(home: &PipelineHome, program: &Path, save: &SaveOrder, name: String) {
    if name.is_empty() {
        return;
    }
    let (folder, program, grant) = (home.folder().to_owned(), program.to_owned(), save.grant.clone());
    tokio::spawn(async move {
        let words = ["savepoint", "delete", FILE, &name];
        let said = ask_program(&program, &words, &folder, &grant, SAVE).await;
        if !said.is_ok_and(|said| said.code() == Some(0)) {
            tracing::warn!(folder = %folder.display(), name, "failed to delete a savepoint that nothing needs");
        }
    });
}

fn found(listed: &VerbSaid, name: &str) -> Option<u64> {
    let all = listed.value()?;
    let one = all
        .as_array()?
        .iter()
        .find(|one| one["savepoint"] == name && one.get("flaw").is_none())?;
    Some(tasks(one))
}

fn tasks(savepoint: &Value) -> u64 {
    savepoint["tasks"].as_array().map_or(0, |tasks| tasks.len() as u64)
}
