//! `sandbar upgrade` and `sandbar rollback`: a new version that takes over from the one that runs, and the way back.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use sandbar_control::client::{
    Application, Connection, PluginSource, Registries, RollbackRequest, UpgradePlan, UpgradeRequest,
};
use sandbar_control::{Digest, Name, StateOutcome};
use serde_json::{Value, json};

use super::canary;
use crate::cli::cluster::pair;
use crate::cli::control::daemon::{InTenant, plain};
use crate::cli::output::Output;
use crate::error::{Error, Kind, Result};
use crate::spec;

/// Arguments of `sandbar upgrade`.
#[derive(Args, Debug)]
#[command(
    after_help = "The difference is told, and the new version is checked; then its process takes the place of the one \
        that runs, after a savepoint of what that one committed. If the new plugins have the same state it goes on at \
        the last commit; else it begins from the savepoint. State that does not fit is refused.\n\n\
        Within --watch the version before comes back by itself, from the savepoint, if the new one's process fails, is \
        restarted twice, or falls behind: its lag is larger than before, and grew in three looks in a row, ten seconds \
        apart. `sandbar status` says until when it is watched, and what was taken back and why. What the new version \
        had put out stays in its topics, with exactly-once too. The verb does not wait for the end of the watch.\n\n\
        With --canary the version before runs on, and records are gathered for so long. Then both versions run on \
        them, beside it and with the same state to begin with; what they put out is kept back, and compared key by \
        key. If nothing differs the new version takes over. If something does, it waits for --promote or --drop for \
        an hour, and the exit code is 8. If it traps, or falls behind, it is dropped. The verb waits for the \
        comparison; the canary goes on without it.\n\n\
        Examples:\n  sandbar upgrade page-views --plugin count=count.wasm\n  \
        sandbar upgrade page-views --plugin count=count.wasm --dry-run\n  \
        sandbar upgrade page-views --file pipeline.toml --watch 10m\n  \
        sandbar upgrade page-views --plugin count=count.wasm --canary 5m\n  \
        sandbar upgrade page-views --promote"
)]
pub struct UpgradeArgs {
    /// The pipeline's name
    name: Name,
    /// The operator, and the file or digest of its new plugin; may be given again
    #[arg(
        long = "plugin",
        value_name = "OPERATOR=FILE|oci://…|DIGEST",
        required_unless_present_any = ["file", "promote", "drop"],
        value_parser = pair
    )]
    plugins: Vec<(String, String)>,
    /// A new pipeline file besides; the plugins that it names are pushed, but those given with --plugin
    #[arg(long, value_name = "PIPELINE")]
    file: Option<PathBuf>,
    /// Go back to the version before if the new one fails or lags within this time; 0 for never
    #[arg(long, value_name = "DURATION", default_value = "2m", value_parser = duration)]
    watch: Duration,
    /// Gather records for so long before, and compare what both versions make of them
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    canary: Option<Duration>,
    /// Start the new version of a canary although it differs
    #[arg(long, conflicts_with_all = ["plugins", "file", "canary", "dry_run", "drop"])]
    promote: bool,
    /// End a canary: the version before runs on
    #[arg(long, conflicts_with_all = ["plugins", "file", "canary", "dry_run"])]
    drop: bool,
    /// Begin although the new plugins do not declare some of the state; that state is dropped
    #[arg(long)]
    allow_dropped_state: bool,
    /// Tell what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: InTenant,
}

/// Arguments of `sandbar rollback`.
#[derive(Args, Debug)]
#[command(
    after_help = "Makes a new version with the file and plugins of the one before, or of --to. It goes on at the last \
        commit; but if it undoes the newest upgrade, and that changed the state, it begins from the savepoint that the \
        upgrade took: what was read since is read again, and what was put out since stays. --dry-run says which.\n\n\
        Examples:\n  sandbar rollback page-views --dry-run\n  sandbar rollback page-views\n  \
        sandbar rollback page-views --to 3"
)]
pub struct RollbackArgs {
    /// The pipeline's name
    name: Name,
    /// The version to go back to; by default the newest that differs from the current one and was not taken back
    #[arg(long, value_name = "VERSION")]
    to: Option<i64>,
    /// Begin although the version does not declare some of the state; that state is dropped
    #[arg(long)]
    allow_dropped_state: bool,
    /// Tell what would happen, and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    place: InTenant,
}

