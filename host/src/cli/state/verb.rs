//! `sandbar state`: what the operators of a pipeline keep, as of the last commit.

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::timers;
use crate::cli::granted;
use crate::cli::output::{Head, Output, TextTable};
use crate::clock;
use crate::config;
use crate::error::{Error, Kind, Result};
use crate::inspect::Rebuilt;
use crate::plugin::shown::{Shown, digits, hex, put, readable, text};
use crate::plugin::{Engine, StoreKind, TimerClock};
use crate::record::Column;
use crate::runtime;
use crate::state::{self, StoreId, View, store_id};

/// Entries that are read at once.
const PAGE: usize = 1000;

const SHOWN: &str = "Shown is the last committed state: of the tasks in this machine's state.dir, while the pipeline \
runs or after it, or with --stored of all tasks, built from the checkpoints. A task that moved to another process \
stays in state.dir as it was: --stored shows it as it is.\n\
Values, items and user keys are shown as what they are, if the store's codec and the plugin say it; else as 0x and hex \
digits, in JSON `value-hex`.\n\
Keys are those of records: text if they are UTF-8; else 0x and hex digits, in JSON `key-base64`.";

/// Arguments of `sandbar state`.
#[derive(Args, Debug)]
#[command(
    arg_required_else_help = true,
    after_help = "Example:\n  sandbar state count pipeline.toml"
)]
pub struct StateArgs {
    #[command(subcommand)]
    action: StateAction,
}

#[derive(Subcommand, Debug)]
enum StateAction {
    /// Get what a store keeps under a key
    #[command(after_help = format!("{SHOWN}\nExit code 1 if there is nothing under the key.\n\n\
        Example:\n  sandbar state get pipeline.toml count total alice"))]
    Get {
        #[command(flatten)]
        place: TaskPlace,
        /// The operator's name
        operator: String,
        /// The store's name, as `sandbar inspect` tells it
        store: String,
        /// The key
        key: String,
        /// The key is given in base64
        #[arg(long)]
        base64: bool,
    },
    /// List the entries of a store, task by task, in the order of their keys
    #[command(after_help = format!("{SHOWN}\n\n\
        Example:\n  sandbar state scan pipeline.toml count total --prefix a --limit 10"))]
    Scan {
        #[command(flatten)]
        place: TaskPlace,
        /// The operator's name
        operator: String,
        /// The store's name, as `sandbar inspect` tells it
        store: String,
        /// Only keys that begin with this
        #[arg(long, default_value = "")]
        prefix: String,
        /// At most this many entries
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// The prefix is given in base64
        #[arg(long)]
        base64: bool,
    },
    /// List the timers that are set, task by task, in the order in which they fire
    #[command(after_help = format!("{SHOWN}\n\n\
        Example:\n  sandbar state timers pipeline.toml count alice --limit 10"))]
    Timers {
        #[command(flatten)]
        place: TaskPlace,
        /// The operator's name
        operator: String,
        /// Only those of this key
        key: Option<String>,
        /// At most this many timers
        #[arg(long, value_name = "N", default_value_t = 100)]
        limit: usize,
        /// The key is given in base64
        #[arg(long)]
        base64: bool,
    },
    /// Count the entries of stores: a list is one, a map one an entry, and so is a timer
    #[command(after_help = format!("{SHOWN}\n\n\
        Examples:\n  sandbar state count pipeline.toml\n  sandbar state count pipeline.toml count total"))]
    Count {
        #[command(flatten)]
        place: TaskPlace,
        /// The operator's name; by default all of them
        operator: Option<String>,
        /// The store's name; by default all of the operator
        store: Option<String>,
    },
}

/// Whose state it is.
#[derive(Args, Debug)]
struct TaskPlace {
    /// The pipeline file
    pipeline: PathBuf,
    /// Override a key of the file, such as state.dir=/var/lib/state; may be given again
    #[arg(long = "set", value_name = "KEY=VALUE")]
    sets: Vec<String>,
    /// Ask Kafka what is committed and build it from the checkpoints, in a temporary folder
    #[arg(long)]
    stored: bool,
}

/// A store of an operator.
struct OperatorStore {
    operator: String,
    name: String,
    kind: StoreKind,
    id: StoreId,
    shown: Shown,
}

/// What is shown of a key.
struct ShownEntry {
    task: String,
    key: Vec<u8>,
    user_key: Option<Vec<u8>>,
    held: HeldTask,
}

enum HeldTask {
    Value(Vec<u8>),
    Items(Vec<Vec<u8>>),
}

