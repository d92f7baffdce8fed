//! What the pipeline file of a tenant may say, and what is set over it.
//!
//! Always: nothing in it reaches a file of the machine, another tenant's group or state, or a program. What is not
//! known here is refused later, by `sandbar check`, which knows every key.

use std::collections::BTreeMap;
use std::path::PathBuf;

use toml::{Table, Value};

use crate::names::{Digest, Name};
use crate::problem::{Problem, ProblemKind, Result};

/// Letters of a pipeline's whole name, tenant and all, at most: what `name` of a pipeline file takes.
const WHOLE_NAME: usize = 64;
/// Properties of librdkafka that reach files, programs or the log of the machine, or that are the host's.
const REFUSED_PROPERTIES: [&str; 10] = [
    "plugin.",
    "test.",
    "debug",
    "log",
    "ssl.engine",
    "sasl.kerberos.",
    "interceptor",
    "statistics",
    "enable.ssl.",
    "https.ca",
];

/// What the groups begin with that pipelines have by default: of all tenants.
const DEFAULT_GROUPS: &str = "sandbar";

/// A pipeline's name among those of all tenants: neither name has two hyphens in a row.
pub(crate) fn whole_name(tenant: &Name, name: &Name) -> String {
    format!("{tenant}--{name}")
}

/// What is set over a tenant's pipeline file, `KEY=VALUE` each; or why it cannot be run. `path` is where a plugin lies.
pub(crate) fn confine<'a>(
    tenant: &Name,
    name: &Name,
    file: &str,
    plugins: &'a BTreeMap<String, Digest>,
    path: impl Fn(&'a Digest) -> PathBuf,
) -> Result<Vec<String>> {
    let refused = |why: String| {
        Problem::new(
            ProblemKind::Invalid,
            format!("failed to take pipeline `{name}` of tenant `{tenant}`"),
            why,
        )
    };
    let whole = whole_name(tenant, name);
    if whole.len() > WHOLE_NAME {
        let why = format!("`{whole}` has {} characters; {WHOLE_NAME} are the most", whole.len());
        return Err(refused(why));
    }
    // A key that begins with `$` becomes a date in the table, and is nobody's.
    if file.contains("$__toml") {
        return Err(refused("it has a key that is not a pipeline file's".to_owned()));
    }
    // The message alone: the line may have a secret.
    let no_toml = |why: toml::de::Error| refused(format!("its file is no TOML: {}", why.message()));
    let table: Table = file.parse().map_err(no_toml)?;
    tables_are_tables(&table).map_err(refused)?;
    look(&table, tenant, plugins).map_err(refused)?;
    let mut sets = vec![format!("name={whole}"), "state.dir=state".to_owned()];
    for (operator, digest) in plugins {
        sets.push(format!("operator.{operator}.plugin={}", path(digest).display()));
    }
    Ok(sets)
}

/// What is read here as a table is one, wherever `sandbar check` would read one: nothing hides behind
/// another form. Keys that TOML's own library gives a meaning are nobody's.
fn tables_are_tables(file: &Table) -> std::result::Result<(), String> {
    let no_table = |place: &str| Err(format!("{place} is no table"));
    for name in [
        "source",
        "sink",
        "operator",
        "kafka",
        "checkpoint",
        "state",
        "dead-letters",
    ] {
        let Some(value) = file.get(name) else { continue };
        let Some(table) = value.as_table() else {
            return no_table(name);
        };
        let is_of_parts = matches!(name, "source" | "sink" | "operator");
        for (key, value) in table {
            let place = format!("{name}.{key}");
            let is_to_be_a_table = is_of_parts || matches!(key.as_str(), "kafka" | "properties");
            let Some(part) = value.as_table() else {
                match is_to_be_a_table {
                    true => return no_table(&place),
                    false => continue,
                }
            };
            let settings = [part.get("kafka"), part.get("properties"), part.get("limits")];
            let properties = part.get("kafka").and_then(|kafka| kafka.get("properties"));
            for value in settings.into_iter().chain([properties]).flatten() {
                if !value.is_table() {
                    return no_table(&format!("what stands in {place}"));
                }
            }
        }
    }
    no_private_keys(&Value::Table(file.clone()))
}