fn duration(text: &str) -> Result<Duration, String> {
    let none = (text == "0").then_some(Duration::ZERO);
    none.or_else(|| spec::duration(text))
        .ok_or_else(|| "a duration is a number with ms, s, m, h or d, such as 5m".to_owned())
}

/// Whole seconds; a part of one counts as one.
fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl UpgradeArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        if self.promote || self.drop {
            let (connection, tenant) = self.place.connect()?;
            let decided = match self.promote {
                true => connection.promote(&tenant, &self.name)?,
                false => connection.drop_canary(&tenant, &self.name)?,
            };
            return canary::tell(&decided, out);
        }
        // A file that is wrong is told before anybody is asked.
        let application = self.file.as_deref().map(Application::read).transpose()?;
        if let Some(application) = application.as_ref().filter(|read| read.name != self.name) {
            let what = format!("failed to upgrade {}", self.name);
            let why = format!("the file is of pipeline `{}`", application.name);
            return Err(Error::new(Kind::Usage, what, why));
        }
        let (connection, tenant) = self.place.connect()?;
        let asked = UpgradeRequest {
            plugins: plugins(&connection, &tenant, application.as_ref(), &self.plugins)?,
            file: application.map(|application| application.file),
            watch_seconds: Some(seconds(self.watch)),
            canary_seconds: self.canary.map(seconds),
            allow_dropped_state: self.allow_dropped_state,
            dry_run: self.dry_run,
        };
        let plan = connection.upgrade(&tenant, &self.name, &asked)?;
        tell("upgrade", (&tenant, &self.name), &plan, self.dry_run, out)?;
        match plan.canary_seconds.is_some() && plan.is_changed && !self.dry_run {
            true => canary::follow(&connection, (&tenant, &self.name), out),
            false => Ok(()),
        }
    }
}

impl RollbackArgs {
    pub(in crate::cli) fn run(self, out: &Output) -> Result<()> {
        let (connection, tenant) = self.place.connect()?;
        let asked = RollbackRequest {
            to: self.to,
            allow_dropped_state: self.allow_dropped_state,
            dry_run: self.dry_run,
        };
        let plan = connection.roll_back(&tenant, &self.name, &asked)?;
        tell("rollback", (&tenant, &self.name), &plan, self.dry_run, out)
    }
}

/// Pushes what `OPERATOR=…` names: a file, or what a registry has.
fn push(connection: &Connection, tenant: &Name, text: &str) -> Result<Digest> {
    let source = PluginSource::read(text, Path::new(""))?;
    Ok(connection.push_from(tenant, &source, None, &Registries::of_process())?)
}

/// The plugin of each operator that is named: those of the file, unless they are given, and those that are given.
fn plugins(
    connection: &Connection,
    tenant: &Name,
    application: Option<&Application>,
    given: &[(String, String)],
) -> Result<BTreeMap<String, Digest>> {
    let mut plugins = BTreeMap::new();
    if let Some(application) = application {
        let mut of_file = application.clone();
        of_file
            .plugins
            .retain(|operator, _| !given.iter().any(|(named, _)| named == operator));
        plugins = connection.push_all(tenant, &of_file, &Registries::of_process())?;
    }
    for (operator, text) in given {
        let digest = match text.parse::<Digest>() {
            Ok(digest) => digest,
            Err(_) => push(connection, tenant, text)?,
        };
        plugins.insert(operator.clone(), digest);
    }
    Ok(plugins)
}

fn tell(verb: &str, (tenant, name): (&Name, &Name), plan: &UpgradePlan, dry_run: bool, out: &Output) -> Result<()> {
    let mut told = json!(plan);
    if let Value::Object(told) = &mut told {
        told.insert("tenant".to_owned(), json!(tenant));
        told.insert("name".to_owned(), json!(name));
        told.insert("dry-run".to_owned(), json!(dry_run));
    }
    out.show(&told, || sentences(verb, (tenant, name), plan, dry_run))
}

