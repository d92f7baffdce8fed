//! Sees to a canary: makes it or goes on with it, writes down what came of it, and leaves nothing of it.
//!
//! Always: it ends when something newer is wanted, and the version that runs is not touched.

use std::time::Duration;

use super::phases::{Next, after_canary};
use super::upgrades::Upgrades;
use crate::catalog::Catalog;
use crate::clock;
use crate::fleet::CanaryOrder;
use crate::model::WantedPipeline;
use crate::model::canary::CanaryReport;
use crate::model::names::Name;
use crate::model::problem::Result;
use crate::model::upgrade::{PipelineUpgrade, UpgradePhase};

/// How often it is looked whether a canary is still wanted.
const LOOK: Duration = Duration::from_millis(300);

impl Upgrades {
    /// Makes the canary of an upgrade, until it came to something or is not wanted any more.
    pub(super) async fn see_to_canary(&self, pipeline: &WantedPipeline, upgrade: &PipelineUpgrade) -> Result<()> {
        let Some(canary) = &upgrade.canary else { return Ok(()) };
        let (tenant, name) = (&pipeline.tenant, &pipeline.name);
        let (catalog, fleet) = (&self.0.catalog, &self.0.fleet);
        let means = catalog.means(tenant).await?;
        let order = CanaryOrder {
            pipeline,
            means: &means,
            number: upgrade.number,
            version: upgrade.to_version,
            file: &canary.file,
            plugins: &canary.plugins,
            saves: canary.saves,
            drops_state: upgrade.drops_state,
            seconds: canary.seconds,
            until: upgrade.until.unwrap_or_else(clock::now),
        };
        let compared = tokio::select! {
            compared = fleet.canary(&order) => Some(compared),
            ended = until_unwanted(catalog, (tenant, name), upgrade.number) => ended.map(|()| None)?,
        };
        if let Some(compared) = compared {
            self.tell_of_canary(pipeline, upgrade, compared).await?;
        }
        if let Err(error) = fleet.clear_canary(tenant, name).await {
            tracing::warn!(%tenant, pipeline = %name, %error, "failed to remove what a canary left");
        }
        Ok(())
    }

    async fn tell_of_canary(
        &self,
        pipeline: &WantedPipeline,
        upgrade: &PipelineUpgrade,
        compared: std::result::Result<CanaryReport, String>,
    ) -> Result<()> {
        let (tenant, name, number) = (&pipeline.tenant, &pipeline.name, upgrade.number);
        let mut report = compared.as_ref().ok().cloned();
        // Records stand in it, and the catalog keeps none.
        let shown = report.as_mut().map(|report| std::mem::take(&mut report.shown));
        let note = move |upgrade: &mut PipelineUpgrade| {
            let is_there = upgrade.phase == UpgradePhase::Canary;
            if let Some(canary) = upgrade.canary.as_mut().filter(|_| is_there) {
                canary.report = report;
            }
            is_there
        };
        if !self.0.catalog.change_upgrade(tenant, name, number, note).await? {
            return Ok(());
        }
        if let Some(Err(error)) = shown.map(|shown| self.0.fleet.keep_shown(tenant, name, number, shown)) {
            tracing::warn!(%tenant, pipeline = %name, %error, "failed to keep what differs in a canary");
        }
        let canary = upgrade.canary.as_ref();
        let next = after_canary(
            &compared,
            canary.is_some_and(|canary| have_same_places(&pipeline.file, &canary.file)),
        );
        match self.come_to(tenant, name, upgrade, next, None).await {
            // What cannot be promoted, because a plugin of it is gone, is not tried for ever.
            Err(problem) if problem.kind == crate::model::problem::ProblemKind::PluginRefused => {
                let next = Next::Drop(format!("it cannot be promoted: {}", problem.why));
                self.come_to(tenant, name, upgrade, next, None).await
            }
            told => told,
        }
    }

    /// Takes away what canaries left that are not under way any more.
    pub(crate) async fn clear_canaries(&self) -> Result<()> {
        for (tenant, name) in self.0.fleet.canaries_there() {
            let newest = self.0.catalog.upgrade(&tenant, &name).await?;
            if newest.is_some_and(|newest| newest.phase == UpgradePhase::Canary) {
                continue;
            }
            if let Err(error) = self.0.fleet.clear_canary(&tenant, &name).await {
                tracing::warn!(%tenant, pipeline = %name, %error, "failed to remove what a canary left");
            }
        }
        Ok(())
    }
}

/// Whether two files say the same of where records come from and go to: what a run of a canary is told by the daemon
/// instead.
fn have_same_places(one: &str, other: &str) -> bool {
    let places = |file: &str| {
        let file = toml::from_str::<toml::Table>(file).ok()?;
        Some(["kafka", "source", "sink", "dead-letters"].map(|key| file.get(key).cloned()))
    };
    places(one).is_some_and(|of_one| places(other) == Some(of_one))
}

/// Comes back when the upgrade of this number is no canary any more.
async fn until_unwanted(catalog: &Catalog, (tenant, name): (&Name, &Name), number: i64) -> Result<()> {
    loop {
        tokio::time::sleep(LOOK).await;
        let newest = catalog.upgrade(tenant, name).await?;
        let is_it = |newest: &PipelineUpgrade| newest.number == number && newest.phase == UpgradePhase::Canary;
        if !newest.as_ref().is_some_and(is_it) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_topics_partitions_and_sinks_are_seen_and_other_operators_are_none() {
        let file = "source.in = { topics = [\"a\"] }\nsink.out = { from = [\"count\"], topic = \"b\" }\n";
        let same = format!("{file}# more\n[operator.count]\nplugin = \"new.wasm\"\n");
        assert!(have_same_places(file, file) && have_same_places(file, &same));
        for (from, to) in [("[\"a\"]", "[\"c\"]"), ("topics", "topic-pattern"), ("\"b\"", "\"c\"")] {
            assert!(!have_same_places(file, &file.replace(from, to)), "{to}");
        }
        assert!(!have_same_places(file, &format!("kafka.brokers = \"x:1\"\n{file}")));
        assert!(!have_same_places("no file", "no file"));
    }
}