fn no_private_keys(value: &Value) -> std::result::Result<(), String> {
    match value {
        Value::Table(table) => table.iter().try_for_each(|(key, value)| match key.starts_with('$') {
            true => Err(format!("the key {key:?} is not a pipeline file's")),
            false => no_private_keys(value),
        }),
        Value::Array(values) => values.iter().try_for_each(no_private_keys),
        _ => Ok(()),
    }
}

fn look(file: &Table, tenant: &Name, plugins: &BTreeMap<String, Digest>) -> std::result::Result<(), String> {
    for (place, table) in parts(file, "source")
        .chain(parts(file, "sink"))
        .chain(part(file, "dead-letters"))
    {
        if table.contains_key("file") {
            return Err(format!("{place} has a file: pipelines of tenants read and write Kafka"));
        }
        kafka(&format!("{place}.kafka"), table.get("kafka"))?;
    }
    for (place, source) in parts(file, "source") {
        let group = source.get("group").and_then(Value::as_str);
        let is_own = |group: &str| group.starts_with(&format!("{tenant}.")) && tenant.as_str() != DEFAULT_GROUPS;
        if group.is_some_and(|group| !is_own(group)) || source.get("group").is_some_and(|group| !group.is_str()) {
            return Err(format!(
                "{place}.group is not the tenant's: it has to begin with `{tenant}.`"
            ));
        }
        for key in ["start", "stop"] {
            let of = source.get(key).and_then(Value::as_table);
            if of.is_some_and(|of| of.contains_key("file")) {
                return Err(format!(
                    "{place}.{key} names a file of the machine; write the offsets into it"
                ));
            }
        }
    }
    kafka("kafka", file.get("kafka"))?;
    for key in ["store", "properties"] {
        let checkpoint = file.get("checkpoint").and_then(Value::as_table);
        if checkpoint.is_some_and(|checkpoint| checkpoint.contains_key(key)) {
            return Err(format!("checkpoint.{key} is the daemon's: leave it out"));
        }
    }
    let is_set = |key: &str| part(file, "state").any(|(_, state)| state.contains_key(key));
    if is_set("dir") {
        return Err("state.dir is the daemon's: leave it out".to_owned());
    }
    operators(file, plugins)
}

/// Each operator has a plugin that was pushed, or one that comes with Sandbar.
fn operators(file: &Table, plugins: &BTreeMap<String, Digest>) -> std::result::Result<(), String> {
    let known: Vec<_> = parts(file, "operator").map(|(place, _)| place).collect();
    for operator in plugins.keys() {
        operator.parse::<Name>().map_err(|why| format!("operator: {why}"))?;
        if !known.contains(&format!("operator.{operator}")) {
            return Err(format!(
                "a plugin was given for operator `{operator}`, which the file does not have"
            ));
        }
    }
    for (place, operator) in parts(file, "operator") {
        let plugin = operator.get("plugin").and_then(Value::as_str).unwrap_or_default();
        let is_pushed = plugins.keys().any(|name| place == format!("operator.{name}"));
        if !is_pushed && plugin.contains(['/', '.']) {
            return Err(format!("{place}.plugin is a file, and no plugin was pushed for it"));
        }
    }
    Ok(())
}

/// The settings of a cluster.
fn kafka(place: &str, kafka: Option<&Value>) -> std::result::Result<(), String> {
    let properties = kafka
        .and_then(|kafka| kafka.get("properties"))
        .and_then(Value::as_table);
    for (name, value) in properties.into_iter().flatten() {
        if value.is_table() {
            return Err(format!(
                "{place}.properties.{name} takes its value from the machine; secrets of tenants are not built yet"
            ));
        }
        let is_refused = REFUSED_PROPERTIES.iter().any(|begin| name.starts_with(begin)) || name.ends_with(".location");
        if is_refused {
            return Err(format!(
                "{place}.properties.{name} reaches files or programs of the machine"
            ));
        }
    }
    Ok(())
}