fn sentences(verb: &str, (tenant, name): (&Name, &Name), plan: &UpgradePlan, dry_run: bool) -> String {
    let version = plan.version;
    if !plan.is_changed {
        return format!("{name} of {tenant} is so already, since version {version}");
    }
    let mut lines = vec![match dry_run {
        true => format!("{verb} of {name} of {tenant} would make version {version}"),
        false => format!("{verb} of {name} of {tenant} makes version {version}"),
    }];
    lines.extend(plan.difference.iter().map(|line| plain(line)));
    lines.push(format!(
        "state: {}; it begins {}",
        of_state(plan.state),
        plain(&plan.begins)
    ));
    for store in plan.stores.iter().filter(|store| store.fate != "restored") {
        let why = store.why.as_deref().map(|why| format!(": {why}")).unwrap_or_default();
        let text = format!("  {} of {} is {}{why}", store.store, store.operator, store.fate);
        lines.push(plain(&text));
    }
    if let Some(overtaken) = plan.overtaken {
        lines.push(format!("the upgrade to version {overtaken} is not watched any more"));
    }
    if let Some(seconds) = plan.canary_seconds {
        let old = plan.from_version;
        lines.push(format!(
            "canary: version {old} runs on; after {seconds} s both versions are compared on the records of that time"
        ));
    }
    if plan.watch_seconds > 0 {
        let seconds = plan.watch_seconds;
        lines.push(format!(
            "version {} comes back by itself if it fails or lags within {seconds} s; `sandbar status {name}` tells",
            plan.from_version
        ));
    }
    lines.join("\n")
}

fn of_state(state: StateOutcome) -> &'static str {
    match state {
        StateOutcome::Same => "the same",
        StateOutcome::Restored => "others, and all of it is restored",
        StateOutcome::Dropped => "some of it is dropped",
        StateOutcome::Unreadable => "some of it cannot be read",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbar_control::StoreOutcome;

    fn plan() -> UpgradePlan {
        UpgradePlan {
            from_version: 3,
            version: 4,
            revision: 9,
            is_changed: true,
            difference: vec!["-a\x1b".to_owned(), "+b".to_owned()],
            state: StateOutcome::Dropped,
            stores: vec![StoreOutcome {
                operator: "op".to_owned(),
                store: "total".to_owned(),
                fate: "dropped".to_owned(),
                why: None,
            }],
            begins: "at a savepoint".to_owned(),
            watch_seconds: 120,
            canary_seconds: None,
            overtaken: Some(3),
        }
    }

    #[test]
    fn what_is_about_to_happen_is_told_with_the_difference_and_the_state() {
        let (tenant, name) = ("t".parse().unwrap(), "p".parse().unwrap());
        let said = sentences("upgrade", (&tenant, &name), &plan(), false);
        assert_eq!(
            said,
            "upgrade of p of t makes version 4\n-a \n+b\nstate: some of it is dropped; it begins at a savepoint\n  \
             total of op is dropped\nthe upgrade to version 3 is not watched any more\nversion 3 comes back by itself \
             if it fails or lags within 120 s; `sandbar status p` tells"
        );
        assert!(sentences("rollback", (&tenant, &name), &plan(), true).contains("would make version 4"));
        let same = UpgradePlan {
            is_changed: false,
            ..plan()
        };
        assert!(sentences("upgrade", (&tenant, &name), &same, false).contains("so already"));
        let canary = UpgradePlan {
            canary_seconds: Some(300),
            ..plan()
        };
        let said = sentences("upgrade", (&tenant, &name), &canary, false);
        assert!(said.contains("version 3 runs on; after 300 s both"), "{said}");
    }

    #[test]
    fn a_watch_is_written_as_in_a_pipeline_file() {
        assert_eq!(
            (duration("0"), duration("0s")),
            (Ok(Duration::ZERO), Ok(Duration::ZERO))
        );
        assert_eq!(
            (seconds(Duration::from_millis(1)), seconds(Duration::from_secs(2))),
            (1, 2)
        );
        assert!(duration("90").unwrap_err().contains("5m"));
    }
}
