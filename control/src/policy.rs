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
const REFUSED_PROPERTIES: [&str; 9] = [
    "plugin.",
    "debug",
    "log",
    "ssl.engine",
    "sasl.kerberos.",
    "interceptor",
    "statistics",
    "enable.ssl.",
    "https.ca",
];

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
    let table: Table = file
        .parse()
        .map_err(|why: toml::de::Error| refused(format!("its file is no TOML: {}", why.to_string().trim_end())))?;
    look(&table, tenant, plugins).map_err(refused)?;
    let mut sets = vec![format!("name={whole}"), "state.dir=state".to_owned()];
    for (operator, digest) in plugins {
        sets.push(format!("operator.{operator}.plugin={}", path(digest).display()));
    }
    Ok(sets)
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
        if group.is_some_and(|group| !group.starts_with(&format!("{tenant}."))) {
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