impl StateArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        match self.action {
            StateAction::Get {
                place,
                operator,
                store,
                key,
                base64,
            } => {
                let bytes = bytes(&key, base64)?;
                place.with(|stores, views| {
                    let found = get(views, one(stores, &operator, &store)?, &bytes)?;
                    if found.is_empty() {
                        let what =
                            format!("store `{store}` of operator `{operator}` has nothing under the key `{key}`");
                        let why = format!("{} tasks were asked", views.len());
                        return Err(
                            Error::new(Kind::Failed, what, why).hint("--stored also asks the tasks of other processes")
                        );
                    }
                    show(one(stores, &operator, &store)?, &found, out)
                })
            }
            StateAction::Scan {
                place,
                operator,
                store,
                prefix,
                limit,
                base64,
            } => {
                let prefix = bytes(&prefix, base64)?;
                place.with(|stores, views| {
                    let store = one(stores, &operator, &store)?;
                    show(store, &scan(views, store, &prefix, limit)?, out)
                })
            }
            StateAction::Timers {
                place,
                operator,
                key,
                limit,
                base64,
            } => {
                let key = key.map(|key| bytes(&key, base64)).transpose()?;
                place.with(|stores, views| {
                    let stores = of_operator(stores, &operator)?;
                    let clocks = stores
                        .iter()
                        .filter_map(|store| Some((TimerClock::of_store(&store.name)?, store.id)));
                    timers::show(
                        views,
                        &operator,
                        &clocks.collect::<Vec<_>>(),
                        key.as_deref(),
                        limit,
                        out,
                    )
                })
            }
            StateAction::Count { place, operator, store } => place.with(|stores, views| {
                let chosen = match (&operator, &store) {
                    (Some(operator), Some(store)) => vec![one(stores, operator, store)?],
                    (Some(operator), None) => of_operator(stores, operator)?,
                    (None, _) => stores.iter().collect(),
                };
                count(views, &chosen, out)
            }),
        }
    }
}

impl TaskPlace {
    /// Does something with the stores that are declared and the tasks that are here, or that the checkpoints hold.
    fn with(self, act: impl FnOnce(&[OperatorStore], &[View]) -> Result<()>) -> Result<()> {
        let pipeline = granted::load(&self.pipeline, &self.sets)?;
        let stores = declared(&pipeline)?;
        let here = match self.stored {
            true => Vec::new(),
            false => state::look(&pipeline.state_dir)?,
        };
        if !here.is_empty() {
            return act(&stores, &here);
        }
        if pipeline.checkpoint.is_none() {
            let what = format!("there is no state of pipeline `{}` here", pipeline.name);
            let why = format!(
                "{} holds no task, and the file has no [checkpoint]",
                pipeline.state_dir.display()
            );
            return Err(Error::new(Kind::Corrupt, what, why)
                .hint("ask on the machine where it runs, or name its folder with --set state.dir=…"));
        }
        let folder = Temporary(std::env::temp_dir().join(format!("sandbar-state-{:016x}", clock::random())));
        let rebuilt = Rebuilt::build(&pipeline, &folder.0)?;
        act(&stores, &rebuilt.views())
    }
}

/// Shows all that a running pipeline keeps of a key, store by store.
///
/// # Errors
/// `Failed`: it keeps nothing of it, or its state cannot be read.
pub(in crate::cli) fn show_key(pipeline: &config::Pipeline, key: &str, out: &Output) -> Result<()> {
    let views = state::look(&pipeline.state_dir)?;
    let mut is_known = false;
    for store in &declared(pipeline)? {
        let found = get(&views, store, key.as_bytes())?;
        if !found.is_empty() && TimerClock::of_store(&store.name).is_none() {
            is_known = true;
            if !out.is_json() {
                out.line(&format!("{}, store {}", store.operator, store.name))?;
            }
            show(store, &found, out)?;
        }
    }
    match is_known {
        true => Ok(()),
        false => Err(Error::new(
            Kind::Failed,
            format!("nothing is kept of the key `{key}`"),
            "no store has it",
        )),
    }
}

/// A folder that goes when it is not needed any more.
struct Temporary(PathBuf);

impl Drop for Temporary {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            tracing::debug!(folder = %self.0.display(), %error, "a temporary folder stays");
        }
    }
}

fn declared(pipeline: &config::Pipeline) -> Result<Vec<OperatorStore>> {
    let engine = Engine::of(pipeline)?;
    let (plugins, _routes) = runtime::load(&engine, pipeline)?;
    let each = pipeline.operators.iter().zip(&plugins).flat_map(|(operator, plugin)| {
        let said = plugin.state_schemas().iter().map(String::as_str);
        let said = said.chain(std::iter::repeat(""));
        let kept = plugin.description().kept().into_iter().zip(said);
        kept.map(|(store, said)| OperatorStore {
            operator: operator.name.clone(),
            id: store_id(&operator.name, &store.name),
            shown: Shown::new(&store.codec, said),
            name: store.name,
            kind: store.kind,
        })
    });
    Ok(each.collect())
}

