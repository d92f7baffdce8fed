//! How much a tenant may use: figures by name, in the units of a pipeline file.
//!
//! Always: a quota that is not there does not limit, but for the versions, of which there is a usual number.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::model::names::Name;
use crate::model::problem::{Problem, ProblemKind, Result};

/// Versions of a pipeline that are kept if no quota says how many.
const USUAL_VERSIONS: u64 = 50;
/// The greatest figure: every JSON has it exactly.
const GREATEST: u64 = 1 << 53;

/// How much a tenant may use. Each that is not there does not limit.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Quotas {
    /// Pipelines.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9007199254740992_u64)]
    pub pipelines: Option<u64>,
    /// Versions of a pipeline that are kept, the newest; 50 if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub versions: Option<u64>,
    /// Plugins.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9007199254740992_u64)]
    pub plugins: Option<u64>,
    /// Bytes of a plugin.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub plugin_bytes: Option<u64>,
    /// Worker threads of a pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub pipeline_workers: Option<u64>,
    /// Bytes of memory of a pipeline's process.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub pipeline_memory: Option<u64>,
    /// Thousandths of a core of a pipeline's process: 1500 is one and a half.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub pipeline_cpu: Option<u64>,
    /// Bytes of state of a pipeline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub pipeline_state: Option<u64>,
    /// Bytes that a pipeline reads a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub bytes_in: Option<u64>,
    /// Bytes that a pipeline writes a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub bytes_out: Option<u64>,
    /// Lines that all plugins of a pipeline log a second; what the host says is not counted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 9007199254740992_u64)]
    pub log_lines: Option<u64>,
    /// Seconds of CPU of a check, which compiles the plugins; 60 if it is not there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 9007199254740992_u64)]
    pub compile_time: Option<u64>,
}

/// What a figure counts, and so how a person writes it.
#[derive(Clone, Copy)]
enum QuotaUnit {
    Count,
    Bytes,
    /// Thousandths of one.
    Cores,
    Seconds,
}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
const PERIODS: [(&str, u64); 3] = [("h", 3600), ("m", 60), ("s", 1)];
const CORE: u64 = 1000;

impl QuotaUnit {
    fn parse(self, text: &str) -> Option<u64> {
        match self {
            Self::Count => digits(text),
            Self::Bytes => measured(text, &SIZES),
            Self::Seconds => measured(text, &PERIODS),
            Self::Cores => {
                let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
                let thousandths = digits(&format!("{part:0<3}")).filter(|_| !part.is_empty() && part.len() <= 3)?;
                digits(whole)?.checked_mul(CORE)?.checked_add(thousandths)
            }
        }
    }

    fn written(self, figure: u64) -> String {
        let in_units = |units: &[(&str, u64)]| {
            let fits = |(_, factor): &&(&str, u64)| figure > 0 && figure.is_multiple_of(*factor);
            let unit = units.iter().find(fits).or(units.last());
            unit.map_or_else(String::new, |(name, factor)| format!("{}{name}", figure / factor))
        };
        match self {
            Self::Count => figure.to_string(),
            Self::Bytes => in_units(&SIZES),
            Self::Seconds => in_units(&PERIODS),
            Self::Cores => {
                let text = format!("{}.{:03}", figure / CORE, figure % CORE);
                text.trim_end_matches('0').trim_end_matches('.').to_owned()
            }
        }
    }

    fn example(self) -> &'static str {
        match self {
            Self::Count => "20",
            Self::Bytes => "512MiB",
            Self::Cores => "1.5",
            Self::Seconds => "30s",
        }
    }
}

fn digits(text: &str) -> Option<u64> {
    let are_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| are_digits)
}

fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    let at = text.find(|letter: char| !letter.is_ascii_digit())?;
    let (number, unit) = text.split_at(at);
    let (_, factor) = units.iter().find(|(name, _)| *name == unit)?;
    digits(number)?.checked_mul(*factor)
}