/// The tables below a table, each with its place.
fn parts<'a>(file: &'a Table, of: &'a str) -> impl Iterator<Item = (String, &'a Table)> {
    let all = file.get(of).and_then(Value::as_table).into_iter().flatten();
    all.filter_map(move |(name, value)| Some((format!("{of}.{name}"), value.as_table()?)))
}

/// A table, if it is there.
fn part<'a>(file: &'a Table, name: &'a str) -> impl Iterator<Item = (String, &'a Table)> {
    file.get(name)
        .and_then(Value::as_table)
        .map(|table| (name.to_owned(), table))
        .into_iter()
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"
name = "views"
kafka.brokers = "127.0.0.1:9092"
source.in.topics = ["views"]
[operator.count]
plugin = "count.wasm"
inputs = ["in"]
[operator.window]
plugin = "window"
inputs = ["count"]
[sink.out]
from = ["window"]
topic = "out"
[checkpoint]
interval = "1s"
"#;

    fn confined(file: &str) -> Result<Vec<String>> {
        let (tenant, name) = ("team".parse().unwrap(), "views".parse().unwrap());
        let plugins = BTreeMap::from([("count".to_owned(), Digest::of_hash(&[7; 32]))]);
        confine(&tenant, &name, file, &plugins, |digest| {
            format!("/d/{}.wasm", &digest.hex()[..4]).into()
        })
    }

    #[test]
    fn what_a_tenant_needs_is_taken_and_what_is_the_daemons_is_set() {
        let sets = confined(FILE).unwrap();
        assert_eq!(
            sets,
            [
                "name=team--views",
                "state.dir=state",
                "operator.count.plugin=/d/0707.wasm"
            ]
        );
        assert!(confined(&FILE.replace("source.in.topics", "source.in.group = \"team.x\"\nsource.in.topics")).is_ok());
    }

    #[test]
    fn whatever_reaches_the_machine_or_another_tenant_is_refused_by_name() {
        for (line, word) in [
            ("source.two.file = \"/etc/passwd\"", "source.two has a file"),
            ("sink.two.file = \"/etc/passwd\"", "sink.two has a file"),
            ("dead-letters.file = \"x\"", "dead-letters has a file"),
            ("source.in.group = \"sandbar.other--views\"", "source.in.group"),
            ("source.in.group = \"teamx.a\"", "source.in.group"),
            ("source.in.start.file = \"/etc/passwd\"", "source.in.start"),
            ("source.in.stop = { file = \"x\" }", "source.in.stop"),
            (
                "kafka.properties.\"sasl.password\" = { file = \"/etc/shadow\" }",
                "sasl.password",
            ),
            (
                "kafka.properties.\"sasl.oauthbearer.token\" = { command = [\"sh\"] }",
                "sasl.oauthbearer.token",
            ),
            (
                "kafka.properties.\"plugin.library.paths\" = \"x.so\"",
                "plugin.library.paths",
            ),
            ("kafka.properties.\"ssl.ca.location\" = \"/root\"", "ssl.ca.location"),
            (
                "source.in.kafka.properties.debug = \"all\"",
                "source.in.kafka.properties.debug",
            ),
            (
                "sink.out.kafka.properties.\"ssl.key.location\" = \"k\"",
                "sink.out.kafka",
            ),
            ("checkpoint.store = \"s3://other/x\"", "checkpoint.store"),
            ("checkpoint.properties.region = \"x\"", "checkpoint.properties"),
            ("state.dir = \"/tmp\"", "state.dir"),
            ("operator.two.plugin = \"../x.wasm\"", "operator.two.plugin"),
            ("operator.two.plugin = \"a.wasm\"", "operator.two.plugin"),
        ] {
            let key = line.split(['.', ' ']).next().unwrap();
            // In front of the tables, so that it is a key of the whole file; the file's own of the same name goes.
            let rest: String = match key {
                "checkpoint" => FILE.split("[checkpoint]").next().unwrap().to_owned(),
                "sink" => FILE.replace("[sink.out]\nfrom = [\"window\"]\ntopic = \"out\"\n", ""),
                "operator" => FILE
                    .replace("[operator.window]\nplugin = \"window\"\ninputs = [\"count\"]\n", "")
                    .replace("[operator.count]\n", "")
                    .replace(
                        "plugin = \"count.wasm\"\ninputs = [\"in\"]\n",
                        "operator.count.plugin = \"count.wasm\"\n",
                    ),
                _ => FILE.to_owned(),
            };
            let problem = confined(&format!("{line}\n{rest}")).unwrap_err();
            assert!(problem.why.contains(word), "{line}: {problem}");
        }
    }

    /// A file with something in the place of something that it has, and what is said of it.
    fn said_with(from: &str, to: &str) -> String {
        assert!(FILE.contains(from), "{from}");
        confined(&FILE.replacen(from, to, 1)).unwrap_err().why
    }

    /// A reader that takes a list for a table, field by field, must not find there what is not found here.
    #[test]
    fn nothing_hides_in_a_list_that_is_read_as_a_table() {
        let of_kafka = r#"kafka = ["h:9", { p = { file = "/etc/shadow" } }]"#;
        assert!(said_with("kafka.brokers = \"127.0.0.1:9092\"", of_kafka).contains("kafka is no table"));
        let (name, topics) = ("name =", "source.in.topics");
        for (from, line, word) in [
            (name, "kafka.properties = [1]", "kafka.properties is no table"),
            (name, "dead-letters = [\"/etc/x\"]", "dead-letters is no table"),
            (name, "state = [\"/etc/x\"]", "state is no table"),
            (
                topics,
                "source.in.kafka = [\"h:9\", { p = { file = \"/x\" } }]",
                "source.in",
            ),
            (topics, "source.in.kafka.properties = [1]", "source.in"),
            (topics, "source.two = [[\"views\"]]", "source.two is no table"),
            (topics, "source.in.group = [\"sandbar.a--b\"]", "source.in.group"),
            (topics, "sink.two = [[\"in\"], \"/etc/x\"]", "sink.two is no table"),
        ] {
            let said = said_with(from, &format!("{line}\n{from}"));
            assert!(said.contains(word), "{line}: {said}");
        }
        let window = "[operator.window]\nplugin = \"window\"\ninputs = [\"count\"]";
        let list = "[operator]\nwindow = [\"/etc/hostname\", [\"count\"]]";
        assert!(said_with(window, list).contains("operator.window is no table"));
        let without = FILE.replace("[checkpoint]\ninterval = \"1s\"", "");
        let listed = without.replacen(name, "checkpoint = [\"1s\", \"/x\"]\nname =", 1);
        assert!(confined(&without).is_ok());
        assert!(confined(&listed).unwrap_err().why.contains("checkpoint is no table"));
    }

    /// TOML's own library takes a table with a key of its own for a date.
    #[test]
    fn nothing_hides_behind_a_key_that_means_something_to_the_reader_of_toml() {
        for key in ["$__toml_private_datetime", "$x"] {
            let line = format!("kafka.properties.\"{key}\" = {{ file = \"/etc/shadow\" }}\nname =");
            assert!(said_with("name =", &line).contains("not a pipeline file's"), "{key}");
        }
    }

    #[test]
    fn a_tenant_that_is_called_as_the_default_groups_begin_has_no_group_of_its_own() {
        let (tenant, name) = ("sandbar".parse().unwrap(), "views".parse().unwrap());
        let file = FILE.replace(
            "source.in.topics",
            "source.in.group = \"sandbar.team--views\"\nsource.in.topics",
        );
        let plugins = BTreeMap::from([("count".to_owned(), Digest::of_hash(&[7; 32]))]);
        assert!(confine(&tenant, &name, &file, &plugins, |_| "/".into()).is_err());
    }

    #[test]
    fn a_plugin_for_nothing_and_a_name_that_is_too_long_are_told() {
        assert!(
            confined(&FILE.replace("operator.count", "operator.other"))
                .unwrap_err()
                .why
                .contains("`count`")
        );
        let long: Name = "x".repeat(60).parse().unwrap();
        let problem = confine(&long, &"views".parse().unwrap(), FILE, &BTreeMap::new(), |_| "/".into()).unwrap_err();
        assert!(problem.why.contains("64 are the most"), "{problem}");
        assert!(confined("a = ").unwrap_err().why.contains("no TOML"));
    }
}