fn one<'a>(stores: &'a [OperatorStore], operator: &str, name: &str) -> Result<&'a OperatorStore> {
    let of_operator = of_operator(stores, operator)?;
    let found = of_operator.iter().find(|store| store.name == name).copied();
    found.ok_or_else(|| {
        let known: Vec<&str> = of_operator.iter().map(|store| store.name.as_str()).collect();
        let what = format!("operator `{operator}` has no store `{name}`");
        Error::new(Kind::Usage, what, format!("its stores are {}", known.join(", ")))
    })
}

fn of_operator<'a>(stores: &'a [OperatorStore], operator: &str) -> Result<Vec<&'a OperatorStore>> {
    let found: Vec<&OperatorStore> = stores.iter().filter(|store| store.operator == operator).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let mut known: Vec<&str> = stores.iter().map(|store| store.operator.as_str()).collect();
    known.dedup();
    let why = match known.is_empty() {
        true => "no operator of this pipeline keeps state".to_owned(),
        false => format!("operators with state are {}", known.join(", ")),
    };
    Err(Error::new(
        Kind::Usage,
        format!("there is no state of an operator `{operator}`"),
        why,
    ))
}

fn bytes(text: &str, base64: bool) -> Result<Vec<u8>> {
    if !base64 {
        return Ok(text.as_bytes().to_vec());
    }
    (BASE64.decode(text)).map_err(|why| Error::new(Kind::Usage, format!("`{text}` is not base64"), why))
}

fn get(views: &[View], store: &OperatorStore, key: &[u8]) -> Result<Vec<ShownEntry>> {
    let mut found = Vec::new();
    for view in views {
        match store.kind {
            StoreKind::Map => map(view, store, key, &mut found)?,
            StoreKind::Value | StoreKind::List => {
                if let Some(value) = view.value(store.id, key)? {
                    found.push(entry(view, store, key, &value)?);
                }
            }
        }
    }
    Ok(found)
}

/// All entries of a map under a key.
fn map(view: &View, store: &OperatorStore, key: &[u8], found: &mut Vec<ShownEntry>) -> Result<()> {
    let (mut user_keys, mut values) = (Column::default(), Column::default());
    let mut after: Option<Vec<u8>> = None;
    loop {
        let page = (&mut user_keys, &mut values);
        let more = view.entries(store.id, key, after.as_deref(), PAGE, page)?;
        for (user_key, value) in user_keys.iter().zip(values.iter()) {
            after = user_key.map(<[u8]>::to_vec);
            found.push(ShownEntry {
                task: view.task().to_owned(),
                key: key.to_vec(),
                user_key: after.clone(),
                held: HeldTask::Value(value.unwrap_or_default().to_vec()),
            });
        }
        if !more {
            return Ok(());
        }
    }
}

fn scan(views: &[View], store: &OperatorStore, prefix: &[u8], limit: usize) -> Result<Vec<ShownEntry>> {
    let mut found = Vec::new();
    let (mut keys, mut values) = (Column::default(), Column::default());
    for view in views {
        let mut after: Option<Vec<u8>> = None;
        let mut more = true;
        while more && found.len() < limit {
            more = view.scan(store.id, after.as_deref(), PAGE, (&mut keys, &mut values))?;
            for (own, value) in keys.iter().zip(values.iter()) {
                let own = own.unwrap_or_default();
                let entry = entry(view, store, own, value.unwrap_or_default())?;
                if entry.key.starts_with(prefix) && found.len() < limit {
                    found.push(entry);
                }
                after = Some(own.to_vec());
            }
        }
    }
    Ok(found)
}

/// What stands under a store's own key.
fn entry(view: &View, store: &OperatorStore, own: &[u8], value: &[u8]) -> Result<ShownEntry> {
    let damaged = || {
        let what = format!(
            "an entry of store `{}` in task `{}` is damaged",
            store.name,
            view.task()
        );
        Error::new(Kind::Corrupt, what, "its lengths do not agree").hint("--stored shows what the checkpoints hold")
    };
    let (key, user_key) = match store.kind {
        StoreKind::Map => View::split(own)
            .map(|(key, user)| (key, Some(user.to_vec())))
            .ok_or_else(damaged)?,
        StoreKind::Value | StoreKind::List => (own, None),
    };
    let held = match store.kind {
        StoreKind::List => {
            let mut items = Column::default();
            View::frames(value, &mut items).ok_or_else(damaged)?;
            HeldTask::Items(items.iter().map(|item| item.unwrap_or_default().to_vec()).collect())
        }
        StoreKind::Value | StoreKind::Map => HeldTask::Value(value.to_vec()),
    };
    Ok(ShownEntry {
        task: view.task().to_owned(),
        key: key.to_vec(),
        user_key,
        held,
    })
}

