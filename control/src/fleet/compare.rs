//! What a new version makes of the state of the one before: by `sandbar inspect --diff`, operator by operator.
//!
//! Never a rule of its own for that. Always: in processes of their own, under the tenant's grant and the limits of a
//! check.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::asking::{VerbSaid, ask_program};
use super::keep::Fleet;
use crate::grant::Grant;
use crate::model::names::{Digest, Name};
use crate::model::problem::{Problem, ProblemKind, Result};

/// How long a comparison of two plugins may take: both are compiled.
const COMPARE: Duration = Duration::from_secs(120);
/// The exit code of a comparison that found something.
const DIFFERENT: i32 = 8;

/// What becomes of a store of an operator.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct StoreOutcome {
    /// The operator.
    pub operator: String,
    /// The store; the timers of a clock have one of their own.
    pub store: String,
    /// `restored`, `dropped` or `unreadable`.
    pub fate: String,
    /// Why it is unreadable.
    pub why: Option<String>,
}

/// What becomes of the state of a pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StateOutcome {
    /// The stores are the same.
    Same,
    /// They differ, and all that is in them is restored.
    Restored,
    /// Some of it is dropped.
    Dropped,
    /// Some of it cannot be read.
    Unreadable,
}

/// What differs between the plugins of two versions.
#[derive(Debug, Clone)]
pub(crate) struct PluginComparison {
    /// What becomes of all of the state.
    pub(crate) state: StateOutcome,
    /// What becomes of each store.
    pub(crate) stores: Vec<StoreOutcome>,
    /// Why the state does not fit, a sentence each.
    pub(crate) sentences: Vec<String>,
    /// What differs in the plugins, as lines of a difference.
    pub(crate) lines: Vec<String>,
}

impl Fleet {
    /// Compares the plugins of each operator of two versions.
    ///
    /// # Errors
    /// `PluginRefused`: one cannot be loaded. `Failed`: they could not be compared.
    pub(crate) async fn compare(
        &self,
        tenant: &Name,
        name: &Name,
        old: &BTreeMap<String, Digest>,
        new: &BTreeMap<String, Digest>,
    ) -> Result<PluginComparison> {
        let mut found = PluginComparison {
            state: StateOutcome::Same,
            stores: Vec::new(),
            sentences: Vec::new(),
            lines: Vec::new(),
        };
        let what = format!("failed to compare the plugins of pipeline `{name}`");
        let failed = |why: io::Error| Problem::new(ProblemKind::Failed, &what, why);
        // Both lie in the tenant's folder of plugins, which is granted with any of them.
        let both = old
            .iter()
            .chain(new)
            .map(|(operator, digest)| (operator.clone(), digest.clone()));
        let grant = self.compare_grant(tenant, name, &both.collect()).map_err(failed)?;
        let (folder, program) = (self.new_folder().map_err(failed)?, self.program());
        let all = async {
            for (operator, before) in old {
                match new.get(operator) {
                    Some(after) if after == before => {}
                    Some(after) => {
                        let paths = [self.plugin(tenant, after), self.plugin(tenant, before)];
                        let [after, before] = paths.each_ref().map(|path| path.display().to_string());
                        let said = ask(program, &["inspect", &after, "--diff", &before], &folder, &grant).await;
                        found.differ(operator, &said.map_err(failed)?, &what)?;
                    }
                    None => {
                        let before = self.plugin(tenant, before).display().to_string();
                        let said = ask(program, &["inspect", &before], &folder, &grant).await;
                        found.gone(operator, &said.map_err(failed)?, &what)?;
                    }
                }
            }
            let is_there = |operator: &&String| !old.contains_key(*operator);
            if new.keys().any(|operator| is_there(&operator)) {
                found.state = found.state.max(StateOutcome::Restored);
            }
            Ok(found)
        };
        let found = all.await;
        tokio::fs::remove_dir_all(&folder).await.map_err(failed)?;
        found
    }
}

async fn ask(program: &Path, words: &[&str], folder: &Path, grant: &Grant) -> io::Result<VerbSaid> {
    ask_program(program, words, folder, grant, COMPARE).await
}

impl PluginComparison {
    fn differ(&mut self, operator: &str, said: &VerbSaid, what: &str) -> Result<()> {
        let compared = said.value().filter(|_| matches!(said.code(), Some(0 | DIFFERENT)));
        let Some(compared) = compared else {
            return Err(said.problem(what));
        };
        let goes_on = compared["goes-on"].as_str().unwrap_or_default();
        let differences = items(&compared["differences"]);
        let is_of_state = |one: &Value| matches!(one["of"].as_str(), Some("store" | "timer"));
        let state = match goes_on {
            "yes" if !differences.iter().any(is_of_state) => StateOutcome::Same,
            "yes" => StateOutcome::Restored,
            "allow-dropped-state" => StateOutcome::Dropped,
            _ => StateOutcome::Unreadable,
        };
        self.state = self.state.max(state);
        let stores = items(&compared["stores"]);
        for store in stores {
            let outcome = StoreOutcome {
                operator: operator.to_owned(),
                store: text(store, "store"),
                fate: text(store, "fate"),
                why: store["why"].as_str().map(str::to_owned),
            };
            match (outcome.fate.as_str(), &outcome.why) {
                ("restored", _) => {}
                ("dropped", _) => self.sentences.push(format!(
                    "operator `{operator}`: store `{}` is not restored: the new plugin does not declare it",
                    outcome.store
                )),
                (_, why) => self.sentences.push(format!(
                    "operator `{operator}`: store `{}` is not restored: {}",
                    outcome.store,
                    why.as_deref().unwrap_or("the new plugin cannot read it")
                )),
            }
            self.stores.push(outcome);
        }
        for one in differences {
            let title = format!("{operator}: {} {}", text(one, "of"), text(one, "name"));
            let line =
                |sign: char, says: &Value| says.as_str().map(|says| format!("{sign}{} {says}", title.trim_end()));
            self.lines.extend(line('-', &one["old"]));
            self.lines.extend(line('+', &one["new"]));
        }
        Ok(())
    }

    fn gone(&mut self, operator: &str, said: &VerbSaid, what: &str) -> Result<()> {
        let Some(plugin) = said.value().filter(|_| said.code() == Some(0)) else {
            return Err(said.problem(what));
        };
        let stores = items(&plugin["stores"]);
        if stores.is_empty() && items(&plugin["timers"]).is_empty() {
            self.state = self.state.max(StateOutcome::Restored);
            return Ok(());
        }
        self.state = self.state.max(StateOutcome::Dropped);
        self.sentences.push(format!(
            "operator `{operator}` is gone, or has no plugin of the tenant's any more, and with it its state"
        ));
        let each = stores.iter().map(|store| StoreOutcome {
            operator: operator.to_owned(),
            store: text(store, "name"),
            fate: "dropped".to_owned(),
            why: None,
        });
        self.stores.extend(each);
        Ok(())
    }
}

fn items(of: &Value) -> &[Value] {
    of.as_array().map_or(&[], Vec::as_slice)
}

fn text(of: &Value, key: &str) -> String {
    of[key].as_str().unwrap_or_default().to_owned()
}
