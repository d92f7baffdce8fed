//! The report of a canary: two versions on the same records, what they put out kept back and compared.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What a run of one version on the records of a canary came to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CanaryRun {
    /// Records that it read.
    pub records: u64,
    /// Outputs that were kept back.
    pub outputs: u64,
    /// Dead letters that were kept back.
    pub dead_letters: u64,
    /// Milliseconds of CPU, as far as was seen.
    pub cpu_ms: u64,
    /// Milliseconds from its start to its end.
    pub wall_ms: u64,
}

/// How the outputs of a key differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum KeyFate {
    /// Both versions put something out, and not the same.
    Differs,
    /// Only the version before put something out.
    OnlyOld,
    /// Only the new version did.
    OnlyNew,
}

/// A key whose outputs differ, with the first output that does. Keys and outputs are JSON as `sandbar consume` writes
/// it, cut to 200 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct KeyDifference {
    /// The sink.
    pub sink: String,
    /// The key.
    pub key: String,
    /// How its outputs differ.
    pub fate: KeyFate,
    /// The first output of the key that differs, from 1.
    pub output: u64,
    /// That of the version before; none, if it put out no more.
    pub old: Option<String>,
    /// That of the new one; none, if it put out no more.
    pub new: Option<String>,
}

/// What came of a canary. A key of one sink and one partition of the input counts once: its outputs have an order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub struct CanaryReport {
    /// Keys that were compared.
    pub keys: u64,
    /// Those whose outputs are the same, in the same order.
    pub same: u64,
    /// Those whose outputs differ.
    pub differing: u64,
    /// Those with outputs of the version before alone.
    pub only_old: u64,
    /// Those with outputs of the new version alone.
    pub only_new: u64,
    /// One key of so many was compared: 1, unless there were more than a million.
    pub one_of: u64,
    /// Some of the keys that differ, 20 at most; nothing for who may not read records. The catalog keeps none of it.
    pub shown: Vec<KeyDifference>,
    /// The run of the version before.
    pub old: CanaryRun,
    /// The run of the new version.
    pub new: CanaryRun,
}

impl CanaryReport {
    /// Whether nothing differs: no key, nor how many dead letters there are.
    pub fn is_same(&self) -> bool {
        self.same == self.keys && self.old.dead_letters == self.new.dead_letters
    }

    /// What came of it, in a few words.
    pub fn sentence(&self) -> String {
        let Self { keys, differing, .. } = self;
        let apart = differing.saturating_add(self.only_old).saturating_add(self.only_new);
        match (self.old.records, apart) {
            (0, _) => "no record came in that time, so that nothing was compared".to_owned(),
            (records, 0) if self.is_same() => format!("all of {keys} keys are the same after {records} records"),
            (_, 0) => format!(
                "the version before has {} dead letters, and the new one {}",
                self.old.dead_letters, self.new.dead_letters
            ),
            (records, apart) => format!("{apart} of {keys} keys differ after {records} records"),
        }
    }
}