fn show(store: &OperatorStore, entries: &[ShownEntry], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("task"),
        Head::Text("key"),
        Head::Text("user key"),
        Head::Text("value"),
    ]);
    for entry in entries {
        let or_hex = |shown: Option<Value>, bytes: &[u8]| shown.map_or_else(|| digits(bytes), |shown| text(&shown));
        let user_key = |bytes: &Vec<u8>| or_hex(store.shown.user_key(bytes), bytes);
        let value = |bytes: &Vec<u8>| or_hex(store.shown.value(bytes), bytes);
        let user_key = entry.user_key.as_ref().map_or_else(|| "-".to_owned(), user_key);
        let value = match &entry.held {
            HeldTask::Value(held) => value(held),
            HeldTask::Items(items) => format!("[{}]", items.iter().map(value).collect::<Vec<_>>().join(", ")),
        };
        table.row([entry.task.clone(), readable(&entry.key), user_key, value]);
    }
    out.rows(&entries.iter().map(|entry| entry_json(store, entry)).collect(), &table)
}

fn entry_json(store: &OperatorStore, entry: &ShownEntry) -> Value {
    let mut object = Map::new();
    object.insert("task".into(), json!(entry.task));
    put(&mut object, "key", &entry.key);
    if let Some(user_key) = &entry.user_key {
        put_shown(&mut object, "user-key", store.shown.user_key(user_key), user_key);
    }
    match &entry.held {
        HeldTask::Value(value) => put_shown(&mut object, "value", store.shown.value(value), value),
        HeldTask::Items(items) => {
            let items = items.iter().map(|item| {
                let shown = store.shown.value(item);
                shown.unwrap_or_else(|| json!({ "hex": hex(item) }))
            });
            object.insert("items".into(), items.collect());
        }
    }
    Value::Object(object)
}

/// What is known of bytes, or the bytes in hex under a name that says so.
fn put_shown(object: &mut Map<String, Value>, name: &str, shown: Option<Value>, bytes: &[u8]) {
    match shown {
        Some(value) => object.insert(name.to_owned(), value),
        None => object.insert(format!("{name}-hex"), json!(hex(bytes))),
    };
}

fn count(views: &[View], stores: &[&OperatorStore], out: &Output) -> Result<()> {
    let mut table = TextTable::new(&[
        Head::Text("operator"),
        Head::Text("store"),
        Head::Text("kind"),
        Head::Text("task"),
        Head::Number("entries"),
    ]);
    let mut values = Vec::new();
    for store in stores {
        for view in views {
            let entries = view.count(store.id)?;
            table.row([
                store.operator.clone(),
                store.name.clone(),
                store.kind.to_string(),
                view.task().to_owned(),
                entries.to_string(),
            ]);
            values.push(json!({
                "operator": store.operator, "store": store.name, "kind": store.kind.as_str(), "task": view.task(),
                "entries": entries,
            }));
        }
    }
    out.rows(&Value::Array(values), &table)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(codec: &str, said: &str) -> OperatorStore {
        OperatorStore {
            operator: "op".to_owned(),
            name: "store".to_owned(),
            kind: StoreKind::Value,
            id: store_id("op", "store"),
            shown: Shown::new(codec, said),
        }
    }

    #[test]
    fn what_is_known_is_shown_and_the_rest_is_hex() {
        let entry = |key: &[u8], held| ShownEntry {
            task: "in/0".into(),
            key: key.to_vec(),
            user_key: None,
            held,
        };
        let count = store("postcard", r#"{"value":"u64"}"#);
        assert_eq!(
            entry_json(&count, &entry(b"k", HeldTask::Value(b">".to_vec()))),
            json!({ "task": "in/0", "key": "k", "value": 62 })
        );
        assert_eq!(
            entry_json(&store("raw", ""), &entry(b"\xff", HeldTask::Value(b">".to_vec()))),
            json!({ "task": "in/0", "key-base64": "/w==", "value-hex": "3e" })
        );
        let items = HeldTask::Items(vec![b"\x01".to_vec(), b"\x80".to_vec()]);
        assert_eq!(
            entry_json(&count, &entry(b"k", items)),
            json!({ "task": "in/0", "key": "k", "items": [1, { "hex": "80" }] })
        );
    }

    #[test]
    fn keys_that_are_no_text_are_told_apart() {
        assert_eq!(
            (readable(b"text"), readable(b"\x05\xff")),
            ("text".to_owned(), "0x05ff".to_owned())
        );
        assert_eq!(bytes("/w==", true).unwrap(), b"\xff");
        assert_eq!(bytes("!", true).unwrap_err().kind, Kind::Usage);
    }
}