impl Quotas {
    /// Every quota by name, with its unit and its place.
    fn each(&mut self) -> [(&'static str, QuotaUnit, &mut Option<u64>); 12] {
        use QuotaUnit::{Bytes, Cores, Count, Seconds};
        [
            ("pipelines", Count, &mut self.pipelines),
            ("versions", Count, &mut self.versions),
            ("plugins", Count, &mut self.plugins),
            ("plugin-bytes", Bytes, &mut self.plugin_bytes),
            ("pipeline-workers", Count, &mut self.pipeline_workers),
            ("pipeline-memory", Bytes, &mut self.pipeline_memory),
            ("pipeline-cpu", Cores, &mut self.pipeline_cpu),
            ("pipeline-state", Bytes, &mut self.pipeline_state),
            ("bytes-in", Bytes, &mut self.bytes_in),
            ("bytes-out", Bytes, &mut self.bytes_out),
            ("log-lines", Count, &mut self.log_lines),
            ("compile-time", Seconds, &mut self.compile_time),
        ]
    }

    /// Sets one as a person writes it, such as `pipeline-memory=512MiB`; `NAME=none` takes it away.
    ///
    /// # Errors
    ///
    /// Why it is none.
    pub fn set(&mut self, text: &str) -> std::result::Result<(), String> {
        let names: Vec<&str> = self.each().iter().map(|(name, ..)| *name).collect();
        let (name, value) = text.split_once('=').unwrap_or((text, ""));
        let Some((name, unit, place)) = self.each().into_iter().find(|(one, ..)| *one == name) else {
            return Err(format!("{name:?} is no quota: those are {}", names.join(", ")));
        };
        *place = match value {
            "none" => None,
            _ => match unit.parse(value) {
                Some(figure) => Some(figure),
                None => {
                    let example = unit.example();
                    return Err(format!(
                        "{value:?} is no {name}: write {name}={example}, or {name}=none"
                    ));
                }
            },
        };
        self.check_figures()
    }

    /// Every quota by name, and its figure as a person writes it, if it limits.
    pub fn shown(&self) -> Vec<(&'static str, Option<String>)> {
        let mut copy = self.clone();
        let all = copy.each().into_iter();
        all.map(|(name, unit, figure)| (name, figure.map(|figure| unit.written(figure))))
            .collect()
    }

    /// Whether each figure can be kept to.
    ///
    /// # Errors
    ///
    /// `Invalid` if not.
    pub(crate) fn check(&self, what: &str) -> Result<()> {
        let checked = self.check_figures();
        checked.map_err(|why| Problem::new(ProblemKind::Invalid, what, why))
    }

    fn check_figures(&self) -> std::result::Result<(), String> {
        for (name, _, figure) in self.clone().each() {
            // A tenant may have none of these; of all others nothing at all would run or be kept.
            let least = u64::from(!matches!(name, "pipelines" | "plugins" | "log-lines"));
            if figure.is_some_and(|figure| !(least..=GREATEST).contains(&figure)) {
                return Err(format!("{name} is not within {least} to {GREATEST}"));
            }
        }
        Ok(())
    }

    /// Versions of a pipeline that are kept.
    pub(crate) fn kept_versions(&self) -> u64 {
        self.versions.unwrap_or(USUAL_VERSIONS)
    }
}

/// That a tenant would have more than its quota of this name allows.
pub(crate) fn exceeded(what: &str, tenant: &Name, quota: &str, why: String) -> Problem {
    Problem::new(ProblemKind::QuotaExceeded, what, why).hint(format!(
        "an administrator of the platform can raise it: `sandbar quota set {tenant} {quota}=…`"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_set_and_shown_in_its_unit() {
        let mut quotas = Quotas::default();
        assert!(quotas.shown().iter().all(|(_, figure)| figure.is_none()));
        let texts = [
            "pipelines=20",
            "versions=1",
            "plugins=0",
            "plugin-bytes=1536KiB",
            "pipeline-workers=4",
            "pipeline-memory=512MiB",
            "pipeline-cpu=1.5",
            "pipeline-state=3GiB",
            "bytes-in=1B",
            "bytes-out=1023B",
            "log-lines=100",
            "compile-time=90s",
        ];
        for text in texts {
            quotas.set(text).unwrap();
        }
        let shown: Vec<String> = quotas
            .shown()
            .into_iter()
            .map(|(name, figure)| format!("{name}={}", figure.unwrap()))
            .collect();
        assert_eq!(shown, texts);
        assert_eq!(
            (quotas.pipeline_memory, quotas.pipeline_cpu),
            (Some(512 << 20), Some(1500))
        );
        quotas.set("pipelines=none").unwrap();
        assert_eq!((quotas.pipelines, quotas.versions), (None, Some(1)));
        for (text, thousandths) in [("2", 2000), ("0.25", 250), ("0.001", 1), ("1.50", 1500)] {
            quotas.set(&format!("pipeline-cpu={text}")).unwrap();
            assert_eq!(quotas.pipeline_cpu, Some(thousandths), "{text}");
        }
    }

    #[test]
    fn what_is_no_quota_is_named() {
        for (text, word) in [
            ("pods=1", "those are pipelines, versions"),
            ("pipelines", "write pipelines=20, or pipelines=none"),
            ("pipelines=-1", "write pipelines=20"),
            ("pipelines=+1", "write pipelines=20"),
            ("pipeline-memory=512", "write pipeline-memory=512MiB"),
            ("pipeline-memory=1TiB", "write pipeline-memory=512MiB"),
            ("pipeline-memory=99999999999999999999GiB", "write pipeline-memory"),
            ("pipeline-memory=99999999999GiB", "write pipeline-memory"),
            ("pipeline-memory=0B", "pipeline-memory is not within 1 to"),
            ("versions=0", "versions is not within 1 to"),
            ("pipeline-cpu=1.", "write pipeline-cpu=1.5"),
            ("pipeline-cpu=.5", "write pipeline-cpu=1.5"),
            ("pipeline-cpu=1.2345", "write pipeline-cpu=1.5"),
            ("pipeline-cpu=0", "pipeline-cpu is not within 1 to"),
            ("compile-time=5", "write compile-time=30s"),
            ("bytes-in=9007199254740993B", "bytes-in is not within"),
        ] {
            let why = Quotas::default().set(text).unwrap_err();
            assert!(why.contains(word), "{text}: {why}");
        }
    }

    #[test]
    fn json_has_the_same_names_as_a_person_writes() {
        let mut quotas = Quotas::default();
        for (name, ..) in Quotas::default().each() {
            let text = match name {
                "plugin-bytes" | "pipeline-memory" | "pipeline-state" | "bytes-in" | "bytes-out" => "7B",
                "compile-time" => "7s",
                _ => "7",
            };
            quotas.set(&format!("{name}={text}")).unwrap();
        }
        let json = serde_json::to_value(&quotas).unwrap();
        assert_eq!(json.as_object().unwrap().len(), 12);
        for (name, ..) in Quotas::default().each() {
            assert!(json[name].is_u64(), "{name}");
        }
        assert_eq!(serde_json::from_value::<Quotas>(json).unwrap(), quotas);
        assert!(serde_json::from_str::<Quotas>(r#"{"pods":1}"#).is_err());
        assert_eq!(serde_json::to_string(&Quotas::default()).unwrap(), "{}");
    }
}
